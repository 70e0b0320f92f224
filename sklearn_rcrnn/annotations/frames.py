"""Convert events to pandas data frames and back."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .._utils.optional import need
from .._utils.text import some
from ..events import Event
from .columns import check_each_once, columns_of, tells_file_offset
from .decisions import listed
from .delimited import row_of
from .numbers import POINT
from .repeated import Views
from .rows import HEADER, REJECTED, Row, alike_labels, event_in

if TYPE_CHECKING:
    import pandas


def events_to_frame(events: Mapping[str, Sequence[Event]]) -> pandas.DataFrame:
    """Convert events of recordings to a pandas data frame with one row for each event.

    Parameters
    ----------
    events : dict of str to list of Event

    Returns
    -------
    pandas.DataFrame
        Frame with the columns ``file``, ``onset``, ``offset``, ``label`` and ``score``. A
        recording without events has one row, in which all but ``file`` is missing, so
        ``frame.dropna()`` has only events.

    Examples
    --------
    >>> from sklearn_rcrnn.annotations import events_to_frame
    >>> frame = events_to_frame({"a.wav": [Event(1.0, 2.0, "dog", 0.5)], "b.wav": []})
    >>> frame.dropna()
        file  onset  offset label  score
    0  a.wav    1.0     2.0   dog    0.5
    >>> frame.file.tolist()
    ['a.wav', 'b.wav']
    """
    need("Data frames need", "pandas", "pandas")
    import pandas

    none = (float("nan"), float("nan"), None, float("nan"))
    rows: list[tuple[Any, ...]] = []
    for name, own in events.items():
        rows += [(name, *event) for event in own] or [(name, *none)]
    return pandas.DataFrame(rows, columns=list(HEADER))


def events_from_frame(frame: pandas.DataFrame) -> dict[str, list[Event]]:
    """Convert a pandas data frame to events of recordings.

    Parameters
    ----------
    frame : pandas.DataFrame
        Frame with the columns ``file``, ``onset``, ``offset`` and ``label``, and optionally
        ``score``; :func:`read_events` describes other names that they may have. A row without
        onset, offset and label says that the file has no events.

    Returns
    -------
    dict of str to list of Event
        Events by file, with files in the order of the frame and events sorted by onset.

    Raises
    ------
    ValueError
        If a column is missing or there twice, or a row is malformed; the message names the index
        of the row.

    Warns
    -----
    UserWarning
        If rows are left out because they were rejected, if rows repeat others, if labels differ
        only by case, or if the times of a table of Raven seem to run on over several recordings.

    Examples
    --------
    >>> import pandas
    >>> from sklearn_rcrnn.annotations import events_from_frame
    >>> row = {"file": "a.wav", "onset": 1.0, "offset": 2.0, "label": "dog"}
    >>> events_from_frame(pandas.DataFrame([row]))
    {'a.wav': [Event(onset=1.0, offset=2.0, label='dog', score=1.0)]}
    """
    header = [name for name in frame.columns if isinstance(name, str)]
    columns = columns_of(header)
    missing = [name for name in HEADER[:4] if name not in columns]
    if "duration" in columns and "offset" in missing:
        missing.remove("offset")
    if missing:
        raise ValueError(
            f"The frame lacks the column(s) {', '.join(missing)}; it has "
            f"{', '.join(map(str, frame.columns))}"
        )
    check_each_once(columns, header)
    part = frame[[name for names in columns.values() for name in names]]
    present = part.astype(object).where(part.notna(), None)
    rows: dict[str, list[tuple[Row, Event]]] = {}
    views = Views()
    rejected = 0
    records = present.to_dict("records")
    in_sequence = "file_offset" in columns and any(map(tells_file_offset, records))
    for index, record in zip(present.index, records, strict=True):
        row = row_of(index, record, columns, POINT, in_sequence=in_sequence)
        where = f"row {index!r} of the frame"
        if row.problem is not None:
            raise ValueError(f"{where}: {row.problem}")
        if row.file is None:
            raise ValueError(f"{where}: the file is missing")
        own = rows.setdefault(row.file, [])
        rejected += row.decision == REJECTED
        if row.values is not None and views.is_new(row, record, columns):
            onset, offset, label, *score = row.values
            row = row._replace(values=(onset, offset, _whole(label), *score))
            own += [(row, event)] if (event := event_in(row, where)) else []
    views.warn_of_sequence(stacklevel=3)
    if rejected:
        warnings.warn(f"left out {rejected} row(s) of the frame that were rejected", stacklevel=2)
    lists = {name: listed(own) for name, own in rows.items()}
    if repeated := sum(own.n_repeated() for own in lists.values()):
        warnings.warn(
            f"{repeated} row(s) of the frame repeat an earlier row in all values; each counts",
            stacklevel=2,
        )
    events = {name: own.final() for name, own in lists.items()}
    if alike := alike_labels(event.label for own in events.values() for event in own):
        warnings.warn(
            "labels of the frame differ only by case or form, and count as different: "
            f"{some(alike)}",
            stacklevel=2,
        )
    return events


def _whole(label: Any) -> Any:
    """Restore an integer label, as pandas turns 3 into 3.0 if a value of the column is missing."""
    label = None if label == "" else label
    return int(label) if isinstance(label, float) and label.is_integer() else label
