"""``rcrnn evaluate`` and ``synthesize``: event lists and recordings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ..wording import counted, some
from .common import JsonLogs, Log, Quiet, app, fail, label_scores, rate_text


@app.command()
def evaluate(
    true: Annotated[Path, typer.Argument(help="Table or folder of the true events.")],
    found: Annotated[Path, typer.Argument(help="Table or folder of the found events.")],
    collar: Annotated[float, typer.Option(help="Tolerance in seconds.")] = 0.5,
    offsets: Annotated[bool, typer.Option(help="Offsets must match, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score found events against true ones, by label.

    Recordings are those of the true table. One without an event belongs into it, too, in a
    row with its name alone: else nobody knows that what was found there is false.

    \b
    rcrnn evaluate truth.csv found.csv
    """
    from ..annotations import read_events
    from ..matching import matching_names
    from ..metrics import event_based_error_rate, event_based_f_score

    try:
        reference, estimate = read_events(true), read_events(found)
        y_true = list(reference.values())
        matched = matching_names(estimate, reference)
        _tell_unmatched(reference, estimate, matched)
        y_found = [[] if name is None else estimate[name] for name in matched]
        labels = sorted({event.label for clip in (*y_true, *y_found) for event in clip})
        criteria: dict[str, Any] = {"t_collar": collar, "evaluate_offset": offsets}
        rows = label_scores(y_true, y_found, labels, **criteria)
        rows["all"] = {
            "error_rate": float(event_based_error_rate(y_true, y_found, **criteria)),
            "f_score": float(event_based_f_score(y_true, y_found, zero_division=0, **criteria)),
        }
    except (OSError, TypeError, ValueError) as error:
        fail(str(error))
    if as_json:
        names = ("error_rate", "f_score")
        typer.echo(json.dumps({k: {name: row[name] for name in names} for k, row in rows.items()}))
        return
    width = max(len(label) for label in rows)
    typer.echo(f"{'label':<{width}}  error rate  F-score")
    for label, row in rows.items():
        rate = rate_text(row["error_rate"], 3)
        typer.echo(f"{label:<{width}}  {rate:>10}  {row['f_score']:7.3f}")


def _tell_unmatched(reference: Any, estimate: Any, matched: list[str | None]) -> None:
    """Say which recordings only one of the tables names, for the scores hang on them."""
    used = set(matched)
    missing = [name for name, own in zip(reference, matched, strict=True) if own is None]
    extra = [name for name in estimate if estimate[name] and name not in used]
    if missing:
        text = f"{counted(len(missing), 'recording')} not in the found events, taken as empty"
        typer.echo(f"{text}: {some(missing)}", err=True)
    if extra:
        text = f"{counted(len(extra), 'recording')} not in the true events, and not scored"
        typer.echo(f"{text}: {some(extra)}", err=True)


@app.command()
def synthesize(
    output: Annotated[Path, typer.Argument(help="Folder to write to.")],
    source: Annotated[
        Path | None,
        typer.Option(help="Source material as DCASE 2017 task 2 has it; none: tones and noise."),
    ] = None,
    subset: Annotated[str, typer.Option(help="Of the source material.")] = "devtrain",
    clips: Annotated[int, typer.Option(min=1, help="Clips; with --source, of each class.")] = 100,
    length: Annotated[float, typer.Option(min=1, help="Seconds of a clip.")] = 30.0,
    presence: Annotated[float, typer.Option(min=0, max=1, help="Part that has an event.")] = 0.5,
    seed: Annotated[int, typer.Option(help="The same seed makes the same clips.")] = 42,
    jobs: Annotated[int, typer.Option(help="Threads.")] = 2,
    quiet: Quiet = False,
    as_json: JsonLogs = False,
) -> None:
    """Write clips with known events, and the table of them, events.csv.

    With the challenge's source material and its parameters (--source, --clips 500, 30 s, seed
    42) these are the challenge's mixtures, sample by sample.

    \b
    rcrnn synthesize clips/ --clips 20
    rcrnn synthesize mixtures/ --source TUT-rare-sound-events-2017-development
    """
    from ..annotations import write_events
    from ..events import check_event_lists

    log = Log(quiet, as_json)
    try:
        if source is None:
            paths, y = _synthetic(output, clips, length, presence, seed)
        else:
            paths, y = _mixtures(output, source, subset, clips, length, presence, seed, jobs)
        names = [str(path.relative_to(output)) for path in paths]
        lists = check_event_lists(y)
        write_events(dict(zip(names, lists, strict=True)), output / "events.csv")
    except (OSError, ValueError) as error:
        fail(str(error))
    n_events = sum(map(len, lists))
    text = f"{output}: {counted(len(paths), 'clip')}, {counted(n_events, 'event')}"
    log.say("finished", text, n_clips=len(paths), n_events=n_events)


def _synthetic(
    output: Path, clips: int, length: float, presence: float, seed: int
) -> tuple[list[Path], Any]:
    import soundfile

    from ..datasets import make_rare_events

    X, y = make_rare_events(clips, duration=length, event_presence_prob=presence, random_state=seed)
    output.mkdir(parents=True, exist_ok=True)
    paths = [output / f"clip_{i:05}.wav" for i in range(len(X))]
    for path, samples in zip(paths, X, strict=True):
        soundfile.write(path, samples, 44100, subtype="PCM_24")
    return paths, y


def _mixtures(
    output: Path,
    source: Path,
    subset: str,
    clips: int,
    length: float,
    presence: float,
    seed: int,
    jobs: int,
) -> tuple[list[Path], Any]:
    from ..datasets import generate_mixture_recipes, synthesize_mixtures

    recipes = generate_mixture_recipes(
        source,
        subset,
        mixtures_per_class=clips,
        event_presence_prob=presence,
        mixture_length=length,
        random_state=seed,
        n_jobs=jobs,
    )
    return synthesize_mixtures(
        source, recipes, output_dir=output, mixture_length=length, n_jobs=jobs
    )
