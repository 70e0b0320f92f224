"""Progress and final summary of a run of ``rcrnn detect`` over many recordings."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._utils.files import complete
from .._utils.text import counted, some
from ._common import Log

if TYPE_CHECKING:
    from ..inference.files import Outcome
    from ..inference.run_statistics import RunStatistics

# Seconds between two lines in a log or updates of a summary, and between updates of a bar.
_LOGGED = 30.0
_SHOWN = 0.2


class Follower:
    """Tells of a run: a bar in a terminal, else a line now and then; a file for programs.

    Parameters
    ----------
    log : Log
    path : Path, default=None
        Of the summary, as JSON; written anew every half minute.
    """

    def __init__(self, log: Log, path: Path | None = None):
        self.log = log
        self.path = path
        self.summary: RunStatistics | None = None
        self._logged = self._shown = time.monotonic()
        self._bar = _bar(log)

    def __enter__(self) -> Follower:
        self._bar.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._bar.stop()
        self._write()

    def progress(self, summary: RunStatistics) -> None:
        """Something was done."""
        self.summary = summary
        now = time.monotonic()
        if now - self._shown >= _SHOWN:
            self._shown = now
            self._show(summary)
        if now - self._logged >= _LOGGED:
            self._logged = now
            text = "" if self._bar.live.is_started and not self._bar.disable else state(summary)
            self.log.say("progress", text, **_without_failures(summary))
            self._write()

    def followed(self, outcomes: Iterator[Outcome]) -> Iterator[Outcome]:
        """The outcomes, each told of when it has been taken in."""
        for outcome in outcomes:
            yield outcome
            _tell(outcome, self.log)

    def _show(self, summary: RunStatistics) -> None:
        left = summary.duration_left()
        done = summary.duration_seen
        total = None if left is None else max(done + left, 1e-9)
        self._bar.update(self._bar.task_ids[0], completed=done, total=total, state=state(summary))

    def _write(self) -> None:
        if self.path is not None and self.summary is not None:
            text = json.dumps(self.summary.as_dict(), indent=1, ensure_ascii=False)
            try:
                with complete(self.path) as partial:
                    partial.write_text(text + "\n", encoding="utf-8")
            except OSError as error:  # must not cost the events of hours
                self.log.say("error", f"--summary: {error}", error=str(error))


def state(summary: RunStatistics) -> str:
    """For people: how far a run is.

    "3 of 20 recordings, about 2 min left, 1.2 h at 102 x real time". What matters most comes
    first: a narrow terminal cuts the end off.
    """
    n_over = summary.n_done + summary.n_skipped + summary.n_failed
    text = f"{n_over} of {counted(summary.n_files, 'recording')}"
    if summary.n_failed:
        text += f", {summary.n_failed} failed"
    seconds = summary.seconds_left()
    if seconds is not None:
        text += f", about {amount(seconds)} left"
    return text + f", {amount(summary.duration_seen)} at {summary.speed:.0f} x real time"


def conclusion(summary: RunStatistics) -> str:
    """For people: what a run did, with the reasons of what failed."""
    if summary.n_skipped and not summary.n_done and not summary.n_failed:
        return f"nothing to do: {_skipped(summary)}"
    text = f"{counted(summary.n_done, 'recording')}, {amount(summary.duration)} of audio in "
    text += f"{amount(summary.elapsed)} ({summary.speed:.0f} x real time): "
    text += counted(sum(summary.events.values()), "event")
    if summary.events:
        by_label = [f"{label} {n}" for label, n in sorted(summary.events.items())]
        text += f" ({some(by_label, 10)})"
    if summary.n_skipped:
        text += f"\n{_skipped(summary)}"
    if summary.n_failed:
        text += f"\n{counted(summary.n_failed, 'recording')} failed: "
        text += some([Path(file).name for file, _ in summary.failures])
    return text


def _skipped(summary: RunStatistics) -> str:
    return (
        f"{counted(summary.n_skipped, 'recording')} passed over: done before, by this model "
        "and settings (--overwrite does them again)"
    )


def amount(seconds: float) -> str:
    """A time for people.

    >>> amount(7.23), amount(75), amount(4000), amount(200 * 3600)
    ('7.2 s', '1 min 15 s', '1.1 h', '200.0 h')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{seconds / 3600:.1f} h"


def facts(summary: RunStatistics) -> dict[str, Any]:
    """For programs: the summary as it stands in the last line of the log."""
    return summary.as_dict()


def _without_failures(summary: RunStatistics) -> dict[str, Any]:
    return {name: value for name, value in summary.as_dict().items() if name != "failures"}


def _tell(outcome: Outcome, log: Log) -> None:
    path = str(outcome.path)
    if outcome.error:
        log.say("error", outcome.error, file=path, error=outcome.error)
    elif outcome.events is None:
        log.say("skipped", file=path)
    else:
        told: dict[str, Any] = {
            "n_events": len(outcome.events),
            "duration": round(outcome.duration, 3),
        }
        log.say("detected", file=path, **told)


def _bar(log: Log) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    hidden = log.quiet or log.as_json or not sys.stderr.isatty()
    bar = Progress(
        # Of a width of its own: beside a long text rich would leave the bar none.
        BarColumn(bar_width=12, table_column=Column(width=12, no_wrap=True)),
        TextColumn("{task.fields[state]}", table_column=Column(ratio=1, no_wrap=True)),
        console=Console(stderr=True),
        disable=hidden,
        transient=True,
        expand=True,
    )
    bar.add_task("detecting", total=None, state="detecting")
    return bar
