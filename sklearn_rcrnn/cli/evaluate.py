"""``rcrnn evaluate``: scores of found events."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from .._utils.text import counted, some
from ._columns import Columns, with_columns
from ._common import Log, app, compare_labels, fail, measured, rate_text, recordings_in

# The values that a row of the printed table shows, with the headings of their columns.
_COUNTS = {
    "n_true": "true",
    "n_found": "found",
    "n_right": "right",
    "n_misplaced": "misplaced",
    "n_missed": "missed",
    "n_false": "false",
}


@app.command()
@with_columns
def evaluate(
    true: Annotated[Path, typer.Argument(help="Table or folder of the true events.")],
    found: Annotated[Path, typer.Argument(help="Table or folder of the found events.")],
    recordings: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the recordings: for false alarms an hour, and to count those "
            "that no table names."
        ),
    ] = None,
    collar: Annotated[float, typer.Option(min=0, help="Tolerance of onsets, in seconds.")] = 0.5,
    offsets: Annotated[bool, typer.Option(help="Offsets must match, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    table_columns: Columns = None,
) -> None:
    """Score found events against true ones, by label, and say what became of each event.

    A true event is found right, found but misplaced by more than the tolerance, or missed. A
    found event that is neither right nor misplaced is false.

    Recordings are those of the true table. One without an event belongs in it, too, in a
    row with its name alone: otherwise nobody knows that what was found there is false. With
    --recordings, all that can be read in the folder count. Options for columns are about the
    true table.

    \b
    rcrnn evaluate truth.csv found.csv
    rcrnn evaluate truth.csv found.csv --recordings nights/
    """
    from ..annotations.tables import read_events
    from ..evaluation import detection_summary

    log = Log(quiet=False, as_json=False)
    try:
        reference = read_events(true, columns=table_columns)
        estimate = read_events(found)
        durations, broken = (None, {}) if recordings is None else _durations([recordings])
        names, y_true, y_found, unmatched = _aligned(reference, estimate, durations)
        if broken:
            names, y_true, y_found = _readable(
                broken, list(zip(names, y_true, y_found, strict=True))
            )
            unmatched["no_truth"] = [name for name in unmatched["no_truth"] if name not in broken]
        compare_labels(y_true, y_found, log)
        known = durations or _durations_where_they_lie(names, true, log)
        # Without the length of each recording, nobody knows of how many hours false alarms are.
        durations = known if all(name in known for name in names) else None
        unmatched["behind_end"] = [
            name
            for name, *lists in zip(names, y_true, y_found, strict=True)
            if any(e.onset >= known.get(name, math.inf) for own in lists for e in own)
        ]
        result = detection_summary(
            y_true,
            y_found,
            durations=None if durations is None else [durations[name] for name in names],
            t_collar=collar,
            evaluate_offset=offsets,
        )
    except (OSError, TypeError, ValueError) as error:
        fail(str(error))
    if as_json:
        typer.echo(json.dumps(_as_json(result, names, unmatched), ensure_ascii=False))
        return
    typer.echo("\n".join([*_table(result), *_remarks(result, unmatched)]))


def _aligned(
    reference: Mapping[str, Any], estimate: Mapping[str, Any], durations: Mapping[str, float] | None
) -> tuple[list[str], list[Any], list[Any], dict[str, list[str]]]:
    """Pair the recordings of two tables; return their events, and the names without a pair."""
    from ..annotations.recording_names import matching_names

    names = list(reference if durations is None else durations)
    in_truth: list[str | None] = list(names)
    if durations is not None:
        in_truth = matching_names(reference, names)
    in_found = matching_names(estimate, names)
    y_true = [[] if name is None else reference[name] for name in in_truth]
    y_found = [[] if name is None else estimate[name] for name in in_found]
    used, scored = set(in_found), set(in_truth)
    unmatched = {
        "only_true": [name for name, own in zip(names, in_found, strict=True) if own is None],
        # A recording without events in either table has no effect on the scores.
        "only_found": [name for name, own in estimate.items() if own and name not in used],
        "no_recording": [name for name in reference if name not in scored],
        "no_truth": [name for name, own in zip(names, in_truth, strict=True) if own is None],
    }
    return names, y_true, y_found, unmatched


def _durations(places: list[Path]) -> tuple[dict[str, float], dict[str, Exception]]:
    """Durations of the recordings, 0 for those that cannot be read, and the errors of these."""
    from ..audio import audio_duration

    paths = recordings_in(places)
    durations, broken = measured(paths, audio_duration)
    return (
        {str(path): durations.get(path, 0.0) for path in paths},
        {str(path): error for path, error in broken.items()},
    )


def _readable(
    broken: Mapping[str, Exception], rows: Sequence[tuple[str, Any, Any]]
) -> tuple[list[str], list[Any], list[Any]]:
    """Names and events without the recordings that cannot be read, which are reported.

    One of them that has events is an error, because these count.
    """
    for name, *events in rows:
        if name in broken and any(events):
            raise broken[name]
    for error in broken.values():
        typer.echo(f"rcrnn: left out: {error}", err=True)
    kept = [row for row in rows if row[0] not in broken]
    if not kept:
        raise ValueError("no recording of the folder can be read")
    return [row[0] for row in kept], [row[1] for row in kept], [row[2] for row in kept]


def _durations_where_they_lie(names: Sequence[str], table: Path, log: Log) -> dict[str, float]:
    """Durations of the files that the table names, as far as they are there.

    A warning tells of those that cannot be read: the scores do not need them.
    """
    from ..audio import audio_duration

    folder = table if table.is_dir() else table.parent
    lying = {
        name: path
        for name in names
        if (path := next(filter(Path.is_file, (Path(name), folder / name)), None))
    }
    durations, broken = measured(lying.values(), audio_duration)
    for name, path in lying.items():
        if error := broken.get(path):
            text = f"no false alarms an hour, and no check of the times in {name}: {error}"
            log.say("warning", text, file=name, error=str(error))
    return {name: durations[path] for name, path in lying.items() if path in durations}


def _as_json(result: Any, names: list[str], unmatched: dict[str, list[str]]) -> dict[str, Any]:
    return {
        "n_recordings": len(names),
        "hours": result.hours,
        "labels": {str(k): row for k, row in zip(result.labels, result.by_label, strict=True)},
        "all": result.overall,
        "taken_for": [
            {"label": str(label), "as": str(other), "n_events": n}
            for label, other, n in _confused(result)
        ],
        "unmatched": unmatched,
    }


def _confused(result: Any) -> list[tuple[Any, Any, int]]:
    """Count how often one label was taken for another, the most frequent pair first."""
    pairs = [
        (label, other, int(n))
        for label, row in zip(result.labels, result.confusions.tolist(), strict=True)
        for other, n in zip(result.labels, row, strict=True)
        if n
    ]
    return sorted(pairs, key=lambda pair: -pair[2])


def _table(result: Any) -> list[str]:
    """Format the scores as columns, with a row for each label and one for all."""
    head = ["label", *_COUNTS.values(), "error rate", "F-score"]
    if result.hours is not None:
        head.append("false/hour")
    rows = [head]
    for label, row in [*zip(result.labels, result.by_label, strict=True), ("all", result.overall)]:
        texts = [str(label), *(str(row[name]) for name in _COUNTS)]
        texts += [rate_text(row[name], 3) for name in ("error_rate", "f_score")]
        if result.hours is not None:
            texts.append(f"{row['false_alarms_per_hour']:.1f}")
        rows.append(texts)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    ]


def _remarks(result: Any, unmatched: dict[str, list[str]]) -> list[str]:
    """Sentences below the table, on confusions and on recordings that were not paired."""
    lines = [
        f"{counted(n, 'event')} of {label} taken for {other}"
        for label, other, n in _confused(result)
    ]
    if not result.overall["n_true"]:
        false = counted(result.overall["n_false"], "false alarm")
        lines.append(f"No event is true, so there is no error rate and no F-score: {false}.")
    told = {
        "only_true": "not in the found events, taken as empty",
        "only_found": "not in the true events, and not scored",
        "no_recording": "of the true events not in the folder, and not scored",
        "no_truth": "in the folder without a row in the true events, taken as without events",
        "behind_end": "with events that begin after its end (is it another recording's table?)",
    }
    for key, text in told.items():
        if names := unmatched[key]:
            lines.append(f"{counted(len(names), 'recording')} {text}: {some(names)}")
    return ["", *lines] if lines else []
