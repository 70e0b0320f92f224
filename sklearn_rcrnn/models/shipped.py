"""Models that come with the package."""

from __future__ import annotations

from pathlib import Path

from sklearn.pipeline import Pipeline

from .storage import DESCRIPTION, load

MODELS = Path(__file__).parent


def list_pretrained() -> list[str]:
    """Names of the models that come with the package.

    Returns
    -------
    list of str

    Examples
    --------
    >>> from sklearn_rcrnn import list_pretrained
    >>> list_pretrained()
    ['rare-events']
    """
    return sorted(path.parent.name for path in MODELS.glob(f"*/{DESCRIPTION}"))


def load_pretrained(name: str = "rare-events") -> Pipeline:
    """A fitted pipeline that comes with the package: recordings in, events out.

    Parameters
    ----------
    name : str, default="rare-events"
        One of :func:`list_pretrained`. ``"rare-events"`` finds crying babies, breaking
        glass and gunshots; its model card is in the documentation. The weights may be
        used for non-commercial purposes only (CC BY-NC 4.0).

    Returns
    -------
    sklearn.pipeline.Pipeline
        Its own copy each time: change its parameters as you like.

    Raises
    ------
    ValueError
        For a name that is not there.

    Examples
    --------
    >>> from sklearn_rcrnn import load_pretrained
    >>> from sklearn_rcrnn.datasets import make_rare_events
    >>> X, y = make_rare_events(1, duration=10.0, random_state=0)
    >>> events = load_pretrained("rare-events").predict(X)
    >>> len(events)
    1
    """
    there = list_pretrained()
    if name not in there:
        raise ValueError(f"There is no model {name!r}; there are {there}")
    return load(MODELS / name)
