"""``rcrnn detect --raw``: events of samples that come in endlessly, as soon as they are certain."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import typer

from ._common import Log, fail


def detect_raw(pipe: Any, rate: int, format: str, spans: tuple[float, float], log: Log) -> None:
    """Print each event as soon as it is certain."""
    from ..annotations.tables import format_events
    from ..inference.stream import detect_stream

    if format in ("raven", "jams"):
        fail(f"{format} tables are written as a whole: choose another --format for a stream")
    header = format_events({}, format)
    typer.echo(header, nl=False)
    n_events = 0
    window, margin = spans
    try:
        blocks = _raw_blocks(rate)
        for event in detect_stream(pipe, blocks, sample_rate=rate, window=window, margin=margin):
            n_events += 1
            typer.echo(format_events({"stdin": [event]}, format)[len(header) :], nl=False)
            sys.stdout.flush()
    except ValueError as error:
        fail(str(error))
    except KeyboardInterrupt:
        text = (
            f"stopped: events of the last {1.25 * window - margin + 2:.0f} s may be missing. Where "
        )
        log.say("interrupted", text + "the stream ends by itself, all of them are printed")
    log.say("finished", n_files=1, n_failed=0, n_events=n_events)


def _raw_blocks(rate: int) -> Iterator[Any]:
    import numpy as np

    rest = b""
    while data := sys.stdin.buffer.read1(2 * rate):  # type: ignore[union-attr]
        data = rest + data
        whole = len(data) // 2 * 2
        rest = data[whole:]
        if whole:
            yield np.frombuffer(data[:whole], "<i2").astype(np.float32) / 32768
