"""From what a user gives as a clip to samples: files in blocks or whole, arrays with checks."""

from .clips import check_clips, load_clip
from .reading import AudioFile, audio_duration, check_audio, open_audio, read_audio, resample

__all__ = [
    "AudioFile",
    "audio_duration",
    "check_audio",
    "check_clips",
    "load_clip",
    "open_audio",
    "read_audio",
    "resample",
]
