"""Turn a frame of events into the `y` of clips that are named recordings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._utils.clock import origins_of
from .._utils.frames import one_column
from .._utils.text import some
from ..events import Event
from .frames import events_from_frame
from .recording_names import matching_names


def lists_of_clips(y: Any, X: Any, name: str = "y") -> Any:
    """Return the event lists of clips that are named recordings if `y` is a frame.

    Parameters
    ----------
    y : anything
        Anything but a pandas frame is returned unchanged.
    X : features, or sequence of paths
        Clips; features know the recordings that an :class:`LFBETransformer` made them of.
    name : str, default="y"
        Name of `y` in error messages.

    Returns
    -------
    list of n_clips lists of Event
        Events of each clip; empty for recordings that the frame does not name.

    Raises
    ------
    TypeError
        If the clips have no names.
    ValueError
        If a row belongs to none of the clips, or if there are as many rows as clips but not one
        for each in its order, as code that splits clips would then split the rows wrongly.
    """
    if not hasattr(y, "columns"):
        return y
    origins = origins_of(one_column(X, "X"))
    paths = [origin.path for origin in origins if origin is not None]
    if len(paths) < len(origins):
        raise TypeError(
            f"{name} is a frame with a row for each event, and the clips have no names: X must be "
            f"paths of recordings, or {name} a list of lists of events"
        )
    return _matched(events_from_frame(y), len(y), paths, name)


def _matched(
    events: dict[str, list[Event]], n_rows: int, paths: Sequence[str], name: str
) -> list[list[Event]]:
    how = f"{name} = sklearn_rcrnn.annotations.match_files({name}, paths)"
    names = matching_names(events, paths)
    known = set(names)
    if unknown := [own for own in events if own not in known]:
        raise ValueError(
            f"{name} has rows of {some(unknown)}, and X no such recording. {how} passes over them"
        )
    if n_rows == len(paths) and names != list(events):
        raise ValueError(
            f"{name} has as many rows as X has clips, {n_rows}, but not one for each in its "
            f"order: scikit-learn would take the i-th row for the i-th clip. {how} gives a list "
            "for each clip"
        )
    return [[] if own is None else events[own] for own in names]
