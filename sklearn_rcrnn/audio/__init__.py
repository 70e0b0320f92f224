"""Turn the clips that a user gives, files or arrays, into checked samples."""

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
