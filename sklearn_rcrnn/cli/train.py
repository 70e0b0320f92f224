"""``rcrnn train``: from recordings and a table of events to a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from .._utils.text import counted
from ._clips import (
    ClipLength,
    Clips,
    Corrections,
    EmptyRatio,
    Epochs,
    Recordings,
    Seed,
    Table,
    new_pipeline,
    read_clips,
)
from ._columns import Columns, with_columns
from ._common import JsonLogs, Log, Quiet, app, fail, label_scores, load_model, rate_text

# With fewer recordings than this none can be spared: clips are held out instead.
_FEW_RECORDINGS = 5


@app.command()
@with_columns
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
    start: Annotated[
        str | None,
        typer.Option(help="Start from a model of the package or a folder, with its U and M."),
    ] = None,
    pretrain_epochs: Annotated[
        int, typer.Option(min=0, help="Epochs on the presence of events alone, before.")
    ] = 0,
    corrections: Corrections = None,
    seed: Seed = 0,
    jobs: Annotated[int, typer.Option(help="Threads that compute features.")] = 2,
    quiet: Quiet = False,
    as_json: JsonLogs = False,
    table_columns: Columns = None,
) -> None:
    """Learn from recordings and their events; write a model, its scores and a model card.

    A part of the recordings is held out: the threshold of each label is chosen on it, and
    the scores are of it.

    \b
    rcrnn train recordings/ events.csv -o birds
    rcrnn train recordings/ events.csv -o birds --start rare-events
    rcrnn detect night.flac --model birds
    """
    log = Log(quiet, as_json)
    try:
        clips = read_clips(
            *(recordings, events, clip_length, empty_ratio, seed, log),
            corrections=corrections,
            columns=table_columns,
        )
        trained, held, by_recording = _split(clips, held_out, seed)
        pipe = new_pipeline(epochs, seed, jobs, gru_units=gru_units, dense_units=dense_units)
        if start is not None:
            pipe = _started(pipe, start)
        elif pretrain_epochs:
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


def _split(clips: Clips, fraction: float, seed: int) -> tuple[Any, Any, bool]:
    """Clips to train on and to hold out, and whether whole recordings are held out."""
    import numpy as np

    from ..training.data import stratified_split

    if not fraction:
        return np.arange(len(clips.X)), np.arange(0), True
    by_recording = clips.n_recordings >= _FEW_RECORDINGS
    groups = clips.groups if by_recording else np.arange(len(clips.X))
    present = sorted(set(groups.tolist()))
    if len(present) < 2:
        raise ValueError(
            "There is 1 clip, and nothing can be held out of it: give more recordings with "
            "events, a shorter --clip-length, or --held-out 0"
        )
    labels = dict.fromkeys(present, "")
    for group, own in zip(groups.tolist(), clips.y, strict=True):
        labels[group] = labels[group] or (str(own[0].label) if own else "")
    rng = np.random.RandomState(seed)
    _, chosen = stratified_split([labels[group] for group in present], fraction, rng)
    held = np.isin(groups, [present[i] for i in chosen])
    # A label can only be scored if it was learnt.
    learnt = {e.label for own, out in zip(clips.y, held, strict=True) for e in own if not out}
    held &= [all(event.label in learnt for event in own) for own in clips.y]
    return np.flatnonzero(~held), np.flatnonzero(held), by_recording


def _started(pipe: Any, start: str) -> Any:
    """The pipeline with features and first weights of another."""
    from sklearn.frozen import FrozenEstimator

    from ..training.initial_weights import shared_params

    model = load_model(start)
    first = FrozenEstimator(model[-1])
    pipe.set_params(
        lfbe=model[0].set_params(n_jobs=pipe[0].n_jobs),
        detector__pretrainer=first,
        detector__dense_units=model[-1].dense_units,
        **{f"detector__{name}": value for name, value in shared_params(model[-1]).items()},
    )
    return pipe


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

    if not any(y):
        default = pipe[-1].score_threshold
        log.say("warning", f"no event was held out: the threshold stays at {default}, no scores")
        return {}
    TunedThresholdDetectorCV(pipe, cv="prefit").fit(X, y)
    found = pipe.predict(X)
    scores = label_scores(y, found, pipe[-1].classes_.tolist())
    for label, threshold in pipe[-1].score_threshold.items():
        row = scores[str(label)]
        row["threshold"] = round(threshold, 3)
        log.say(
            "score",
            f"{label}: error rate {rate_text(row['error_rate'], 2)}, F-score "
            f"{row['f_score']:.2f} on {counted(row['n_events'], 'held-out event')}",
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
                f"| {label} | {row['threshold']} | {row['n_events']} | "
                f"{rate_text(row['error_rate'], 2)} | {row['f_score']:.2f} |"
                for label, row in scores.items()
            ),
        ]
    lines += ["", "```bash", f"rcrnn detect FILES --model {folder}", "```", ""]
    (folder / "README.md").write_text("\n".join(lines), encoding="utf-8")
