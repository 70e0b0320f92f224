"""How counts are said to people, in pages and terminals."""

from __future__ import annotations


def counted(n: int, what: str) -> str:
    """The number with its noun.

    >>> counted(1, "event"), counted(2, "event")
    ('1 event', '2 events')
    """
    return f"{n} {what}{'s' * (n != 1)}"
