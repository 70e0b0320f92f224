"""Settings, parameters and output of a training on the command line."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from ..models import NO_START
from ._common import Log

SETTINGS = "settings.yaml"
# Parameters that the commands set themselves or that only Python has, and what to do instead.
_NO_PARAMS = {
    "pretrainer": "give --start, or --pretrain-epochs with --start none",
    "validation_fraction": "the command holds recordings out by itself",
    "callbacks": "they are objects, which only Python has",
    "frame_shift": "it follows from lfbe__hop_length and the sample rate",
}
# Parameters of layers that would begin anew behind the weights of a start that knows others.
_LAYERS = ("dense_units", "head")
# Options that only say where a run writes and what it prints are not written to the settings.
_NOT_SETTINGS = ("output", "overwrite", "resume", "config", "quiet", "as_json")


def _read_config(ctx: typer.Context, path: Path | None) -> Path | None:
    """Take options that the command line leaves out from a file."""
    if path is None:
        return None
    import yaml

    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise typer.BadParameter(f"{path} cannot be read: {error}") from error
    if not isinstance(given, dict):
        raise typer.BadParameter(f"{path} must hold lines like 'epochs: 20'")
    known = {str(option.name) for option in ctx.command.params} - {"config"}
    named = {str(name).replace("-", "_"): value for name, value in given.items()}
    if ctx.info_name == "tune" and "held_out" in named:
        named = _for_tuning(named)
    if unknown := sorted(set(named) - known):
        raise typer.BadParameter(
            f"{path} has {', '.join(unknown)}, which is no option of {ctx.info_name}; there are "
            f"{', '.join(sorted(known))}"
        )
    ctx.default_map = {**(ctx.default_map or {}), **named}
    return path


def _for_tuning(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings of a training, without those that have no meaning, or another one, for `tune`.

    Each fold is held out in turn, and jobs are trainings. Other options that `tune` lacks, such as
    corrections, would change what is learnt, and stay an error.
    """
    passed = {"held_out", "final_epochs", "jobs"}
    passed |= {"pretrain_epochs"} if not settings.get("pretrain_epochs") else set()
    return {name: value for name, value in settings.items() if name not in passed}


def after_config(ctx: typer.Context, values: list[str] | None) -> list[str] | None:
    """Texts of a repeatable option behind those of the file, which they add to or change."""
    source = ctx.get_parameter_source("param")
    is_typed = source is not None and source.name == "COMMANDLINE"
    names = [text.partition("=")[0].removeprefix("detector__") for text in values or []]
    if is_typed and (twice := [name for name, n in Counter(names).items() if n > 1]):
        raise typer.BadParameter(f"{twice[0]} is given twice, and only one of them would count")
    given = (ctx.default_map or {}).get("param")
    if not values or not given or not is_typed:
        return values
    return [*given, *values]


Config = Annotated[
    Path | None,
    typer.Option(
        help=f"YAML file of options, such as {SETTINGS} of a model; the command line goes first, "
        "and adds to its --param.",
        callback=_read_config,
        is_eager=True,
    ),
]
Lr = Annotated[
    float | None, typer.Option("--lr", min=0, help="Highest learning rate; by default 0.001.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the model in --output.")]
Resume = Annotated[
    bool | None,
    typer.Option(
        "--resume/--no-resume",
        help="Go on where the same command was killed, which it does by itself; with --resume "
        "it is an error if there is nothing to go on from.",
    ),
]


def settings_of(ctx: typer.Context) -> dict[str, Any]:
    """The options of a run as a file holds them."""
    return {
        name: _plain(value)
        for name, value in ctx.params.items()
        if value is not None and value != () and name not in _NOT_SETTINGS
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, os.PathLike) else value


def parse_values(text: str, example: str) -> tuple[str, list[Any]]:
    """Name and values of a text like ``gru_units=50,100``; values are YAML."""
    import yaml

    name, _, values = text.partition("=")
    if not values or not name:
        raise ValueError(f"--param must be like {example}; got {text!r}")
    try:
        return name, [_number(value) for value in yaml.safe_load(f"[{values}]")]
    except yaml.YAMLError as error:
        raise ValueError(f"--param {text!r}: the value cannot be read") from error


def _number(value: Any) -> Any:
    # YAML reads 1e-3 as text.
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def parameter_name(pipe: Any, name: str) -> str:
    """The name in a pipeline of a detector's parameter, or of one of another step."""
    full = name if name.split("__")[0] in pipe.named_steps else f"detector__{name}"
    step, _, own = full.partition("__")
    if own in _NO_PARAMS:
        raise ValueError(f"--param {name}: {_NO_PARAMS[own]}")
    known = pipe.named_steps[step].get_params(deep=False)
    if own.split("__")[0] not in known:
        raise ValueError(
            f"{type(pipe.named_steps[step]).__name__} has no parameter {own!r}; it has "
            f"{', '.join(sorted(known))}. Those of the features are lfbe__..."
        )
    return full


def set_params(pipe: Any, texts: list[str], lr: float | None, start: str = NO_START) -> None:
    """Set parameters of a pipeline from texts like ``gru_units=50``, and its clock by them.

    They must be such that :func:`check_values` allows.
    """
    if lr is not None:
        pipe.set_params(detector__lr=lr)
    given: dict[str, Any] = {}
    for text in texts:
        name, values = parse_values(text, "batch_size=4")
        full = parameter_name(pipe, name)
        if lr is not None and full == "detector__lr":
            raise ValueError(f"--param {text} and --lr {lr} are both the learning rate: give one")
        if len(values) != 1:
            raise ValueError(
                f"--param {text!r} has {len(values)} values: give one, or a list in brackets"
            )
        given.pop(full, None)  # the last one counts, and comes last
        given[full] = values[0]
    check_values(pipe, {name: [value] for name, value in given.items()}, start)
    for name, value in given.items():
        pipe.set_params(**{name: value})
    pipe[0]._check()
    pipe.set_params(detector__frame_shift=pipe[0].frame_shift)


def check_values(pipe: Any, values: Mapping[str, list[Any]], start: str) -> None:
    """Find out before recordings are read that a pipeline could not be trained with some values.

    Parameters
    ----------
    pipe : Pipeline
        Not fitted; with the parameters of the start.
    values : dict of str to list
        Those that each parameter shall have, by its name in the pipeline.
    start : str
        What the training starts from.

    Raises
    ------
    ValueError
        If features would be of another rate than the clips of the command, or if weights of the
        start belong to other features, another extractor or layers of another kind or size.
    """
    from ..training.initial_weights import shared_params

    for rate in values.get("lfbe__sample_rate", [pipe[0].sample_rate]):
        _check_rate(rate)
    if start == NO_START:
        return
    fixed = {f"lfbe__{name}": value for name, value in pipe[0].get_params().items()}
    del fixed["lfbe__n_jobs"]
    own = {**shared_params(pipe[-1]), **{name: getattr(pipe[-1], name) for name in _LAYERS}}
    fixed |= {f"detector__{name}": value for name, value in own.items()}
    wrong = {
        name.removeprefix("detector__"): fixed[name]
        for name, tried in values.items()
        if name in fixed and any(value != fixed[name] for value in tried)
    }
    if wrong:
        raise ValueError(
            f"{' and '.join(wrong)} cannot be changed with --start {start}, whose weights were "
            f"learnt with {', '.join(f'{name}={value!r}' for name, value in wrong.items())} and "
            "mean nothing with other values: leave --param out, or give --start none, which begins "
            "with random weights"
        )


def _check_rate(rate: Any) -> None:
    """Raise ValueError if features of this rate do not fit the clips of the command."""
    from ..datasets.mixer import SAMPLE_RATE

    if rate != SAMPLE_RATE:
        raise ValueError(
            f"the features are of {rate} Hz, and this command makes clips at {SAMPLE_RATE} Hz: in "
            f"Python, cut_recordings(..., sample_rate={rate}) makes clips for them"
        )


class Workplace:
    """Where a training writes: checked before it begins, with its checkpoints beside the model.

    Parameters
    ----------
    output : Path
        Folder for the model.
    overwrite : bool
        Whether a model that is there may be replaced.
    resume : bool or None
        True: there must be something to go on from. False: start anew. None: as it is.

    Raises
    ------
    ValueError
        If a training would have nowhere to write its model, or nothing to go on from.
    """

    def __init__(self, output: Path, overwrite: bool, resume: bool | None):
        from ..models.storage import DESCRIPTION, check_folder

        check_folder(output)
        if (output / DESCRIPTION).exists() and not overwrite:
            raise ValueError(
                f"{output} holds a model: give --overwrite to replace it, or another --output"
            )
        parent = output.absolute()
        while not parent.exists():
            parent = parent.parent
        if not os.access(parent, os.W_OK):
            raise ValueError(f"{output} cannot be written: no right to write in {parent}")
        self.resume = resume
        self.checkpoints = output.absolute().with_name(f"{output.absolute().name}.checkpoints")
        if resume is False:
            self.clear()
        if resume and not any(self.checkpoints.glob("*.pt")):
            raise ValueError(
                f"--resume: there is no checkpoint in {self.checkpoints}. Without --resume the "
                "training starts anew"
            )

    def clear(self) -> None:
        """Delete the checkpoints, which are of no use once the model is written."""
        shutil.rmtree(self.checkpoints, ignore_errors=True)


def epoch_log(log: Log, workplace: Workplace | None = None, n_later: int = 0) -> Any:
    """A callback that says how each epoch went, and where a training goes on.

    The time left includes `n_later` epochs of a training that follows this one.
    """
    from ..training.progress import Progress, clock_text, numbers_of

    class EpochLog(Progress):
        def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
            if self.began_ is None:
                self._say_begin(net, len(net.history) - 1)
            super().on_epoch_begin(net, **kwargs)

        def _say_begin(self, net: Any, n_done: int) -> None:
            if n_done:
                log.say("resumed", f"going on after epoch {n_done}", epoch=n_done)
            elif workplace is not None and workplace.resume:
                raise ValueError(
                    f"--resume: the checkpoints in {workplace.checkpoints} are of a training of "
                    "other settings or recordings. Without --resume it starts anew"
                )

        def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
            row, left = net.history[-1], self.seconds_left(net)
            numbers = numbers_of(row)
            text = "  ".join(f"{name} {number}" for name, number in numbers.items())
            log.say(
                "epoch",
                f"epoch {row['epoch']:3}/{net.max_epochs}  {text}  {row['dur']:.1f} s, "
                f"{clock_text(left)} left",
                epoch=row["epoch"],
                loss=round(float(row["train_loss"]), 5),
                seconds_left=round(left),
                **{
                    name.replace(" ", "_").replace("-", "_").lower(): float(number)
                    for name, number in numbers.items()
                },
            )

    return EpochLog(n_later=n_later)
