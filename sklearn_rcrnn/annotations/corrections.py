"""Corrections of found events by a person, from the table that the report page exports."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..events import Event, check_event
from .decisions import DECISIONS, Corrected, Correction, applied
from .delimited import records_of
from .numbers import POINT, Signs, number, seconds, signs_of
from .tables import text_of

_COLUMNS = ("file", "onset", "offset", "label", "decision")
_NUMBERS = ("onset", "offset", "score", "was_onset", "was_offset")


def read_corrections(path: str | os.PathLike[str]) -> dict[str, list[Correction]]:
    """Read the table that the page of :func:`~sklearn_rcrnn.write_report` exports.

    Parameters
    ----------
    path : str or PathLike
        A CSV file with the columns file, onset, offset, label and decision, and optionally
        score, was_onset, was_offset, was_label and event_id. A spreadsheet may have saved it again
        with semicolons and decimal commas.

    Returns
    -------
    dict of str to list of Correction
        Corrections by recording, in the order of the table.

    Raises
    ------
    ValueError
        If a column is missing, or a row has an invalid time, label, score or decision; the
        message names the row.

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
    header, delimiter, records = records_of(text_of(Path(path)))
    if missing := [name for name in _COLUMNS if name not in header]:
        raise ValueError(
            f"{path} is no table of corrections: it lacks {', '.join(missing)} and has "
            f"{', '.join(header) or 'no columns'}. Export it from a page that rcrnn report wrote"
        )
    rows = list(records)
    signs = POINT
    if delimiter != ",":
        signs = signs_of(row.values.get(name) for row in rows for name in _NUMBERS)
    for line, values, problem in rows:
        where = f"{path}, row {line}"
        if problem is not None:
            raise ValueError(f"{where}: {problem}")
        row = dict.fromkeys(_COLUMNS, "") | values
        if not row["file"]:
            raise ValueError(f"{where}: the file is missing")
        correction = _correction(row, signs, where)
        corrections.setdefault(row["file"], []).append(correction)
    return corrections


def apply_corrections(events: Sequence[Event], corrections: Sequence[Correction]) -> Corrected:
    """Apply corrections to the events that a table has for a recording.

    An event that was kept or added replaces the same event of the table, or is added if the
    table lacks it. An event that was rejected is removed. Two events count as the same if they
    have the same label and an intersection over union of at least 0.5, unless they are two events
    of one page, as their ``event_id`` tells. Of several decisions about the same event, as in
    tables that were exported one after the other, the last counts.

    Parameters
    ----------
    events : list of Event
        Events of the table; empty for a recording that it does not name.
    corrections : list of Correction
        Corrections of the recording, from :func:`read_corrections`.

    Returns
    -------
    Corrected
        ``events``, sorted by onset, and ``undecided``, the found events that are not in the
        table and that nobody has decided on. As they may be right or wrong, the audio around
        them is no good training material.

    Examples
    --------
    >>> from sklearn_rcrnn import Event
    >>> from sklearn_rcrnn.annotations import Correction, apply_corrections
    >>> found = Event(1.0, 2.0, "dog", 0.9)
    >>> apply_corrections([Event(1.1, 2.0, "dog")], [Correction(found, "reject", found)])
    Corrected(events=[], undecided=[])
    """
    # What a person has decided is certain.
    certain = (
        own._replace(event=own.event._replace(score=1.0)) if own.decision else own
        for own in corrections
    )
    return applied(events, certain)


def _correction(row: Mapping[str, str], signs: Signs, where: str) -> Correction:
    decision = row["decision"].lower()
    if decision not in DECISIONS:
        raise ValueError(
            f"{where}: the decision is {row['decision']!r}; expected keep, add, reject, or nothing"
        )
    score = _number(row.get("score") or "1", "score", signs, where)
    if not 0 <= score <= 1:
        raise ValueError(f"{where}: the score must be between 0 and 1; got {score:g}")
    event = _event(row, "", score, signs, where)
    was = _event(row, "was_", score, signs, where) if row.get("was_onset") else None
    return Correction(event, decision, was, row.get("event_id", ""))


def _event(row: Mapping[str, str], prefix: str, score: float, signs: Signs, where: str) -> Event:
    onset, offset = (
        _number(row.get(prefix + name, ""), prefix + name, signs, where)
        for name in ("onset", "offset")
    )
    label = row.get(f"{prefix}label", "")
    if not label:
        raise ValueError(f"{where}: {prefix}label is missing")
    return check_event((onset, offset, label, score), where)


def _number(text: str, name: str, signs: Signs, where: str) -> float:
    try:
        if name == "score":  # never large enough for thousands
            return number(text, signs._replace(unclear=""))
        return seconds(text, signs)
    except ValueError as error:
        raise ValueError(f"{where}: {name} must be a number; {error}") from error
