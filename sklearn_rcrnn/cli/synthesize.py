"""``rcrnn synthesize``: mixtures and synthesized recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .._utils.text import counted, some
from ._common import JsonLogs, Log, Quiet, app, fail, recordings_in, typed


@app.command()
def synthesize(
    ctx: typer.Context,
    output: Annotated[
        Path, typer.Argument(help="Folder to write to; it must not have an events.csv.")
    ],
    source: Annotated[
        Path | None,
        typer.Option(help="Source material as DCASE 2017 task 2 has it; none: tones and noise."),
    ] = None,
    subset: Annotated[
        str, typer.Option(help="Subset of the source material, with --source.")
    ] = "devtrain",
    clips: Annotated[
        int, typer.Option(min=1, help="Number of clips; with --source, of each class.")
    ] = 100,
    length: Annotated[float, typer.Option(min=1, help="Seconds of a clip.")] = 30.0,
    presence: Annotated[
        float, typer.Option(min=0, max=1, help="Part of the clips that has an event, from 0 to 1.")
    ] = 0.5,
    seed: Annotated[int, typer.Option(help="The same seed makes the same clips.")] = 42,
    jobs: Annotated[int, typer.Option(help="Number of threads that mix, with --source.")] = 2,
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
    from ..annotations.tables import write_events
    from ..events import check_event_lists

    log = Log(quiet, as_json)
    if source is None and (vain := typed(ctx, "subset", "jobs")):
        fail(f"{' and '.join(vain)} would have no effect: they are for --source")
    if (output / "events.csv").exists():
        fail(
            f"{output / 'events.csv'} is there already, and the clips beside it would count as "
            "recordings without events: give a new folder"
        )
    try:
        if source is None:
            paths, y = _synthetic(output, clips, length, presence, seed)
        else:
            paths, y = _mixtures(
                output,
                source,
                subset,
                clips=clips,
                length=length,
                presence=presence,
                seed=seed,
                jobs=jobs,
            )
        names = [str(path.relative_to(output)) for path in paths]
        lists = check_event_lists(y)
        write_events(dict(zip(names, lists, strict=True)), output / "events.csv")
    except (OSError, ValueError) as error:
        fail(str(error))
    if others := sorted(set(recordings_in([output])) - set(paths)):
        log.say(
            "warning",
            f"{output} has other recordings, perhaps of a run that was stopped, which count as "
            f"recordings without events: {some([path.name for path in others])}",
            n_others=len(others),
        )
    n_events = sum(map(len, lists))
    text = f"{output}: {counted(len(paths), 'clip')}, {counted(n_events, 'event')}"
    log.say("finished", text, n_clips=len(paths), n_events=n_events)


def _synthetic(
    output: Path, clips: int, length: float, presence: float, seed: int
) -> tuple[list[Path], Any]:
    from ..datasets import make_rare_events
    from ..datasets._writing import write_clip

    X, y = make_rare_events(clips, duration=length, event_presence_prob=presence, random_state=seed)
    output.mkdir(parents=True, exist_ok=True)
    paths = [output / f"clip_{i:05}.wav" for i in range(len(X))]
    for path, samples in zip(paths, X, strict=True):
        write_clip(path, samples, 44100)
    return paths, y


def _mixtures(
    output: Path,
    source: Path,
    subset: str,
    *,
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
