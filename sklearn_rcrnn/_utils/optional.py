"""Checks for packages that only some functions need."""

from __future__ import annotations

from importlib.util import find_spec


def need(purpose: str, extra: str, *packages: str) -> None:
    """Raise ImportError that says what to install, if one of `packages` is missing.

    The packages themselves are named, because that works however this one was installed.

    Parameters
    ----------
    purpose : str
        Begins the message: ``"Pictures need"``.
    extra : str
        The extra of this package that brings them.
    *packages : str
    """
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise ImportError(
            f"{purpose} {' and '.join(missing)} (the extra {extra!r}): "
            f"pip install {' '.join(missing)}"
        )
