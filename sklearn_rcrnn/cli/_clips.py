"""What ``train`` and ``tune`` share: clips of recordings, their options, the pipeline."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, NoReturn

import typer

from .._utils.files import same_files
from .._utils.text import counted, some
from ._columns import Columns
from ._common import Log, measured, recordings_in

if TYPE_CHECKING:
    from ..events import Event

Recordings = Annotated[Path, typer.Argument(help="Folder of recordings, or one recording.")]
Table = Annotated[Path, typer.Argument(help="Table of their events, or folder of tables.")]
Epochs = Annotated[
    int, typer.Option(min=1, help="Passes over the clips, or over 256 if there are fewer.")
]
Start = Annotated[
    str,
    typer.Option(
        help="Weights to begin with: a model of the package (see `rcrnn models`), a folder of "
        "a model, or none for random ones."
    ),
]
ClipLength = Annotated[
    float, typer.Option(min=1, help="Seconds of the clips into which recordings are cut.")
]
EmptyRatio = Annotated[
    float, typer.Option(min=0, help="Clips without an event for each clip with one, at most.")
]
Corrections = Annotated[
    Path | None, typer.Option(help="Table of corrections that a page of `rcrnn report` exported.")
]
Seed = Annotated[int, typer.Option(help="Random seed of weights, split and order of clips.")]


class Clips(NamedTuple):
    """Clips, their events, and the recordings that they were cut from.

    Attributes
    ----------
    X, y : lists of n_clips excerpts, and of lists of events
    groups : int array of shape (n_clips,)
        The place of its recording in `recordings`, for each clip.
    recordings, events, undecided : lists of n_recordings
        Paths, events, and those events that nobody has decided on.
    failures : sequence of dict
        The ``file`` and the ``error`` of each recording that cannot be read.
    """

    X: list[Any]
    y: list[Any]
    groups: Any
    recordings: list[Path]
    events: list[list[Event]]
    undecided: list[list[Event]]
    failures: Sequence[dict[str, str]] = ()

    @property
    def n_recordings(self) -> int:
        """How many recordings there are clips of: one without an event may have none."""
        return len(set(self.groups.tolist()))

    def take(self, indices: Any) -> tuple[list[Any], list[Any]]:
        """Some of the clips and their events."""
        return [self.X[i] for i in indices], [self.y[i] for i in indices]


def read_clips(
    recordings: Path,
    table: Path,
    *,
    length: float,
    empty_ratio: float,
    seed: int,
    log: Log,
    corrections: Path | None = None,
    columns: Columns = None,
) -> Clips:
    """Recordings with their events, cut into clips; those that cannot be read are reported.

    Clips with an event that nobody has decided on in the `corrections` are left out. Recordings
    that the table does not name count as recordings without events, and a warning names them.
    """
    from ..annotations.recording_names import matching_names, without_path
    from ..annotations.tables import read_events
    from ..datasets import cut_recordings

    paths = recordings_in([recordings])
    durations, failures = _usable(paths, log)
    usable = list(durations)
    events = read_events(table, columns=columns)
    # Also those that cannot be used: else their events could go to others of the same name.
    names = dict(zip(paths, matching_names(events, paths), strict=True))
    matched = [names[path] for path in usable]
    y = [[] if name is None else events[name] for name in matched]
    undecided: list[list[Event]] = [[] for _ in usable]
    if corrections is not None:
        n_before = sum(map(len, y))
        decided = _corrections_of(paths, corrections, log)
        y, undecided = _corrected([decided[path] for path in usable], y, corrections, log)
        undecided = _of_same_files(usable, undecided)
        if n_before and not any(y):
            raise ValueError(
                f"{corrections} rejects all {n_before} events of {table}: there is nothing to learn"
            )
    y = _audible(durations, y, table, log)
    X, clips, groups = cut_recordings(
        usable, y, clip_length=length, empty_ratio=empty_ratio, random_state=seed
    )
    known = [
        i
        for i, clip in enumerate(X)
        if not any(e.onset < clip.stop and e.offset > clip.start for e in undecided[groups[i]])
    ]
    if len(known) < len(X):
        log.say("undecided", f"{counted(len(X) - len(known), 'clip')} left out: undecided events")
    X, clips, groups = [X[i] for i in known], [clips[i] for i in known], groups[known]
    n_events = sum(map(len, y))
    if not n_events:
        total = sum(map(len, events.values()))
        raise ValueError(
            f"None of the {total} events of {table} belongs to a recording "
            f"in {recordings}: the table names {some(list(events))}, the folder has "
            f"{some([path.name for path in usable])}"
        )
    if absent := without_path(events, names.values()):
        log.say("warning", f"no recording for the events of {some(absent)}", files=absent)
    unnamed = [p.name for p, n, own in zip(usable, matched, y, strict=True) if not (n or own)]
    say_unnamed(unnamed, table, log)
    _say_read(y, len(X), log)
    own: dict[str, Any] = {"recordings": usable, "events": y, "undecided": undecided}
    return Clips(X, clips, groups, failures=failures, **own)


def _of_same_files(paths: list[Path], events: list[list[Event]]) -> list[list[Event]]:
    """For each path, the events of all paths that are the same file, as links are."""
    first = same_files(paths)
    joined: dict[int, list[Event]] = defaultdict(list)
    for place, own in zip(first, events, strict=True):
        joined[place] += own
    return [joined[place] for place in first]


def say_unnamed(names: list[str], table: Path, log: Log) -> None:
    """Warn of recordings that a table does not name, and that therefore count as empty."""
    if names:
        text = f"{counted(len(names), 'recording')} without a row in {table}, taken for recordings "
        log.say("warning", f"{text}without events: {some(names)}", files=names)


def _say_read(y: list[list[Event]], n_clips: int, log: Log) -> None:
    """Say how much was read; the labels show whether a wrong column was taken for them."""
    by_label = Counter(str(event.label) for own in y for event in own)
    n_events = by_label.total()
    labels = some([f"{label} {n}" for label, n in sorted(by_label.items())], 10)
    log.say(
        "read",
        f"{counted(len(y), 'recording')}, {counted(n_events, 'event')} ({labels}), "
        f"{counted(n_clips, 'clip')}",
        n_recordings=len(y),
        n_events=n_events,
        n_clips=n_clips,
        events=dict(sorted(by_label.items())),
    )


def _usable(paths: list[Path], log: Log) -> tuple[dict[Path, float], list[dict[str, str]]]:
    """Durations of the recordings that can be used as a whole; the others are reported."""
    from ..audio import check_audio

    durations, broken = measured(paths, check_audio)
    failures = [{"file": str(path), "error": str(error)} for path, error in broken.items()]
    for failure in failures:
        log.say("error", f"left out: {failure['error']}", **failure)
    return durations, failures


def conclude(clips: Clips, text: str, log: Log, facts: dict[str, Any]) -> NoReturn:
    """Say that all is done, and last what could not be read; end with the exit code for that."""
    n_failed = len(clips.failures)
    if n_failed:
        names = some([Path(row["file"]).name for row in clips.failures])
        text += f"\n{counted(n_failed, 'recording')} failed: {names}"
    told = {**facts, "n_failed": n_failed, "failures": [*clips.failures]}
    log.say("finished", text.strip(), **told)
    raise typer.Exit(1 if n_failed else 0)


def _audible(
    durations: dict[Path, float], y: list[list[Event]], table: Path, log: Log
) -> list[list[Event]]:
    """Drop events after the end of their recording, which may have been cut short.

    Raises
    ------
    ValueError
        If most events lie after the ends, which means that the times are wrong.
    """
    heard: list[list[Event]] = []
    for (path, duration), own in zip(durations.items(), y, strict=True):
        # Event lists are rounded to milliseconds, so an event may end a millisecond late.
        late = [event for event in own if event.offset > duration + 1e-3]
        lost = [event for event in late if event.onset >= duration]
        heard.append([e._replace(offset=min(e.offset, duration)) for e in own if e not in lost])
        if late:
            text = (
                f"{path} ends at {duration:.2f} s, before events of the table do: {_times(late)}. "
                "What lies behind the end is left out"
            )
            log.say("warning", text, file=str(path), left_out=len(lost))
    n_events, n_heard = (sum(map(len, lists)) for lists in (y, heard))
    if n_heard < n_events / 2:
        raise ValueError(
            f"{n_events - n_heard} of {n_events} events of {table} lie behind the ends of their "
            "recordings. Are the times in seconds, and is it the table of these recordings?"
        )
    return heard


def _times(events: list[Event]) -> str:
    return some([f"{event.label} from {event.onset:g} to {event.offset:g} s" for event in events])


def _corrections_of(paths: list[Path], table: Path, log: Log) -> dict[Path, list[Any]]:
    """The corrections of each recording; a warning tells of those of none."""
    from ..annotations import read_corrections
    from ..annotations.recording_names import matching_names

    corrections = read_corrections(table)
    matched = matching_names(corrections, paths)
    if absent := sorted(set(corrections) - set(matched)):
        log.say("warning", f"no recording for the corrections of {some(absent)}", files=absent)
    return {
        path: [] if name is None else corrections[name]
        for path, name in zip(paths, matched, strict=True)
    }


def _corrected(
    corrections: list[list[Any]], y: list[list[Event]], table: Path, log: Log
) -> tuple[list[list[Event]], list[list[Event]]]:
    """Apply corrections; return the events of each recording, and those still undecided."""
    from ..annotations import apply_corrections
    from ..annotations.rows import alike_labels

    corrected = [apply_corrections(*both) for both in zip(y, corrections, strict=True)]
    events = [c.events for c in corrected]
    # A table with scores is what a detector found, and may be what was to be corrected.
    scored = [
        event
        for before, after, own in zip(y, corrected, corrections, strict=True)
        for event in _without_scored(before, own)
        if event not in after.undecided
    ]
    if scored:
        text = f"{counted(len(scored), 'event')} that nobody has decided on in {table} count as "
        text += f"events, because the table of events has them: {_times(scored)}"
        log.say("warning", text, n_events=len(scored))
    if alike := alike_labels(event.label for own in events for event in own):
        log.say("warning", f"labels differ only by case or form after corrections: {some(alike)}")
    return events, [c.undecided for c in corrected]


def _without_scored(events: list[Event], corrections: list[Any]) -> list[Event]:
    """What nobody has decided on if only those events of the table count that have no score."""
    from ..annotations import apply_corrections

    return apply_corrections([e for e in events if e.score == 1], corrections).undecided


def new_pipeline(epochs: int, seed: int, jobs: int, start: str, **params: Any) -> Any:
    """A pipeline that trains for so many epochs, whatever comes, from a start or from scratch."""
    from .. import FeatureAugmentation, make_rcrnn_pipeline

    settings = {
        "validation_fraction": None,
        "augmentation": FeatureAugmentation(),
        "batch_size": 8,
        "max_epochs": epochs,
        "random_state": seed,
    }
    return make_rcrnn_pipeline(start=start, n_jobs=jobs, **{**settings, **params})


def say_start(pipe: Any, start: str, log: Log) -> None:
    """Say what a training starts from, and under which license that puts the new model."""
    from ..models.provenance import provenance_of

    first = pipe[-1].pretrainer
    if first is None or start == "none":
        log.say("start", "started from random weights", start=None)
        return
    known = provenance_of(first.estimator)
    text = f"started from {start}"
    if license_ := known.get("license"):
        text += f", whose license holds for the new model, too: {license_}"
    log.say("start", text, start=start, license=known.get("license"))
