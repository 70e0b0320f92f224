"""``rcrnn tune``: settings by cross-validation."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from .._utils.files import complete
from .._utils.text import counted
from ..models import DEFAULT_START, NO_START
from ._clips import (
    ClipLength,
    Clips,
    EmptyRatio,
    Epochs,
    Recordings,
    Seed,
    Start,
    Table,
    new_pipeline,
    read_clips,
    say_start,
)
from ._columns import Columns, with_columns
from ._common import JsonLogs, Log, Quiet, app, fail


class Search(str, Enum):
    """How settings are tried: all at full length, or the better ones for longer."""

    grid = "grid"
    halving = "halving"


@app.command()
@with_columns
def tune(
    recordings: Recordings,
    events: Table,
    param: Annotated[
        list[str],
        typer.Option("--param", "-p", help="A parameter of RCRNNDetector and values to try."),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="CSV of the results.")
    ] = None,
    search: Annotated[Search, typer.Option(help="All in full, or the better for longer.")] = (
        Search.grid
    ),
    folds: Annotated[int, typer.Option(min=2, help="Of the cross-validation, by recording.")] = 3,
    epochs: Epochs = 20,
    clip_length: ClipLength = 10.0,
    empty_ratio: EmptyRatio = 1.0,
    start: Start = DEFAULT_START,
    seed: Seed = 0,
    jobs: Annotated[int, typer.Option(help="Trainings side by side.")] = 1,
    quiet: Quiet = False,
    as_json: JsonLogs = False,
    table_columns: Columns = None,
) -> None:
    """Try settings by cross-validation and print a table, the best first.

    \b
    rcrnn tune recordings/ events.csv -p gru_units=50,100 --start none
    rcrnn tune recordings/ events.csv -p lr=3e-4,1e-3 --search halving -o tuned.csv
    """
    log = Log(quiet, as_json)
    try:
        grid = _grid(param)
        clips = read_clips(
            *(recordings, events, clip_length, empty_ratio, seed, log), columns=table_columns
        )
        pipe = new_pipeline(epochs, seed, 1, start)
        _check_grid(grid, pipe, start)
        say_start(pipe, start, log)
        results = _search(pipe, clips, grid, search=search, folds=folds, jobs=jobs)
    except (OSError, TypeError, ValueError) as error:
        fail(str(error))
    columns = [*grid, "error rate", "spread", "epochs"]
    _print_table(columns, results)
    if output is not None:
        import csv

        with (
            complete(output) as partial,
            open(partial, "w", newline="", encoding="utf-8") as file,
        ):
            csv.writer(file).writerows([columns, *results])
    log.say("finished", n_settings=len(results))


def _grid(texts: list[str]) -> dict[str, list[Any]]:
    """Values of each parameter, from texts like ``gru_units=50,100``."""
    import yaml

    from .. import RCRNNDetector

    known = sorted(RCRNNDetector().get_params())
    grid = {}
    for text in texts:
        name, _, values = text.partition("=")
        if not values:
            raise ValueError(f"--param must be like gru_units=50,100; got {text!r}")
        if name not in known:
            raise ValueError(f"RCRNNDetector has no parameter {name!r}; it has {', '.join(known)}")
        # YAML takes 1e-3 for a word.
        grid[name] = [_number(yaml.safe_load(value)) for value in values.split(",")]
    return grid


def _number(value: Any) -> Any:
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _check_grid(grid: dict[str, list[Any]], pipe: Any, start: str) -> None:
    """Settings that belong to the weights of a start cannot be tried with it."""
    from ..training.initial_weights import shared_params

    fixed = sorted(set(grid) & set(shared_params(pipe[-1])))
    if start != NO_START and fixed:
        raise ValueError(
            f"{' and '.join(fixed)} cannot be tried with --start {start}, whose weights have "
            f"{', '.join(f'{name}={getattr(pipe[-1], name)!r}' for name in fixed)}: give "
            "--start none"
        )


def _search(
    pipe: Any,
    clips: Clips,
    grid: dict[str, list[Any]],
    *,
    search: Search,
    folds: int,
    jobs: int,
) -> list[list[Any]]:
    """Values, mean error rate over the folds, its deviation and epochs of each setting."""
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401
    from sklearn.model_selection import GridSearchCV, GroupKFold, HalvingGridSearchCV

    from ..metrics import error_rate_scorer

    if clips.n_recordings < folds:
        raise ValueError(
            f"{counted(clips.n_recordings, 'recording')} with clips cannot make {folds} folds: "
            "give more recordings with events, or fewer --folds"
        )
    settings: dict[str, Any] = {
        "scoring": error_rate_scorer,
        "cv": GroupKFold(folds),
        "refit": False,
        "n_jobs": jobs,
        "error_score": "raise",
    }
    epochs, seed = pipe[-1].max_epochs, pipe[-1].random_state
    prefixed = {f"detector__{name}": values for name, values in grid.items()}
    if search is Search.grid:
        chosen = GridSearchCV(pipe, prefixed, **settings)
    else:
        chosen = HalvingGridSearchCV(
            pipe,
            prefixed,
            resource="detector__max_epochs",
            max_resources=epochs,
            min_resources=max(1, epochs // 4),
            factor=2,
            random_state=seed,
            **settings,
        )
    chosen.fit(clips.X, clips.y, groups=clips.groups)
    results = chosen.cv_results_
    rounds = results.get("n_resources", [epochs] * len(results["params"]))
    rows = [
        [*(params[name] for name in prefixed), round(-mean, 4), round(spread, 4), int(n)]
        for params, mean, spread, n in zip(
            results["params"],
            results["mean_test_score"].tolist(),
            results["std_test_score"].tolist(),
            rounds,
            strict=True,
        )
    ]
    return sorted(rows, key=lambda row: (-row[-1], row[-3]))


def _print_table(columns: list[str], rows: list[list[Any]]) -> None:
    texts = [columns, *([str(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for row in texts:
        typer.echo("  ".join(f"{text:>{width}}" for text, width in zip(row, widths, strict=True)))
