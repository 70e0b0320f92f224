"""Models that come with the package."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from . import DESCRIPTION

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

MODELS = Path(__file__).parent
# The card of a model, and the figures that it was filled from.
CARD = "README.md"
FIGURES = "figures.json"


def list_pretrained() -> list[str]:
    """Names of the models that come with the package.

    Returns
    -------
    list of str

    Examples
    --------
    >>> from sklearn_rcrnn import list_pretrained
    >>> list_pretrained()
    ['general', 'rare-events']
    """
    return sorted(path.parent.name for path in MODELS.glob(f"*/{DESCRIPTION}"))


def is_shipped(name: str) -> bool:
    """Tell whether a name is that of a model of the package.

    Warns
    -----
    UserWarning
        If a folder of this name holds a model, too.

    Examples
    --------
    >>> from sklearn_rcrnn.models.shipped import is_shipped
    >>> is_shipped("general"), is_shipped("my-sounds")
    (True, False)
    """
    shipped = name in list_pretrained()
    if shipped and (Path(name) / DESCRIPTION).is_file():
        warnings.warn(
            f"{name} is taken for the model of the package, not for the folder of this name, which "
            f"is ./{name}",
            stacklevel=3,
        )
    return shipped


def load_pretrained(name: str = "rare-events") -> Pipeline:
    """Load a fitted pipeline from recordings to events that comes with the package.

    Parameters
    ----------
    name : str, default="rare-events"
        A name from :func:`list_pretrained`. ``"rare-events"`` finds crying babies, breaking
        glass and gunshots; its model card is in the documentation. The weights may be used for
        non-commercial purposes only (CC BY-NC 4.0).

    Returns
    -------
    sklearn.pipeline.Pipeline
        A new copy at each call, whose parameters may be changed.

    Raises
    ------
    ValueError
        If there is no model of this name.

    Examples
    --------
    >>> from sklearn_rcrnn import load_pretrained
    >>> from sklearn_rcrnn.datasets import make_rare_events
    >>> X, y = make_rare_events(1, duration=10.0, random_state=0)
    >>> events = load_pretrained("rare-events").predict(X)
    >>> len(events)
    1
    """
    from .storage import load

    there = list_pretrained()
    if name not in there:
        raise ValueError(f"There is no model {name!r}; there are {there}")
    return load(MODELS / name)


class ModelFacts(NamedTuple):
    """Facts about a model that are known without loading it.

    Attributes
    ----------
    name : str
    labels : list of str or int
    license : str or None
        License of the weights.
    n_bytes : int
        Size of all files of the model.
    error_rate : float or None
        Mean error rate over the labels, on the mixtures of the model card as they are.
    """

    name: str
    labels: list[Any]
    license: str | None
    n_bytes: int
    error_rate: float | None


def model_facts(name: str) -> ModelFacts:
    """Labels, license, size and error rate of a model, from its files.

    Parameters
    ----------
    name : str
        One of :func:`list_pretrained`, or the folder of a model.

    Returns
    -------
    ModelFacts

    Raises
    ------
    FileNotFoundError
        If there is no such model.

    Examples
    --------
    >>> from sklearn_rcrnn.models.shipped import model_facts
    >>> model_facts("rare-events").license
    'CC BY-NC 4.0'
    """
    folder = model_folder(name)
    description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    rate = None
    if (folder / FIGURES).is_file():
        figures = json.loads((folder / FIGURES).read_text(encoding="utf-8"))
        rate = figures["error rate"]["as they are"]["mean"]
    return ModelFacts(
        folder.name,
        description["steps"][-1].get("classes", []),
        description.get("provenance", {}).get("license"),
        sum(path.stat().st_size for path in folder.iterdir() if path.is_file()),
        rate,
    )


def model_card(name: str) -> str:
    """The card of a model: what it learnt from, licenses, how good it is and where it fails.

    Parameters
    ----------
    name : str
        One of :func:`list_pretrained`, or the folder of a model.

    Returns
    -------
    str
        Markdown.

    Raises
    ------
    FileNotFoundError
        If there is no such model, or it has no card.

    Examples
    --------
    >>> from sklearn_rcrnn.models.shipped import model_card
    >>> model_card("rare-events").splitlines()[0]
    '# rare-events'
    """
    card = model_folder(name) / CARD
    if not card.is_file():
        raise FileNotFoundError(f"{card.parent} is a model without a card: it has no {CARD}")
    return card.read_text(encoding="utf-8")


def model_folder(name: str) -> Path:
    """Where a model lies: in the package, or the folder itself.

    Raises
    ------
    FileNotFoundError
        If there is no such model; says which there are.
    """
    folder = MODELS / name if is_shipped(name) else Path(name)
    if not (folder / DESCRIPTION).is_file():
        raise FileNotFoundError(
            f"There is no model {name!r}: it is no folder of a model, and the package has "
            f"{', '.join(list_pretrained())}"
        )
    return folder
