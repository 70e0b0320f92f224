"""``rcrnn tune``: settings by cross-validation."""

from __future__ import annotations

import math
import time
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from .._utils.files import complete
from .._utils.text import counted
from ..models import DEFAULT_START
from ._clips import (
    ClipLength,
    Clips,
    EmptyRatio,
    Epochs,
    Recordings,
    Seed,
    Start,
    Table,
    conclude,
    new_pipeline,
    read_clips,
    say_start,
)
from ._columns import Columns, with_columns
from ._common import JsonLogs, Log, Quiet, app, check_output, fail, typed
from ._training_run import (
    Config,
    Lr,
    after_config,
    check_values,
    parameter_name,
    parse_values,
    set_params,
)


class Search(str, Enum):
    """How settings are tried: all at full length, or the better ones for longer."""

    grid = "grid"
    halving = "halving"


@app.command()
@with_columns
def tune(
    ctx: typer.Context,
    recordings: Recordings,
    events: Table,
    param: Annotated[
        list[str],
        typer.Option(
            "--param",
            "-p",
            callback=after_config,
            help="NAME=VALUE,VALUE: values to try of a parameter of RCRNNDetector or, with --start "
            "none, of the features as lfbe__...",
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="CSV of the results.")
    ] = None,
    search: Annotated[
        Search, typer.Option(help="All settings for all epochs, or the better ones for longer.")
    ] = (Search.grid),
    folds: Annotated[
        int,
        typer.Option(
            min=2, help="Number of folds of the cross-validation; each recording is in one fold."
        ),
    ] = 3,
    epochs: Epochs = 10,
    lr: Lr = None,
    clip_length: ClipLength = 10.0,
    empty_ratio: EmptyRatio = 1.0,
    start: Start = DEFAULT_START,
    seed: Seed = 0,
    jobs: Annotated[int, typer.Option(help="Number of trainings side by side.")] = 1,
    config: Config = None,
    quiet: Quiet = False,
    as_json: JsonLogs = False,
    table_columns: Columns = None,
) -> None:
    """Try settings by cross-validation and print a table, the best first.

    Each fold is trained as by `rcrnn train`, on new clips in every epoch of the recordings that
    are not in the fold, and scored on the clips of those that are. A recording that cannot be read
    is reported, and the rest goes on. Exit code 1: some recordings failed; 2: nothing was tried.

    \b
    rcrnn tune recordings/ events.csv -p gru_units=50,100 --start none
    rcrnn tune recordings/ events.csv -p lr=3e-4,1e-3 --search halving
    """
    from ._folds import FreshClipsDetector

    log = Log(quiet, as_json)
    if output is not None:
        check_output(output)
    try:
        # Parameters come first, so that a wrong one is reported before the recordings are read.
        pipe = new_pipeline(epochs, seed, 1, start)
        set_params(pipe, [], lr)
        grid = _grid(param, pipe)
        _check_given_once(grid, typed(ctx, "lr", "epochs"))
        check_values(pipe, grid, start)
        clips = read_clips(
            recordings,
            events,
            length=clip_length,
            empty_ratio=empty_ratio,
            seed=seed,
            log=log,
            columns=table_columns,
        )
        say_start(pipe, start, log)
        fitted = FreshClipsDetector(pipe, clips, clip_length, seed)
        results = _search(fitted, grid, search=search, folds=folds, jobs=jobs, log=log)
    except (OSError, TypeError, ValueError) as error:
        fail(str(error))
    columns = [
        *(name.removeprefix("detector__") for name in grid),
        "error rate",
        "spread",
        "epochs",
    ]
    _print_table(columns, results)
    if output is not None:
        import csv

        with (
            complete(output) as partial,
            open(partial, "w", newline="", encoding="utf-8") as file,
        ):
            csv.writer(file).writerows([columns, *results])
    conclude(clips, "", log, {"n_settings": len(results)})


def _grid(texts: list[str], pipe: Any) -> dict[str, list[Any]]:
    """Parse texts like ``gru_units=50,100`` to the values of each parameter."""
    parsed = [parse_values(text, "gru_units=50,100") for text in texts]
    return {parameter_name(pipe, name): values for name, values in parsed}


def _check_given_once(grid: dict[str, list[Any]], options: list[str]) -> None:
    """Raise ValueError for an option whose value would give way to those that are tried."""
    for option, name in (("--lr", "lr"), ("--epochs", "max_epochs")):
        if option in options and f"detector__{name}" in grid:
            raise ValueError(f"{option} has no effect beside --param {name}=...: leave one out")


def _folds(clips: Clips, folds: int) -> list[Any]:
    """Divide the recordings into folds, each of which must have an event."""
    from ..tuning.folds import stratified_folds

    if clips.n_recordings < folds:
        raise ValueError(
            f"{counted(clips.n_recordings, 'recording')} with clips cannot make {folds} folds: "
            "give more recordings with events, or fewer --folds"
        )
    splits: list[Any] = stratified_folds(clips.y, folds, clips.groups)
    if not all(any(clips.y[i] for i in tested) for _, tested in splits):
        raise ValueError(
            f"There are too few recordings with events for {folds} folds: a fold without an event "
            "has no error rate. Give more recordings with events, or fewer --folds"
        )
    return splits


def _search(
    detector: Any,
    grid: dict[str, list[Any]],
    *,
    search: Search,
    folds: int,
    jobs: int,
    log: Log,
) -> list[list[Any]]:
    """Try each setting; return its values, mean error rate, its deviation, and epochs."""
    import numpy as np
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401
    from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV

    clips: Clips = detector.clips
    splits = _folds(clips, folds)
    tried = {f"pipeline__{name}": values for name, values in grid.items()}
    n_fits = folds * math.prod(map(len, grid.values())) if search is Search.grid else None
    settings: dict[str, Any] = {
        "scoring": FoldScorer(tuple(grid), n_fits if jobs == 1 else None, log.quiet, log.as_json),
        "cv": splits,
        "refit": False,
        "n_jobs": jobs,
        "error_score": "raise",
    }
    epochs = detector.pipeline[-1].max_epochs
    if search is Search.grid:
        chosen = GridSearchCV(detector, tried, **settings)
    else:
        chosen = HalvingGridSearchCV(
            detector,
            tried,
            resource="pipeline__detector__max_epochs",
            max_resources=epochs,
            min_resources=max(1, epochs // 4),
            factor=2,
            random_state=detector.seed,
            **settings,
        )
    chosen.fit(np.arange(len(clips.X)), clips.y)
    results = chosen.cv_results_
    tried_epochs = [
        params.get("pipeline__detector__max_epochs", epochs) for params in results["params"]
    ]
    rounds = results.get("n_resources", tried_epochs)
    rows = [
        [*(params[name] for name in tried), round(-mean, 4), round(spread, 4), int(n)]
        for params, mean, spread, n in zip(
            results["params"],
            results["mean_test_score"].tolist(),
            results["std_test_score"].tolist(),
            rounds,
            strict=True,
        )
    ]
    # Of a search by halving, those that came the furthest are the best.
    furthest_first = search is Search.halving
    return sorted(rows, key=lambda row: (-row[-1] if furthest_first else 0, row[-3]))


class FoldScorer:
    """The error rate of a fold, as scikit-learn's scorers give it, which says so as it goes.

    Parameters
    ----------
    names : tuple of str
        Parameters of the pipeline that are tried.
    n_fits : int or None
        How many trainings there will be; None where that is not known, or where they are in
        several processes, none of which knows how many are done.
    quiet, as_json : bool
        As for the log.
    """

    def __init__(self, names: tuple[str, ...], n_fits: int | None, quiet: bool, as_json: bool):
        self.names = names
        self.n_fits = n_fits
        self.quiet = quiet
        self.as_json = as_json
        self.n_done = 0
        self.began = time.monotonic()

    def __call__(self, estimator: Any, X: Any, y: Any) -> float:
        from ..metrics import error_rate_scorer
        from ..training.progress import clock_text

        score = float(error_rate_scorer(estimator, X, y))
        self.n_done += 1
        params = estimator.pipeline.get_params()
        tried = {name.removeprefix("detector__"): params[name] for name in self.names}
        text = ", ".join(f"{name}={value}" for name, value in tried.items())
        text += f": error rate {-score:.2f} on {counted(len(y), 'clip')}"
        if self.n_fits is not None:
            left = (time.monotonic() - self.began) / self.n_done * (self.n_fits - self.n_done)
            text = f"{self.n_done}/{self.n_fits}  {text}, {clock_text(left)} left"
        epochs = params["detector__max_epochs"]
        log = Log.active or Log(self.quiet, self.as_json)
        log.say("fold", text, **tried, error_rate=-score, epochs=epochs)
        return score


def _print_table(columns: list[str], rows: list[list[Any]]) -> None:
    texts = [columns, *([str(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for row in texts:
        typer.echo("  ".join(f"{text:>{width}}" for text, width in zip(row, widths, strict=True)))
