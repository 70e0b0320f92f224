"""Wording of counts and lists in pages and terminals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def counted(n: int, what: str) -> str:
    """The number with its noun.

    >>> counted(1, "event"), counted(2, "event")
    ('1 event', '2 events')
    """
    return f"{n} {what}{'s' * (n != 1)}"


def some(names: Sequence[Any], most: int = 3) -> str:
    """The first of many names, and how many more there are.

    >>> some(["a", "b"]), some("abcde")
    ('a, b', 'a, b, c and 2 more')
    """
    text = ", ".join(map(str, names[:most]))
    return text if len(names) <= most else f"{text} and {len(names) - most} more"
