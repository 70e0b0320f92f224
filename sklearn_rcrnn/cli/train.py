"""``rcrnn train``: from recordings and a table of events to a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from .._utils.files import complete
from .._utils.text import counted
from ..models import DEFAULT_START, NO_START
from ._advice import advice_on
from ._clips import (
    ClipLength,
    Clips,
    Corrections,
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
from ._common import JsonLogs, Log, Quiet, app, fail, rate_text
from ._material import fresh_clips, go_on, held_out_mixtures, unheard
from ._training_run import (
    SETTINGS,
    Config,
    Lr,
    Overwrite,
    Resume,
    Workplace,
    after_config,
    epoch_log,
    set_params,
    settings_of,
)

# If there are fewer recordings than this, clips are held out instead of whole recordings.
_FEW_RECORDINGS = 5


@app.command()
@with_columns
def train(
    ctx: typer.Context,
    recordings: Recordings,
    events: Table,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the model.")],
    epochs: Epochs = 6,
    clip_length: ClipLength = 10.0,
    empty_ratio: EmptyRatio = 1.0,
    held_out: Annotated[
        float,
        typer.Option(
            min=0,
            max=0.9,
            help="Part of the recordings that is kept apart, to choose thresholds and to score.",
        ),
    ] = 0.2,
    start: Start = DEFAULT_START,
    gru_units: Annotated[
        int | None,
        typer.Option(min=1, help="Units of the recurrent layer, with --start none; by default 50."),
    ] = None,
    dense_units: Annotated[
        int | None,
        typer.Option(min=1, help="Units of the dense layers, with --start none; by default 128."),
    ] = None,
    pretrain_epochs: Annotated[
        int,
        typer.Option(
            min=0, help="Epochs of pre-training on which labels are present; with --start none."
        ),
    ] = 0,
    final_epochs: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Epochs in the end, with the held-out recordings; by default as many as --epochs.",
        ),
    ] = None,
    corrections: Corrections = None,
    lr: Lr = None,
    param: Annotated[
        list[str] | None,
        typer.Option(
            "--param",
            "-p",
            callback=after_config,
            help="NAME=VALUE: a parameter of RCRNNDetector or, with --start none, of the features "
            "as lfbe__...",
        ),
    ] = None,
    seed: Seed = 0,
    jobs: Annotated[
        int,
        typer.Option(
            help="Threads that compute features; with 2 or more, a process besides makes clips."
        ),
    ] = 2,
    overwrite: Overwrite = False,
    resume: Resume = None,
    config: Config = None,
    quiet: Quiet = False,
    as_json: JsonLogs = False,
    table_columns: Columns = None,
) -> None:
    """Learn from recordings and their events; write a model, its scores and a model card.

    It starts from weights that know other sounds, so that a dozen examples of each new one
    do, and makes new clips of them in every epoch. A part of the recordings is held out: the
    thresholds of each label are chosen on it, and the scores are measured on it. Then the
    training goes on with all recordings, for as many epochs again.

    A training that was killed goes on when the same command is given again. The options are
    written beside the model, and --config takes them. A recording that cannot be read is reported,
    and the rest is learnt from. Exit code 1: some recordings failed; 2: no model was written.

    \b
    rcrnn train recordings/ events.csv -o birds
    rcrnn train recordings/ events.csv -o birds --start none --gru-units 100
    rcrnn train recordings/ events.csv -o birds -p recipe__focal_gamma=1
    rcrnn train --config birds/settings.yaml -o birds2 --epochs 30
    rcrnn detect night.flac --model birds
    """
    log = Log(quiet, as_json)
    try:
        place = Workplace(output, overwrite, resume)
        last = _last_epochs(epochs, final_epochs, held_out)
        sizes = _sizes(start, gru_units, dense_units, pretrain_epochs)
        # Parameters come first, so that a wrong one is reported before the recordings are read.
        pipe = new_pipeline(epochs, seed, jobs, start, **sizes)
        set_params(pipe, _checked(param or [], held_out, sizes), lr, start)
        clips = read_clips(
            recordings,
            events,
            length=clip_length,
            empty_ratio=empty_ratio,
            seed=seed,
            log=log,
            corrections=corrections,
            columns=table_columns,
        )
        _check_rules(pipe, clips)
        trained, held, by_recording = _split(clips, held_out, seed)
        say_start(pipe, start, log)
        progress = epoch_log(log, place, n_later=last if len(held) else 0)
        pipe.set_params(detector__callbacks=[progress])
        makes: dict[str, Any] = {"length": clip_length, "seed": seed, "jobs": jobs}
        stream, validation = fresh_clips(clips, held, **makes), _validation(pipe, clips, held)
        pipe.fit(stream, detector__checkpoint=place.checkpoints, **validation)
        choice: dict[str, Any] = {"length": clip_length, "seed": seed, "log": log}
        scores = _choose_and_score(pipe, clips, held, **choice) if len(held) else {}
        if len(held) and last:
            log.say("final", f"{counted(last, 'epoch')} more with what was held out")
            more = fresh_clips(clips, [], **makes)
            pipe = go_on(pipe, more, last, epoch_log(log), place.checkpoints)
    except (OSError, TypeError, ValueError) as error:
        fail(str(error))
    except KeyboardInterrupt:
        log.say("interrupted", "interrupted: no model was written; the same command goes on")
        raise typer.Exit(130) from None
    facts = {
        "recordings": clips.n_recordings,
        "clips trained on": len(trained),
        "clips held out": len(held),
        "held out by": "recording" if by_recording else "clip: the scores flatter",
        "seconds of a clip": clip_length,
        "epochs": f"{epochs}, and {last} with what was held out" if len(held) else epochs,
        "seed": seed,
    }
    _write_model(pipe, output, facts, scores)
    _write_settings(ctx, output)
    place.clear()
    conclude(clips, f"{output}: model, README.md, scores.json", log, scores | {"folder": output})


def _last_epochs(epochs: int, given: int | None, held_out: float) -> int:
    """Number of epochs in the end; ValueError if there is nothing that they would be for."""
    if given and not held_out:
        raise ValueError(
            f"--final-epochs {given} would learn what was held out, and --held-out 0 holds out "
            "nothing: leave --final-epochs out, and give --epochs"
        )
    return epochs if given is None else given


def _checked(texts: list[str], held_out: float, sizes: dict[str, Any]) -> list[str]:
    """The parameters; ValueError for those that the command itself sets to other values."""
    instead = {
        "max_epochs": "give --epochs",
        "random_state": "give --seed",
        "lfbe__n_jobs": "give --jobs",
    }
    for name in {"gru_units", "dense_units"} & set(sizes):
        instead[name] = f"--{name.replace('_', '-')} gives it, too: leave one out"
    if held_out:
        instead["score_threshold"] = (
            "it is chosen on what is held out; rcrnn detect has --threshold"
        )
    for text in texts:
        name = text.partition("=")[0].removeprefix("detector__")
        if name in instead:
            raise ValueError(f"--param {text}: {instead[name]}")
    return texts


def _check_rules(pipe: Any, clips: Clips) -> None:
    """Raise ValueError now, and not after the training, for rules of labels that are not there."""
    from ..events import labels_of

    pipe[-1]._rules(labels_of(clips.events))


def _split(clips: Clips, fraction: float, seed: int) -> tuple[Any, Any, bool]:
    """Choose clips to train on and to hold out; tell whether whole recordings are held out."""
    import numpy as np

    from ..datasets.fresh_excerpts import learnable
    from ..events import labels_of
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
    # Only a label with training examples can be scored. An event that reaches into a clip that is
    # held out is none, even if another clip has the rest of it.
    learnt = labels_of(learnable(clips.events, unheard(clips, np.flatnonzero(held))))
    held &= [all(event.label in learnt for event in own) for own in clips.y]
    return np.flatnonzero(~held), np.flatnonzero(held), by_recording


def _sizes(
    start: str, gru_units: int | None, dense_units: int | None, pretrain_epochs: int
) -> dict[str, Any]:
    """Collect the parameters that only a network with random weights may have."""
    given = {"gru_units": gru_units, "dense_units": dense_units}
    params: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if pretrain_epochs:
        params["pretrainer"] = _pretrainer(pretrain_epochs)
    if params and start != NO_START:
        raise ValueError(
            f"--start {start} brings its own sizes and weights: give --start none with "
            "--gru-units, --dense-units and --pretrain-epochs"
        )
    return params


def _pretrainer(epochs: int) -> Any:
    from .. import CRNNPretrainer

    return CRNNPretrainer(
        max_epochs=epochs, lr_schedule="one_cycle", patience=None, validation_fraction=None
    )


def _validation(pipe: Any, clips: Clips, held: Any) -> dict[str, Any]:
    """Arguments of ``fit`` that let each epoch be scored on the held-out clips."""
    X, y = clips.take(held)
    if not any(y):
        return {}
    return {"detector__X_val": pipe[:-1].transform(X), "detector__y_val": y}


def _choose_and_score(
    pipe: Any, clips: Clips, held: Any, length: float, seed: int, log: Log
) -> dict[str, Any]:
    """Set the threshold of each label, and report the scores on the held-out clips."""
    from ..evaluation import detection_summary
    from ..events import select_events
    from ..models.thresholds import choose_thresholds

    X, y = clips.take(held)
    if not any(y):
        default = pipe[-1].score_threshold
        log.say("warning", f"no event was held out: the threshold stays at {default}, no scores")
        return {}
    detector = pipe[-1]
    labels = detector.classes_.tolist()
    candidates = detector.predict_candidates(pipe[:-1].transform(X))
    mixed, true = held_out_mixtures(pipe, clips, held, length, seed)
    named = choose_thresholds(
        [*y, *true],
        [*candidates, *mixed],
        labels,
        max_events=detector.max_events_per_clip,
        rules=detector._rules(),
    )
    detector.thresholds_ = named
    detector.set_params(score_threshold=named["balanced"])
    found = detector._finished(select_events(candidates, named["balanced"]))
    summary = detection_summary(y, found, labels=labels)
    kept = ("error_rate", "f_score")
    scores = {
        str(label): {"n_events": row["n_true"], **{name: row[name] for name in kept}}
        for label, row in zip(labels, summary.by_label, strict=True)
    }
    for label, threshold in named["balanced"].items():
        row = scores[str(label)]
        row["threshold"] = round(threshold, 3)
        row["thresholds"] = {name: round(own[label], 3) for name, own in named.items()}
        log.say(
            "score",
            f"{label}: error rate {rate_text(row['error_rate'], 2)}, F-score "
            f"{rate_text(row['f_score'], 2)} on {counted(row['n_events'], 'held-out event')}",
        )
    for advice in advice_on(summary):
        log.say("advice", advice, advice=advice)
    return scores


def _write_settings(ctx: typer.Context, folder: Path) -> None:
    import yaml

    settings = yaml.safe_dump(settings_of(ctx), sort_keys=False, allow_unicode=True)
    (folder / SETTINGS).write_text(settings, encoding="utf-8")


def _write_model(pipe: Any, folder: Path, facts: dict[str, Any], scores: dict[str, Any]) -> None:
    from .. import __version__, save
    from ..events import THRESHOLD_NAMES
    from ..models.provenance import provenance_lines, provenance_of

    save(pipe, folder)
    provenance = provenance_of(pipe[-1])
    with complete(folder / "scores.json") as partial:
        partial.write_text(
            json.dumps(scores, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    lines = [
        f"# {folder.name}",
        "",
        f"R-CRNN for {', '.join(map(str, pipe[-1].classes_))}; "
        f"{pipe[-1].n_parameters_:,} parameters; sklearn_rcrnn {__version__}.",
        "",
        *(f"- {key}: {value}" for key, value in facts.items()),
        *provenance_lines(provenance),
    ]
    if scores:
        lines += [
            "",
            "Scores on the held-out clips, on which the thresholds were chosen, onsets within "
            "0.5 s, and thresholds by name (`--threshold sensitive`):",
            "",
            f"| label | events | error rate | F-score | {' | '.join(THRESHOLD_NAMES)} |",
            "|---" * (4 + len(THRESHOLD_NAMES)) + "|",
            *(
                f"| {label} | {row['n_events']} | {rate_text(row['error_rate'], 2)} | "
                f"{rate_text(row['f_score'], 2)} | "
                f"{' | '.join(str(row['thresholds'][name]) for name in THRESHOLD_NAMES)} |"
                for label, row in scores.items()
            ),
        ]
    lines += ["", "```bash", f"rcrnn detect FILES --model {folder}", "```", ""]
    with complete(folder / "README.md") as partial:
        partial.write_text("\n".join(lines), encoding="utf-8")
