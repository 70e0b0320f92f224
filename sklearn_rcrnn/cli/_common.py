"""What the commands share: the application, errors, logs, and how models and files are named."""

from __future__ import annotations

import json
import math
import os
import socket
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand

from .._utils.files import AUDIO, MEDIA, files_in

_TWICE = "{} is given twice, and only one of them would count"

app = typer.Typer(
    name="rcrnn",
    help="Find sound events in recordings, and learn to find others.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Once(TyperCommand):
    """A command whose options are an error if they are given twice, unless several may count.

    Of two values, the parser takes the last one without a word.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and not ctx.resilient_parsing:
            *_, given = self.make_parser(ctx).parse_args(args=list(args))
            for option, n in Counter(given).items():
                is_switch = getattr(option, "is_flag", False) and not option.secondary_opts
                if n > 1 and not (option.multiple or is_switch or _is_argument(option)):
                    ctx.fail(_TWICE.format(max(option.opts, key=len)))
        return super().parse_args(ctx, args)


def measured(
    paths: Iterable[Path], measure: Callable[[Path], float]
) -> tuple[dict[Path, float], dict[Path, Exception]]:
    """Durations of the recordings that can be read, and the errors of the others."""
    durations: dict[Path, float] = {}
    broken: dict[Path, Exception] = {}
    for path in paths:
        try:
            durations[path] = measure(path)
        except (OSError, ValueError) as error:
            broken[path] = error
    return durations, broken


def _is_argument(option: Any) -> bool:
    return str(option.param_type_name) == "argument"


class TableFormat(str, Enum):
    """Formats of tables of events; ``json`` is JSON Lines."""

    csv = "csv"
    tsv = "tsv"
    json = "json"
    jsonl = "jsonl"
    audacity = "audacity"
    raven = "raven"
    dcase = "dcase"
    jams = "jams"

    @property
    def known_as(self) -> str:
        return "jsonl" if self is TableFormat.json else self.value


Model = Annotated[
    str,
    typer.Option("--model", "-m", help="A model of the package (see `rcrnn models`) or a folder."),
]
Threshold = Annotated[
    list[str] | None,
    typer.Option(
        help="Lowest score: a number, or `sensitive`, `balanced` or `few false alarms`; by "
        "default the model's own. LABEL=NUMBER is for one label, and may be given again or after "
        "a comma."
    ),
]
MergeGap = Annotated[
    list[str] | None,
    typer.Option(
        help="Join events of a label that are at most this many seconds apart; LABEL=0.5 is for "
        "one label."
    ),
]
MinDuration = Annotated[
    list[str] | None,
    typer.Option(help="Drop events that last fewer seconds; LABEL=0.5 is for one label."),
]
MaxDuration = Annotated[
    list[str] | None,
    typer.Option(help="Drop events that last more seconds; LABEL=0.5 is for one label."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
JsonLogs = Annotated[bool, typer.Option("--json", help="Logs as JSON lines, on standard error.")]


# Kinds of messages that are shown even with --quiet, and the text that each begins with.
_TOLD = {"error": "rcrnn: ", "warning": "rcrnn: warning: "}


class Log:
    """What a command says while it works, on standard error; warnings are part of it.

    Parameters
    ----------
    quiet : bool
        Errors and warnings only.
    as_json : bool
        One JSON object a line, whatever is said. Each has what it is as ``event``, the ``time``
        (UTC, ISO 8601), the ``seconds`` since the command began, the ``host``, and the
        ``model`` if there is one.
    """

    # The log of the command that is running.
    active: Log | None = None

    def __init__(self, quiet: bool, as_json: bool):
        self.quiet = quiet
        self.as_json = as_json
        self.model: str | None = None
        self.started = time.time()
        self._told: set[str] = set()
        Log.active = self
        warnings.showwarning = self._warn  # type: ignore[assignment]

    def say(self, kind: str, text: str = "", /, **facts: Any) -> None:
        """Report progress: `text` for people, `kind` and `facts` for programs."""
        if self.as_json:
            if kind == "warning":
                facts = {"warning": text, **facts}
            now = datetime.now(timezone.utc)
            row = {
                "event": kind,
                "time": now.isoformat(timespec="milliseconds"),
                "seconds": round(now.timestamp() - self.started, 3),
                "host": socket.gethostname(),
                **({} if self.model is None else {"model": self.model}),
                **facts,
            }
            typer.echo(json.dumps(row, ensure_ascii=False, default=str), err=True)
        elif kind in _TOLD:
            typer.echo(f"{_TOLD[kind]}{text}", err=True)
        elif text and not self.quiet:
            typer.echo(text, err=True)

    def _warn(
        self, message: Any, category: type[Warning], filename: str, lineno: int, *_: Any
    ) -> None:
        """Report a warning once, however often; Python calls this for each warning."""
        if str(message) not in self._told:
            self._told.add(str(message))
            self.say("warning", str(message), category=category.__name__)

    def progress(self, total: int, description: str) -> Any:
        """A progress bar in a terminal; without one, nothing."""
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=self.quiet or self.as_json or not sys.stderr.isatty(),
            transient=True,
        )
        bar.add_task(description, total=total, speed="")
        return bar


def fail(message: str) -> NoReturn:
    """End the command with code 2."""
    if Log.active is None:
        typer.echo(f"rcrnn: {message}", err=True)
    else:
        Log.active.say("error", message, error=message)
    raise typer.Exit(2)


def typed(ctx: typer.Context, *names: str) -> list[str]:
    """The options of these parameters that are on the command line, and no default or setting."""
    sources = {name: ctx.get_parameter_source(name) for name in names}
    return [
        f"--{name.replace('_', '-')}"
        for name, source in sources.items()
        if source is not None and source.name == "COMMANDLINE"
    ]


def check_output(path: str | Path) -> None:
    """Find out before hours of work that a file could not be written after them."""
    folder = Path(path).absolute().parent
    if not folder.is_dir():
        fail(f"{path} cannot be written: {folder} is no such folder")
    if Path(path).is_dir():
        fail(f"{path} cannot be written: it is a folder; give the name of a file")
    if not os.access(path if Path(path).exists() else folder, os.W_OK):
        fail(f"{path} cannot be written: there is no right to do so")


def load_model(name: str) -> Any:
    """A pipeline from a folder, or one that comes with the package."""
    from .. import list_pretrained, load, load_pretrained
    from ..models.shipped import is_shipped

    if Log.active is not None:
        Log.active.model = name
    try:
        return load_pretrained(name) if is_shipped(name) else load(name)
    except (FileNotFoundError, ValueError) as error:
        fail(f"{error}; models that come with the package: {', '.join(list_pretrained())}")


def set_threshold(pipe: Any, given: list[str] | None) -> None:
    """Let a model use numbers or a name as thresholds, by label if they say so."""
    from ..events import THRESHOLD_NAMES

    by_label: dict[str, Any] = {}
    known = list(map(str, pipe[-1].classes_.tolist()))
    for text in _parts_of("--threshold", given, known):
        label, is_of_label, number = text.rpartition("=")
        if text in THRESHOLD_NAMES:
            pipe[-1].set_params(score_threshold=text)
            continue
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not 0 <= value <= 1:
            fail(
                "--threshold must be a number from 0 to 1, LABEL=NUMBER, or one of "
                f"{', '.join(THRESHOLD_NAMES)}; got {text!r}"
            )
        if is_of_label:
            by_label[label] = value
        else:
            pipe[-1].set_params(score_threshold=value)
    try:
        usual = pipe[-1]._thresholds()
    except ValueError as error:
        fail(str(error))
    if not by_label:
        return
    labels = pipe[-1].classes_.tolist()
    if unknown := set(by_label) - set(known):
        fail(f"--threshold {sorted(unknown)[0]}=...: the model knows {', '.join(known)}")
    thresholds = {
        label: by_label.get(str(label), usual[label] if isinstance(usual, Mapping) else usual)
        for label in labels
    }
    pipe[-1].set_params(score_threshold=thresholds)


def _parts_of(option: str, given: list[str] | None, labels: list[str]) -> list[str]:
    """The texts of an option that may be given for each label, of which each must count."""
    parts = [part for text in given or [] for part in by_commas(text, labels)]
    for label, n in Counter(text.rpartition("=")[0] for text in parts).items():
        if n > 1:
            fail(_TWICE.format(f"{option} {label}=..." if label else f"{option} for all labels"))
    return parts


def by_commas(text: str, labels: list[str]) -> list[str]:
    """The parts of ``dog=0.5,cat=0.7``; a label that is known may itself have a comma."""
    parts = [part.strip() for part in text.split(",")]
    one = text.rpartition("=")[0] in labels or not all("=" in part for part in parts)
    return [text] if one else parts


def set_rules(pipe: Any, **given: list[str] | None) -> None:
    """Set parameters in seconds, from numbers and texts ``LABEL=NUMBER``."""
    labels = {str(label): label for label in pipe[-1].classes_.tolist()}
    for name, texts in given.items():
        usual, by_label = None, {}
        option = f"--{name.replace('_', '-')}"
        for text in _parts_of(option, texts, list(labels)):
            label, is_of_label, number = text.rpartition("=")
            try:
                value = float(number)
            except ValueError:
                value = math.nan
            if not 0 <= value < math.inf:
                fail(f"{option} must be seconds, or LABEL=SECONDS; got {text!r}")
            if is_of_label and label not in labels:
                fail(f"{option} {text}: the model knows {', '.join(labels)}")
            if is_of_label:
                by_label[labels[label]] = value
            else:
                usual = value
        if by_label:  # other labels keep what the model has
            own = getattr(pipe[-1], name) if usual is None else usual
            is_for_all = own is not None and not isinstance(own, Mapping)
            rest: Any = dict.fromkeys(labels.values(), own) if is_for_all else own or {}
            by_label = {**rest, **by_label}
        if texts:
            pipe[-1].set_params(**{name: by_label or usual})
    try:
        pipe[-1]._rules()
    except ValueError as error:
        fail(str(error))


def recordings_in(paths: list[Path]) -> list[Path]:
    """Files, and the recordings in folders, however deep, but for hidden ones; each path once."""
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += files_in(path, MEDIA)
        else:
            files.append(path)
    if not files:
        fail(f"no recordings in {', '.join(map(str, paths))} (looked for {' '.join(AUDIO)})")
    once: dict[str, Path] = {}
    for file in files:  # a relative path and an absolute one may be the same
        once.setdefault(os.path.abspath(file), file)
    return list(once.values())


def compare_labels(true: list[Any], found: list[Any], log: Log) -> None:
    """Warn of labels of true and found events that cannot be the same, but seem to be meant so."""
    from .._utils.text import some
    from ..annotations.rows import alike_labels

    ours, theirs = ({str(e.label) for own in lists for e in own} for lists in (true, found))
    apart = (ours ^ theirs) if ours and theirs else set()
    if alike := [label for label in alike_labels(ours | theirs) if label in apart]:
        text = f"labels of true and found events differ only by case or form: {some(alike)}"
        log.say("warning", f"{text}. They count as different", labels=alike)
    elif apart == ours | theirs and apart:
        text = f"true and found events have no label in common: {some(sorted(ours))}, and "
        log.say("warning", text + some(sorted(theirs)))


def rate_text(rate: float | None, digits: int) -> str:
    """An error rate or F-score for people; a dash where there is none."""
    return "-" if rate is None else f"{rate:.{digits}f}"
