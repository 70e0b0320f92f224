"""The mixer of DCASE 2017 task 2: recipes drawn as the challenge drew them, and mixtures."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from joblib import Parallel, delayed
from numpy.typing import NDArray

from .._utils.memory import ReadsFiles
from .._utils.text import some
from ..audio import audio_duration
from ._material import SAMPLE_RATE, background_of, event_of, files_of
from ._writing import write_clip
from .layout import CLASSES, check_classes, data_folder, read_cv_setup, write_meta

# Both background and event are scaled by this, so that loud events do not clip.
HEADROOM = 0.2
# A segment may be so many seconds longer than its recording because of rounding.
_ROUNDING = 0.01

Recipe = dict[str, Any]


def generate_mixture_recipes(
    root: str | PathLike[str],
    subset: str = "devtrain",
    *,
    mixtures_per_class: int = 500,
    event_presence_prob: float = 0.5,
    ebrs: Sequence[float] = (-6, 0, 6),
    random_state: int = 42,
    classes: Sequence[str] | None = None,
    mixture_length: float = 30.0,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> dict[str, list[Recipe]]:
    """Draw recipes of mixtures, number by number as the challenge's mixer does.

    The same seed gives the same mixtures. As there, an event that is drawn more than once
    for a class starts at the same time in all its mixtures.

    Parameters
    ----------
    root : str or PathLike
        Folder with ``source_data``, or of the challenge's development set.
    subset : str, default="devtrain"
        ``"devtrain"`` or ``"devtest"``, or any for which ``cv_setup`` has files.
    mixtures_per_class : int, default=500
    event_presence_prob : float, default=0.5
        This part of the mixtures, rounded, has an event; the paper trains with 0.99.
    ebrs : sequence of float, default=(-6, 0, 6)
        Event-to-background ratios in dB, drawn with equal probability.
    random_state : int, default=42
    classes : sequence of str, default=None
        In this order, which matters for the draws. By default babycry, glassbreak and
        gunshot if the folder has just these, else all that it has, sorted.
    mixture_length : float, default=30.0
        Seconds; backgrounds are cut or repeated to it.
    n_jobs : int, default=None
        Threads that read audio to scale the events.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    dict of str to list of dict
        The recipes of each class, with the keys of the challenge.

    Raises
    ------
    FileNotFoundError
        If the folder has no such subset.
    ValueError
        If a class does not exist, or if an event is longer than the mixture.

    Warns
    -----
    UserWarning
        If the segment of an event is longer than its recording.

    References
    ----------
    Mesaros et al., DCASE 2017 challenge setup, 2017.

    Examples
    --------
    >>> recipes = generate_mixture_recipes("TUT-rare-sound-events-2017-development",
    ...                                    "devtest")  # doctest: +SKIP
    >>> recipes["gunshot"][0]["ebr"]  # doctest: +SKIP
    -6.0
    """
    if mixtures_per_class < 1 or not 0 <= event_presence_prob <= 1 or not len(ebrs):
        raise ValueError(
            "mixtures_per_class must be at least 1, event_presence_prob between 0 and 1 and "
            f"ebrs not empty; got {mixtures_per_class}, {event_presence_prob} and {ebrs}"
        )
    folder = data_folder(root)
    events, backgrounds = read_cv_setup(folder, subset)
    if classes is None:
        classes = CLASSES if set(events) == set(CLASSES) else sorted(events)
    check_classes(classes, list(events), folder)
    rng = np.random.RandomState(random_state)
    n_events = round(mixtures_per_class * event_presence_prob)
    recipes = {}
    for name in classes:
        recipes[name] = _draw(
            events[name],
            name,
            backgrounds,
            n_mixtures=mixtures_per_class,
            n_events=n_events,
            ebrs=ebrs,
            mixture_length=mixture_length,
            rng=rng,
        )
    flat = [recipe for name in classes for recipe in recipes[name]]
    if short := _scale(folder, flat, mixture_length, n_jobs, verbose):
        warnings.warn(
            f"The segments of {some(short)} end after their recordings: in mixtures, these "
            "events end before their offsets",
            stacklevel=2,
        )
    for name in classes:
        for i, recipe in enumerate(recipes[name]):
            _finish(recipe, f"mixture_{subset}_{name}_{i:03d}")
    return recipes


def _draw(
    events: list[dict[str, Any]],
    name: str,
    backgrounds: list[dict[str, Any]],
    *,
    n_mixtures: int,
    n_events: int,
    ebrs: Sequence[float],
    mixture_length: float,
    rng: np.random.RandomState,
) -> list[Recipe]:
    """Draw the mixtures of one class in the order of the challenge, without reading audio."""
    lengths = [float(event["segment"][1]) - float(event["segment"][0]) for event in events]
    for event, length in zip(events, lengths, strict=True):
        if length >= mixture_length and n_events:
            raise ValueError(
                f"{event['audio_filename']} of {name} lasts {length:g} s and does not fit "
                f"into mixtures of {mixture_length:g} s"
            )
    chosen = rng.choice(len(events), n_events)
    chosen_backgrounds = rng.choice(len(backgrounds), n_mixtures)
    present = rng.permutation(np.arange(n_mixtures) < n_events)
    starts: dict[int, float] = {}
    for i in chosen:  # the last draw for an event holds for all its mixtures
        starts[i] = (mixture_length - lengths[i]) * rng.rand()
    drawn_ebrs = iter(rng.choice(ebrs, size=n_events))
    order = iter(chosen)
    recipes = []
    for background, has_event in zip(chosen_backgrounds, present, strict=True):
        entry = backgrounds[background]
        recipe = {
            "bg_path": entry["filepath"],
            "bg_classname": entry["classname"],
            "event_present": bool(has_event),
        }
        if has_event:
            i = next(order)
            start, end = events[i]["segment"]
            recipe |= {
                "event_path": f"{name}/{events[i]['audio_filename']}",
                "event_class": name,
                "event_start_in_mixture_seconds": float(starts[i]),
                "event_length_seconds": lengths[i],
                "segment_start_seconds": start,
                "segment_end_seconds": end,
            }
        recipe["ebr"] = float(next(drawn_ebrs)) if has_event else -np.inf
        recipes.append(recipe)
    return recipes


def _scale(
    folder: Path, recipes: list[Recipe], mixture_length: float, n_jobs: int | None, verbose: int
) -> list[str]:
    """Set ``scaling_factor`` where there is an event; return events shorter than their segments."""
    by_background: dict[str, list[Recipe]] = {}
    for recipe in recipes:
        if recipe["event_present"]:
            by_background.setdefault(recipe["bg_path"], []).append(recipe)
    work = delayed(_factors_over_background)
    tasks = (work(folder, mixture_length, group) for group in by_background.values())
    results = _run(tasks, len(by_background), n_jobs, verbose, "levels")
    short: set[str] = set()
    # What another process, of a backend that somebody has chosen, did to a recipe would be lost.
    for group, (factors, own_short) in zip(by_background.values(), results, strict=True):
        short |= own_short
        for recipe, factor in zip(group, factors, strict=True):
            recipe["scaling_factor"] = factor
    return sorted(short)


def _factors_over_background(
    folder: Path, mixture_length: float, recipes: list[Recipe]
) -> tuple[list[float], set[str]]:
    factors: list[float] = []
    short = set()
    background = background_of(folder, recipes[0], mixture_length)
    for recipe in recipes:
        event = event_of(folder, recipe)
        start = int(recipe["event_start_in_mixture_seconds"] * SAMPLE_RATE)
        under = background[start : start + len(event)]
        levels = _rms(event), _rms(under)
        if not min(levels) > 0:
            raise ValueError(
                f"{recipe['event_path']} or {recipe['bg_path']} is silent where they are mixed: "
                "no event-to-background ratio can be set"
            )
        factors.append(float(10 ** (recipe["ebr"] / 20) / (levels[0] / levels[1])))
        if len(event) < (recipe["event_length_seconds"] - _ROUNDING) * SAMPLE_RATE:
            short.add(recipe["event_path"])
    return factors, short


def _finish(recipe: Recipe, stem: str) -> None:
    """Name the file after the recipe and write the line of the event list."""
    # The file names depend on this text, so it has the flow style of the challenge's PyYAML.
    text = yaml.dump(recipe, default_flow_style=None)
    digest = hashlib.md5(text.encode()).hexdigest()
    recipe["mixture_audio_filename"] = f"{stem}_{digest}.wav"
    fields = [recipe["mixture_audio_filename"]]
    if recipe["event_present"]:
        onset = recipe["event_start_in_mixture_seconds"]
        offset = onset + recipe["event_length_seconds"]
        fields += [str(onset), str(offset), recipe["event_class"]]
    recipe["annotation_string"] = "\t".join(fields)


class Mixture(ReadsFiles):
    """A mixture that is made when its samples are asked for.

    Estimators take it as a clip; ``np.asarray(mixture)`` gives its samples.

    Parameters
    ----------
    root : str or PathLike
        Folder with the source material.
    recipe : dict
        A recipe from :func:`generate_mixture_recipes`.
    mixture_length : float, default=30.0
        Length of the mixture in seconds.

    Examples
    --------
    >>> X, y = synthesize_mixtures(root, recipes, lazy=True)  # doctest: +SKIP
    >>> np.asarray(X[0]).shape  # doctest: +SKIP
    (1323000,)
    """

    sample_rate = SAMPLE_RATE

    def __init__(
        self, root: str | PathLike[str], recipe: Mapping[str, Any], mixture_length: float = 30.0
    ):
        self.root = Path(root)
        self.recipe = recipe
        self.mixture_length = mixture_length

    @property
    def events(self) -> list[tuple[float, float, str]]:
        """Onset, offset and label of the event, in a list; empty if there is none."""
        recipe = self.recipe
        if not recipe["event_present"]:
            return []
        onset = recipe["event_start_in_mixture_seconds"]
        return [(onset, onset + recipe["event_length_seconds"], recipe["event_class"])]

    def samples(self) -> NDArray[np.float64]:
        """Mix: 0.2 times background plus scaled event, over its peak if that reaches 1.

        Returns
        -------
        float64 array of shape (n_samples,)
            At 44.1 kHz.
        """
        folder = data_folder(self.root)
        mixture = background_of(folder, self.recipe, self.mixture_length).copy()
        if self.recipe["event_present"]:
            event = event_of(folder, self.recipe)
            start = int(self.recipe["event_start_in_mixture_seconds"] * SAMPLE_RATE)
            # Rounding may make the event one sample longer than the space for it.
            event = event[: len(mixture) - start]
            mixture[start : start + len(event)] += self.recipe["scaling_factor"] * event
        mixture *= HEADROOM
        peak = np.abs(mixture).max()
        return mixture / peak if peak >= 1 else mixture

    def _files(self) -> list[Path]:
        """What the samples are made of."""
        return files_of(data_folder(self.root), self.recipe)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self.samples().astype(dtype or np.float32, copy=False)

    def __repr__(self) -> str:
        return f"Mixture({self.recipe['mixture_audio_filename']!r})"


def _run(tasks: Any, n_tasks: int, n_jobs: int | None, verbose: int, description: str) -> list[Any]:
    from tqdm.auto import tqdm

    parallel = Parallel(n_jobs=n_jobs, prefer="threads")
    # Some backends, such as that of Ray, return only whole lists, so the bar moves at the end only.
    if getattr(parallel._backend, "supports_return_generator", False):
        parallel = Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator")
    bar = tqdm(parallel(tasks), total=n_tasks, desc=description, disable=not verbose)
    return list(bar)


def _rms(samples: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(samples**2))) if len(samples) else 0.0


def synthesize_mixtures(
    root: str | PathLike[str],
    recipes: Mapping[str, Sequence[Recipe]],
    *,
    output_dir: str | PathLike[str] | None = None,
    lazy: bool = False,
    mixture_length: float = 30.0,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> tuple[list[Any], list[list[tuple[float, float, str]]]]:
    """Make mixtures of recipes: in memory, on disk, or when they are asked for.

    Parameters
    ----------
    root : str or PathLike
        Folder with ``source_data``.
    recipes : dict of str to list of dict
        From :func:`generate_mixture_recipes`.
    output_dir : str or PathLike, default=None
        Write 24-bit WAV files to its folder ``audio``, and recipes and event lists in the
        challenge's formats to ``meta``. Files that are there already are kept if they have
        the right length, which their names do not tell.
    lazy : bool, default=False
        Give :class:`Mixture` objects, which make their samples when asked.
    mixture_length : float, default=30.0
        Seconds, as for the recipes.
    n_jobs : int, default=None
        Threads.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    X : list of n_mixtures float32 arrays, Mixture objects, or paths if written to disk
        Class after class, in the order of the recipes.
    y : list of n_mixtures lists of (onset, offset, label)
        In seconds.

    Examples
    --------
    >>> X, y = synthesize_mixtures(root, recipes, n_jobs=2)  # doctest: +SKIP
    """
    mixtures = [Mixture(root, recipe, mixture_length) for own in recipes.values() for recipe in own]
    y = [mixture.events for mixture in mixtures]
    if lazy and output_dir is None:
        return mixtures, y
    if output_dir is None:
        tasks = (delayed(np.asarray)(mixture) for mixture in mixtures)
        return _run(tasks, len(mixtures), n_jobs, verbose, "mixtures"), y
    folder = Path(output_dir)
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    tasks = (delayed(_write)(mixture, folder / "audio") for mixture in mixtures)
    paths = _run(tasks, len(mixtures), n_jobs, verbose, "mixtures")
    write_meta(folder / "meta", recipes)
    return paths, y


def _write(mixture: Mixture, folder: Path) -> Path:
    """Write one mixture, which gets its name only when it is complete."""
    path = folder / mixture.recipe["mixture_audio_filename"]
    n_samples = round(mixture.mixture_length * SAMPLE_RATE)
    if not path.exists() or round(audio_duration(path) * SAMPLE_RATE) != n_samples:
        write_clip(path, mixture.samples(), SAMPLE_RATE)
    return path
