"""Clips to WAV files that appear when they are complete."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

from .._utils.files import complete


def write_clip(path: Path, samples: Any, sample_rate: int) -> None:
    """Write a 24-bit WAV; OSError, with the name of the file, if there is no room for it."""
    import soundfile

    with complete(path) as partial:
        try:
            soundfile.write(partial, samples, sample_rate, subtype="PCM_24", format="WAV")
        except soundfile.SoundFileError as error:
            # libsndfile tells no more of a full disk than this.
            raise OSError(
                errno.EIO, f"cannot be written ({error}); is the disk full?", str(path)
            ) from error
