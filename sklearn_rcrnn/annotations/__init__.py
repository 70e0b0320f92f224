"""Tables of events as people exchange them, and how they belong to recordings."""

from .tables import (
    events_from_frame,
    events_to_frame,
    format_events,
    match_files,
    read_events,
    suffix_of,
    write_events,
)

__all__ = [
    "events_from_frame",
    "events_to_frame",
    "format_events",
    "match_files",
    "read_events",
    "suffix_of",
    "write_events",
]
