"""``rcrnn train`` and ``tune``: from recordings and a table of events to a model."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from .common import JsonLogs, Log, Quiet, app, fail, recordings_in

Recordings = Annotated[Path, typer.Argument(help="Folder of recordings, or one recording.")]
Table = Annotated[Path, typer.Argument(help="Table of their events, or folder of tables.")]
Epochs = Annotated[int, typer.Option(min=1, help="Times that the network sees every clip.")]
ClipLength = Annotated[float, typer.Option(min=1, help="Recordings are cut to so many seconds.")]
EmptyRatio = Annotated[
    float, typer.Option(min=0, help="Clips without an event for each clip with one, at most.")
]
Seed = Annotated[int, typer.Option(help="Weights, split and order.")]
# With fewer recordings than this none can be spared: clips are held out instead.
_FEW_RECORDINGS = 5


class Search(str, Enum):
    """How settings are tried: all at full length, or the better ones for longer."""

    grid = "grid"
    halving = "halving"


class _Clips(NamedTuple):
    X: list[Any]
    y: list[Any]
    groups: Any
    n_recordings: int

    def take(self, indices: Any) -> tuple[list[Any], list[Any]]:
        return [self.X[i] for i in indices], [self.y[i] for i in indices]


def _read(
    recordings: Path, table: Path, length: float, empty_ratio: float, seed: int, log: Log
) -> _Clips:
    """Recordings with their events, cut into clips; those that cannot be read are reported."""
    from ..annotations import match_files, read_events
    from ..audio import open_audio
    from ..datasets import cut_recordings

    usable = []
    for path in recordings_in([recordings]):
        try:
            open_audio(path).close()
            usable.append(path)
        except (OSError, ValueError) as error:
            log.say("error", f"left out: {error}", file=str(path), error=str(error))
    events = read_events(table)
    y = match_files(events, usable)
    X, clips, groups = cut_recordings(
        usable, y, clip_length=length, empty_ratio=empty_ratio, random_state=seed
    )
    n_events = sum(map(len, y))
    if not n_events:
        total = sum(map(len, events.values()))
        raise ValueError(
            f"None of the {total} events of {table} belongs to a recording "
            f"in {recordings}: the table names {', '.join(list(events)[:3])}, the folder has "
            f"{', '.join(path.name for path in usable[:3])}"
        )
    log.say(
        "read",
        f"{len(usable)} recordings, {n_events} events, {len(X)} clips",
        n_recordings=len(usable),
        n_events=n_events,
        n_clips=len(X),
    )
    return _Clips(X, clips, groups, len(usable))


def _pipeline(epochs: int, seed: int, jobs: int, **params: Any) -> Any:
    from .. import FeatureAugmentation, make_rcrnn_pipeline

    return make_rcrnn_pipeline(
        lr=1e-3,
        lr_schedule="one_cycle",
        patience=None,
        validation_fraction=None,
        augmentation=FeatureAugmentation(),
        batch_size=8,
        nms_threshold=0.3,
        max_epochs=epochs,
        random_state=seed,
        n_jobs=jobs,
        **params,
    )


@app.command()
def train(
    recordings: Recordings,
    events: Table,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the model.")],
    epochs: Epochs = 30,
    clip_length: ClipLength = 10.0,
    empty_ratio: EmptyRatio = 1.0,
    held_out: Annotated[
        float, typer.Option(min=0, max=0.9, help="Part of the recordings to choose and score on.")
    ] = 0.2,
    gru_units: Annotated[int, typer.Option(min=1, help="U of the paper.")] = 50,
    dense_units: Annotated[int, typer.Option(min=1, help="M of the paper.")] = 128,
    pretrain_epochs: Annotated[
        int, typer.Option(min=0, help="Epochs on the presence of events alone, before.")
    ] = 0,
    seed: Seed = 0,
    jobs: Annotated[int, typer.Option(help="Threads that compute features.")] = 2,
    quiet: Quiet = False,
    as_json: JsonLogs = False,
) -> None:
    """Learn from recordings and their events; write a model, its scores and a model card.

    A part of the recordings is held out: the threshold of each label is chosen on it, and
    the scores are of it.

    \b
    rcrnn train recordings/ events.csv -o birds
    rcrnn detect night.flac --model birds
    """
    log = Log(quiet, as_json)
    try:
        clips = _read(recordings, events, clip_length, empty_ratio, seed, log)
        trained, held, by_recording = _split(clips, held_out, seed)
        pipe = _pipeline(epochs, seed, jobs, gru_units=gru_units, dense_units=dense_units)
        if pretrain_epochs:
            pipe.set_params(detector__pretrainer=_pretrainer(pretrain_epochs))
        pipe.set_params(detector__callbacks=[_epoch_log(log, epochs)])
        pipe.fit(*clips.take(trained))
        scores = _choose_and_score(pipe, *clips.take(held), log) if len(held) else {}
    except (OSError, TypeError, ValueError) as error:
        fail(str(error))
    facts = {
        "recordings": clips.n_recordings,
        "clips trained on": len(trained),
        "clips held out": len(held),
        "held out by": "recording" if by_recording else "clip: the scores flatter",
        "seconds of a clip": clip_length,
        "epochs": epochs,
        "seed": seed,
    }
    _write_model(pipe, output, facts, scores)
    log.say("finished", f"{output}: model, README.md, scores.json", folder=str(output), **scores)


def _split(clips: _Clips, fraction: float, seed: int) -> tuple[Any, Any, bool]:
    """Clips to train on and to hold out, and whether whole recordings are held out."""
    import numpy as np

    from ..training import split_clips

    if not fraction:
        return np.arange(len(clips.X)), np.arange(0), True
    by_recording = clips.n_recordings >= _FEW_RECORDINGS
    groups = clips.groups if by_recording else np.arange(len(clips.X))
    present = sorted(set(groups.tolist()))
    labels = dict.fromkeys(present, "")
    for group, own in zip(groups.tolist(), clips.y, strict=True):
        labels[group] = labels[group] or (str(own[0].label) if own else "")
    rng = np.random.RandomState(seed)
    _, chosen = split_clips([labels[group] for group in present], fraction, rng)
    held = np.isin(groups, [present[i] for i in chosen])
    # A label can only be scored if it was learnt.
    learnt = {e.label for own, out in zip(clips.y, held, strict=True) for e in own if not out}
    held &= [all(event.label in learnt for event in own) for own in clips.y]
    return np.flatnonzero(~held), np.flatnonzero(held), by_recording


def _pretrainer(epochs: int) -> Any:
    from .. import CRNNPretrainer

    return CRNNPretrainer(
        max_epochs=epochs, lr_schedule="one_cycle", patience=None, validation_fraction=None
    )


def _epoch_log(log: Log, epochs: int) -> Any:
    from skorch.callbacks import Callback

    class EpochLog(Callback):
        def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
            row = net.history[-1]
            loss = float(row["train_loss"])
            text = f"epoch {row['epoch']:3}/{epochs}  loss {loss:.3f}  {row['dur']:.1f} s"
            log.say("epoch", text, epoch=row["epoch"], loss=round(loss, 5))

    return EpochLog()


def _choose_and_score(pipe: Any, X: list[Any], y: list[Any], log: Log) -> dict[str, Any]:
    """Set the threshold of each label, and say what it gives on the same clips."""
    from .. import TunedThresholdDetectorCV
    from ..metrics import event_based_error_rate, event_based_f_score

    if not any(y):
        log.say("warning", "no event was held out: the thresholds stay at 0.8, without scores")
        return {}
    TunedThresholdDetectorCV(pipe, cv="prefit").fit(X, y)
    found = pipe.predict(X)
    scores: dict[str, Any] = {}
    for label in pipe[-1].classes_.tolist():
        criteria: Any = {"labels": [label]}
        scores[str(label)] = {
            "threshold": round(pipe[-1].score_threshold[label], 3),
            "n_events": sum(event.label == label for clip in y for event in clip),
            "error_rate": float(event_based_error_rate(y, found, **criteria)),
            "f_score": float(event_based_f_score(y, found, zero_division=0, **criteria)),
        }
        row = scores[str(label)]
        log.say(
            "score",
            f"{label}: error rate {row['error_rate']:.2f}, F-score {row['f_score']:.2f} on "
            f"{row['n_events']} held-out events",
        )
    return scores


def _write_model(pipe: Any, folder: Path, facts: dict[str, Any], scores: dict[str, Any]) -> None:
    from .. import __version__, save

    save(pipe, folder)
    (folder / "scores.json").write_text(json.dumps(scores, indent=2, ensure_ascii=False) + "\n")
    lines = [
        f"# {folder.name}",
        "",
        f"R-CRNN for {', '.join(map(str, pipe[-1].classes_))}; "
        f"{pipe[-1].n_parameters_:,} parameters; sklearn_rcrnn {__version__}.",
        "",
        *(f"- {key}: {value}" for key, value in facts.items()),
    ]
    if scores:
        lines += [
            "",
            "Scores on the held-out clips, on which the thresholds were chosen, onsets within "
            "0.5 s:",
            "",
            "| label | threshold | events | error rate | F-score |",
            "|---|---|---|---|---|",
            *(
                f"| {label} | {row['threshold']} | {row['n_events']} | {row['error_rate']:.2f} | "
                f"{row['f_score']:.2f} |"
                for label, row in scores.items()
            ),
        ]
    lines += ["", "```bash", f"rcrnn detect FILES --model {folder}", "```", ""]
    (folder / "README.md").write_text("\n".join(lines), encoding="utf-8")


@app.command()
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
    seed: Seed = 0,
    jobs: Annotated[int, typer.Option(help="Trainings side by side.")] = 1,
    quiet: Quiet = False,
    as_json: JsonLogs = False,
) -> None:
    """Try settings by cross-validation and print a table, the best first.

    \b
    rcrnn tune recordings/ events.csv -p gru_units=50,100 -p dense_units=64,128,256
    rcrnn tune recordings/ events.csv -p lr=3e-4,1e-3 --search halving -o tuned.csv
    """
    log = Log(quiet, as_json)
    try:
        grid = _grid(param)
        clips = _read(recordings, events, clip_length, empty_ratio, seed, log)
        results = _search(clips, grid, search, folds, epochs, seed, jobs)
    except (OSError, TypeError, ValueError) as error:
        fail(str(error))
    columns = [*grid, "error rate", "spread", "epochs"]
    _print_table(columns, results)
    if output is not None:
        import csv

        with open(output, "w", newline="", encoding="utf-8") as file:
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


def _search(
    clips: _Clips,
    grid: dict[str, list[Any]],
    search: Search,
    folds: int,
    epochs: int,
    seed: int,
    jobs: int,
) -> list[list[Any]]:
    """Values, mean error rate over the folds, its deviation and epochs of each setting."""
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401
    from sklearn.model_selection import GridSearchCV, GroupKFold, HalvingGridSearchCV

    from ..metrics import error_rate_scorer

    if clips.n_recordings < folds:
        raise ValueError(f"{clips.n_recordings} recordings cannot make {folds} folds")
    settings: dict[str, Any] = {
        "scoring": error_rate_scorer,
        "cv": GroupKFold(folds),
        "refit": False,
        "n_jobs": jobs,
        "error_score": "raise",
    }
    pipe = _pipeline(epochs, seed, 1, score_threshold=0.5)
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
