"""Find rows of a table that show the event of an earlier row again."""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from .._utils.text import some
from .columns import cell_of
from .numbers import is_missing
from .rows import Row


class Channels:
    """Events seen so far, as tables have a row for each channel on which one is heard."""

    def __init__(self) -> None:
        self._counts: defaultdict[tuple[Any, ...], Counter[Any]] = defaultdict(Counter)

    def is_new(self, row: Row, channel: Any) -> bool:
        """Tell whether an event with this label and these times is not there by another channel."""
        if row.values is None or row.decision or channel == "":
            return True
        counts = self._counts[(row.file, *row.values[:3])]
        others = max((n for other, n in counts.items() if other != channel), default=0)
        counts[channel] += 1
        return counts[channel] > others


class Views:
    """Rows seen so far, some of which show an event again: in another view, or on another channel.

    Raven writes each selection once for the waveform and once for the spectrogram.
    """

    def __init__(self) -> None:
        self._channels = Channels()
        self._seen: set[tuple[Any, ...]] = set()
        # The first onset and the last offset in each recording whose rows do not say the time in
        # the file.
        self._spans: dict[str, tuple[float, float]] = {}

    def is_new(
        self, row: Row, values: Mapping[str, Any], columns: Mapping[str, Sequence[str]]
    ) -> bool:
        """Tell whether no earlier row shows the same event in another view or channel."""
        selection = cell_of(values, columns, "selection")
        is_new_event = self._channels.is_new(row, cell_of(values, columns, "channel"))
        if selection == "" or row.values is None:
            return is_new_event
        key = (selection, row.file, *row.values[:3])
        is_new = key not in self._seen
        self._seen.add(key)
        if row.file and is_missing(cell_of(values, columns, "file_offset")):
            onset, offset = row.values[:2]
            first, last = self._spans.get(row.file, (onset, offset))
            self._spans[row.file] = min(first, onset), max(last, offset)
        return is_new and is_new_event

    def warn_of_sequence(self, stacklevel: int = 5) -> None:
        """Warn if the times of several recordings never overlap, as in a sequence of sounds."""
        in_order = sorted(self._spans.values())
        if len(in_order) > 1 and all(last < first for (_, last), (first, _) in pairwise(in_order)):
            warnings.warn(
                f"the times of {some(list(self._spans))} in a table of Raven follow one another. "
                "If these sounds were opened as one sequence, the times count from the start of "
                "the first: save the table again with the column File Offset (s), which is the "
                "time in each",
                stacklevel=stacklevel,
            )
