"""Read the numbers and times of tables, also with decimal commas."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from typing import Any, NamedTuple

_CLOCK = re.compile(r"(\d+):([0-5]\d):([0-5]\d([.,]\d*)?)", re.ASCII)
# What R and pandas write where there is no value.
_MISSING = ("", "NA", "NaN", "nan", "<NA>")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_DIGITS = re.compile(r"[+-]?[\d.,]*\d[\d.,]*", re.ASCII)
# A sign may stand before decimals or between thousands, as in 1,234.
_EITHER = re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}", re.ASCII)
_HUNDREDS = re.compile(r"[1-9]\d\d", re.ASCII)


class Signs(NamedTuple):
    """Signs in the numbers of a table.

    Attributes
    ----------
    comma : bool
        Whether a decimal comma is allowed as well as a decimal point.
    unclear : str
        Signs that may stand between thousands as well as before decimals, where a number such as
        1,234 allows both, because other numbers of the table have another sign before decimals.
    """

    comma: bool = False
    unclear: str = ""


POINT, COMMA = Signs(), Signs(comma=True)


def signs_of(cells: Iterable[Any]) -> Signs:
    """Find the signs of a table that may have decimal commas, by all of its numbers.

    Warns
    -----
    UserWarning
        If nothing tells whether commas stand before decimals or between thousands, but some
        numbers are large enough for thousands.

    >>> signs_of(["0,5", "1,234"]), signs_of(["0.5", "1,234"])
    (Signs(comma=True, unclear='.'), Signs(comma=True, unclear=','))
    """
    sure: set[str] = set()  # signs that certainly stand before decimals
    either: dict[str, str] = {}
    hundreds = False
    for text in (cell.strip() for cell in cells if isinstance(cell, str)):
        if not _DIGITS.fullmatch(text):
            continue
        sign = max(".,", key=text.rfind)
        if _EITHER.fullmatch(text):
            either[sign] = text
        elif sign in text:
            sure.add(sign)
        hundreds = hundreds or bool(_HUNDREDS.fullmatch(text))
    if hundreds and either.keys() == {","} and not sure:
        warnings.warn(
            f"numbers such as {either[',']} are read with a decimal comma, as "
            f"{number(either[','], COMMA):g}. If the comma stands between thousands, remove it",
            stacklevel=6,
        )
    unclear = "," if "." in sure | either.keys() else ""
    return Signs(comma=True, unclear=unclear + ("." if "," in sure else ""))


def is_missing(cell: Any) -> bool:
    """Tell whether a cell of a table is empty, or says that there is no value."""
    return cell is None or (isinstance(cell, str) and cell in _MISSING)


def seconds(value: Any, signs: Signs = POINT) -> float:
    """Read a time of a table in seconds, or in the form ``h:mm:ss``.

    >>> seconds("1.5"), seconds("1:00:02.25")
    (1.5, 3602.25)
    """
    if isinstance(value, str) and (clock := _CLOCK.fullmatch(value.strip())):
        hours, minutes, rest = clock.groups()[:3]
        return 3600.0 * int(hours) + 60 * int(minutes) + number(rest, COMMA)
    return number(value, signs)


def number(value: Any, signs: Signs = POINT) -> float:
    """Read a number of a table; ValueError for anything else, such as 1_0, nan or true.

    Parameters
    ----------
    value : str, int or float
    signs : Signs, default=POINT

    >>> number("1.5"), number("1,5", COMMA)
    (1.5, 1.5)
    """
    if isinstance(value, str):
        return _number_of(value.strip(), signs)
    if isinstance(value, bool):
        raise ValueError(f"{value!r} is no number")
    try:
        return float(value)
    except (TypeError, OverflowError, ValueError) as error:
        shown = repr(value) if not isinstance(value, int) else "an integer of many digits"
        raise ValueError(f"{shown} is no number") from error


def _number_of(text: str, signs: Signs) -> float:
    point = text.replace(",", ".") if signs.comma and text.count(",") == 1 else text
    if _EITHER.fullmatch(text) and (sign := text[-4]) in signs.unclear:
        other, name = (".", "point") if sign == "," else (",", "comma")
        bare = text.replace(sign, "")
        raise ValueError(
            f"{text!r} may mean {point} or {bare}, for other numbers of the table have a decimal "
            f"{name}: write {text.replace(sign, other)} or {bare}"
        )
    if not _NUMBER.fullmatch(point):
        grouped = _DIGITS.fullmatch(text) and sum(map(text.count, ".,")) > 1
        told = ": write it without signs between thousands" if grouped else ""
        raise ValueError(f"{text!r} is no number{told}")
    return float(point)
