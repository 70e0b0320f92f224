"""What a person decided about found events: the table that the report page exports."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..events import Event, check_event

DECISIONS = ("keep", "add", "reject", "")
_COLUMNS = ("file", "onset", "offset", "label", "decision")
# A correction is about an event of the table if the intervals have at least this IoU.
_SAME_IOU = 0.5


class Correction(NamedTuple):
    """An event as it is after the correction, and what was decided about it.

    ``decision`` is ``"keep"``, ``"add"``, ``"reject"`` or, where nothing was decided, ``""``;
    ``was`` is the event as it had been found, or None for one that was added.
    """

    event: Event
    decision: str
    was: Event | None


class Corrected(NamedTuple):
    """Events of a recording after corrections, and those that nobody has decided on."""

    events: list[Event]
    undecided: list[Event]


def read_corrections(path: str | os.PathLike[str]) -> dict[str, list[Correction]]:
    """Read the table that the page of :func:`~sklearn_rcrnn.write_report` exports.

    Parameters
    ----------
    path : str or PathLike
        A CSV file with the columns file, onset, offset, label and decision, and perhaps score,
        was_onset, was_offset and was_label.

    Returns
    -------
    dict of str to list of Correction
        By recording, in the order of the table.

    Raises
    ------
    ValueError
        If a column is missing, or a row has a time, label or decision that cannot be; names
        the row.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn_rcrnn.annotations import read_corrections
    >>> table = Path(tempfile.mkdtemp()) / "corrections.csv"
    >>> _ = table.write_text("file,onset,offset,label,decision\\na.wav,1.0,2.0,dog,reject\\n")
    >>> read_corrections(table)["a.wav"][0].decision
    'reject'
    """
    corrections: dict[str, list[Correction]] = {}
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        missing = [name for name in _COLUMNS if name not in (rows.fieldnames or ())]
        if missing:
            raise ValueError(
                f"{path} is no table of corrections: it lacks {', '.join(missing)} and has "
                f"{', '.join(rows.fieldnames or ()) or 'no columns'}. Export it from a page that "
                "rcrnn report wrote"
            )
        for row in rows:
            where = f"{path}, row {rows.line_num}"
            corrections.setdefault(row["file"], []).append(_correction(row, where))
    return corrections


def apply_corrections(events: Sequence[Event], corrections: Sequence[Correction]) -> Corrected:
    """Correct the events that a table has for a recording.

    What was kept or added takes the place of the table's event that it was, or joins the
    table's events where there is none. What was rejected is taken out. Two events are the same
    if they have one label and an intersection over union of at least a half.

    Parameters
    ----------
    events : list of Event
        What the table says; empty for a recording that it does not name.
    corrections : list of Correction
        From :func:`read_corrections`.

    Returns
    -------
    Corrected
        ``events``, by onset, and ``undecided``: found events that are not in the table and
        that nobody has decided on. Nobody knows whether they are true, so what lies around
        them is no good training material.

    Examples
    --------
    >>> from sklearn_rcrnn import Event
    >>> from sklearn_rcrnn.annotations import Correction, apply_corrections
    >>> found = Event(1.0, 2.0, "dog", 0.9)
    >>> apply_corrections([Event(1.1, 2.0, "dog")], [Correction(found, "reject", found)])
    Corrected(events=[], undecided=[])
    """
    left = list(events)
    joined, undecided = [], []
    for event, decision, was in corrections:
        same = [other for other in left if _same(other, was or event)]
        if decision == "":
            undecided += [] if same else [event]
            continue
        left = [other for other in left if other not in same]
        if decision != "reject":
            joined.append(event._replace(score=1.0))
    return Corrected(sorted(left + joined), undecided)


def _same(first: Event, second: Event) -> bool:
    overlap = min(first.offset, second.offset) - max(first.onset, second.onset)
    union = max(first.offset, second.offset) - min(first.onset, second.onset)
    return first.label == second.label and overlap >= _SAME_IOU * union


def _correction(row: Mapping[str, str], where: str) -> Correction:
    if row["decision"] not in DECISIONS:
        raise ValueError(
            f"{where}: the decision is {row['decision']!r}; expected keep, add, reject, or nothing"
        )
    score = _number(row.get("score") or "1", "score", where)
    event = _event(row, "", score, where)
    was = _event(row, "was_", score, where) if row.get("was_onset") else None
    return Correction(event, row["decision"], was)


def _event(row: Mapping[str, str], prefix: str, score: float, where: str) -> Event:
    onset, offset = (_number(row[prefix + n], prefix + n, where) for n in ("onset", "offset"))
    return check_event((onset, offset, row[prefix + "label"], score), where)


def _number(text: str | None, name: str, where: str) -> float:
    try:
        return float(text or "")
    except ValueError as error:
        raise ValueError(f"{where}: {name} must be a number; got {text!r}") from error
