"""Load the data of DCASE 2017 task 2, "detection of rare sound events"."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Literal

from sklearn.utils import Bunch

from .layout import (
    EVALUATION,
    check_classes,
    data_folder,
    mixture_hashes,
    read_cv_setup,
    read_event_list,
)
from .mixer import generate_mixture_recipes, synthesize_mixtures

# Folder of the evaluation set: the hash of the default parameters with seed 13.
_EVALUATION_HASH = "bbb81504db15a03680a0044474633b67"


def load_dcase2017_rare(
    root: str | PathLike[str],
    subset: str = "devtrain",
    *,
    part: Literal["mixtures", "events", "backgrounds"] = "mixtures",
    classes: Sequence[str] | None = None,
    mixtures_per_class: int = 500,
    event_presence_prob: float = 0.5,
    ebrs: Sequence[float] = (-6, 0, 6),
    random_state: int = 42,
    param_hash: str | None = None,
    n_jobs: int | None = None,
) -> Bunch:
    """Load recordings and events of DCASE 2017 task 2, or of a folder laid out like it.

    Mixtures that were written to ``mixture_data`` are read from there. If there are none with
    these parameters, they are drawn from ``source_data`` as the challenge's mixer does, and
    synthesized when their samples are needed.

    Parameters
    ----------
    root : str or PathLike
        The folder from :func:`fetch_dcase2017_rare`, that of either set of the challenge, or
        any other with ``source_data`` or ``mixture_data``.
    subset : str, default="devtrain"
        ``"devtrain"``, ``"devtest"`` or ``"evaltest"``, the evaluation set.
    part : {"mixtures", "events", "backgrounds"}, default="mixtures"
        Whether to load mixtures, the recordings of isolated events, or the backgrounds.
    classes : sequence of str, default=None
        Classes to load; all by default. Backgrounds belong to no class: all are loaded.
    mixtures_per_class, event_presence_prob, ebrs, random_state : default=500, 0.5, (-6, 0, 6), 42
        Parameters of the mixtures; see :func:`generate_mixture_recipes`. The published
        evaluation set is one folder, which is read whatever they are.
    param_hash : str, default=None
        Folder of ``mixture_data/<subset>`` to read, instead of the one that belongs to
        the parameters.
    n_jobs : int, default=None
        Threads that read audio to scale the events of mixtures to be drawn.

    Returns
    -------
    sklearn.utils.Bunch
        ``X``: list of n_clips paths or :class:`Mixture` objects;
        ``y``: list of n_clips lists of (onset, offset, label), in seconds;
        ``target_class``: list of n_clips str, the class that a mixture was made for (for
        events their class, for backgrounds their scene); scores are by this class.

    Raises
    ------
    FileNotFoundError
        If the folder, the subset or an audio file does not exist; the message names it.
    ValueError
        If there is no such class, or an event list cannot be read; the message names file and row.

    Examples
    --------
    >>> data = load_dcase2017_rare("TUT-rare-sound-events-2017-development",
    ...                            "devtest")  # doctest: +SKIP
    >>> pipe.predict(data.X)  # doctest: +SKIP
    """
    if part not in ("mixtures", "events", "backgrounds"):
        raise ValueError(f'part must be "mixtures", "events" or "backgrounds"; got {part!r}')
    if part != "mixtures":
        return _load_source(root, subset, part, classes)
    params = (mixtures_per_class, event_presence_prob, ebrs, random_state)
    folder = data_folder(root, EVALUATION) if subset == "evaltest" else data_folder(root)
    written = _find_written(folder, subset, param_hash, params)
    if written is not None:
        return _load_written(written, subset, classes)
    recipes = generate_mixture_recipes(
        folder,
        subset,
        mixtures_per_class=mixtures_per_class,
        event_presence_prob=event_presence_prob,
        ebrs=ebrs,
        random_state=random_state,
        n_jobs=n_jobs,
    )
    # All classes are drawn even if only some are wanted, because each continues the random numbers
    # of the one before.
    check_classes(classes, list(recipes), folder)
    recipes = {name: own for name, own in recipes.items() if classes is None or name in classes}
    X, y = synthesize_mixtures(folder, recipes, lazy=True)
    target = [name for name, own in recipes.items() for _ in own]
    return Bunch(X=X, y=y, target_class=target)


def _find_written(folder: Path, subset: str, param_hash: str | None, params: tuple) -> Path | None:
    """Find the folder of mixtures that were written; None if they have to be drawn."""
    mixtures = folder / "mixture_data" / subset
    if param_hash is not None:
        names: tuple[str, ...] = (param_hash,)
    elif subset == "evaltest":
        names = (_EVALUATION_HASH,)
    else:
        names = mixture_hashes(*params)
    for name in names:
        if (mixtures / name / "meta").is_dir():
            return mixtures / name
    # The challenge published no source material of its evaluation set, but other folders may have
    # it.
    source = folder / "source_data" / "cv_setup" / f"events_{subset}.yaml"
    if param_hash is not None or (subset == "evaltest" and not source.is_file()):
        raise FileNotFoundError(f"No mixtures in {mixtures / names[0]}: its folder meta is missing")
    return None


def _load_written(folder: Path, subset: str, classes: Sequence[str] | None) -> Bunch:
    prefix = f"event_list_{subset}_"
    lists = sorted((folder / "meta").glob(f"{prefix}*.csv"))
    if lists:
        check_classes(classes, [path.stem.removeprefix(prefix) for path in lists], folder)
    if classes is not None:
        lists = [path for path in lists if path.stem.removeprefix(prefix) in classes]
    if not lists:
        raise FileNotFoundError(f"{folder / 'meta'} has no event list {prefix}<class>.csv")
    data = Bunch(X=[], y=[], target_class=[])
    for path in lists:
        for name, events in read_event_list(path):
            audio = folder / "audio" / name
            if not audio.is_file():
                raise FileNotFoundError(f"{audio}, which {path} lists, is missing")
            data.X.append(audio)
            data.y.append(events)
            data.target_class.append(path.stem.removeprefix(prefix))
    return data


def _load_source(
    root: str | PathLike[str], subset: str, part: str, classes: Sequence[str] | None
) -> Bunch:
    folder = data_folder(root)
    events, backgrounds = read_cv_setup(folder, subset)
    source = folder / "source_data"
    if part == "backgrounds":
        return Bunch(
            X=[source / "bgs" / entry["filepath"] for entry in backgrounds],
            y=[[] for _ in backgrounds],
            target_class=[entry["classname"] for entry in backgrounds],
        )
    check_classes(classes, list(events), folder)
    # A recording with several events is one clip with all of them.
    clips: dict[Path, tuple[str, list[tuple[float, float, str]]]] = {}
    for label in sorted(events) if classes is None else classes:
        for entry in events[label]:
            path = source / "events" / label / entry["audio_filename"]
            start, end = entry["segment"]
            clips.setdefault(path, (label, []))[1].append((float(start), float(end), label))
    return Bunch(
        X=list(clips),
        y=[sorted(own) for _, own in clips.values()],
        target_class=[label for label, _ in clips.values()],
    )
