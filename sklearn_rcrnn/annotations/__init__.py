"""Read and write tables of events, and match them to recordings."""

from .bridges import events_from_crowsetta, events_from_soundevent, events_to_soundevent
from .corrections import apply_corrections, read_corrections
from .decisions import Corrected, Correction
from .formats import register_format
from .frames import events_from_frame, events_to_frame
from .recording_names import match_files
from .rows import Format, Row
from .tables import (
    format_events,
    read_events,
    suffix_of,
    write_events,
)

__all__ = [
    "Corrected",
    "Correction",
    "Format",
    "Row",
    "apply_corrections",
    "events_from_crowsetta",
    "events_from_frame",
    "events_from_soundevent",
    "events_to_frame",
    "events_to_soundevent",
    "format_events",
    "match_files",
    "read_corrections",
    "read_events",
    "register_format",
    "suffix_of",
    "write_events",
]
