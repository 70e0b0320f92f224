"""Write clips as WAV files that appear only when they are complete."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .._utils.files import complete


def write_clip(path: Path, samples: Any, sample_rate: int) -> None:
    """Write a 24-bit WAV; OSError, with the name of the file, if there is no room for it."""
    import soundfile

    with complete_audio(path) as partial:
        soundfile.write(partial, samples, sample_rate, subtype="PCM_24", format="WAV")


@contextmanager
def complete_audio(path: Path) -> Iterator[Path]:
    """As :func:`complete`, for what libsndfile writes: its errors become OSError."""
    import soundfile

    with complete(path) as partial:
        try:
            yield partial
        except soundfile.SoundFileError as error:
            # This is all that libsndfile says when the disk is full.
            raise OSError(
                errno.EIO, f"cannot be written ({error}); is the disk full?", str(path)
            ) from error
