"""
Long recordings and streams
===========================

Three ways to the same events: in memory, from a file block by block, and from a stream that
has not ended yet.
"""

# %%
# A detector
# ----------
# This one comes with the package and knows three sounds. Your own works in the same way.

from sklearn_rcrnn import load_pretrained

pipe = load_pretrained("rare-events")

# %%
# Five minutes in a file
# ----------------------

import tempfile
from pathlib import Path

import numpy as np
import soundfile

from sklearn_rcrnn.datasets import make_rare_events

recordings, events = make_rare_events(
    1, duration=300.0, max_events=60, ebr=(10, 20), random_state=1
)
path = Path(tempfile.mkdtemp()) / "night.wav"
soundfile.write(path, recordings[0], 44100, subtype="FLOAT")

# %%
# ``predict`` holds the recording in memory; ``detect_file`` reads it block by block and needs no
# more memory for a day than for a minute.

from sklearn_rcrnn import detect_file, detect_stream

in_memory = pipe.predict([path])[0]
in_blocks = detect_file(pipe, path)
times = [[event[:2] for event in found] for found in (in_memory, in_blocks)]
print(len(in_memory), "and", len(in_blocks), "events; the same times:", np.allclose(*times))

# %%
# A stream
# --------
# Blocks of any size, from a microphone or a socket. Events come as soon as nothing that follows
# can change them; shorter windows are certain sooner.


def microphone():
    """Blocks of half a second."""
    yield from np.split(recordings[0], 600)


for event in detect_stream(pipe, microphone(), window=20, margin=5):
    print(f"{event.onset:7.2f} s  {event.label:<10} {event.score:.2f}")
    if event.onset > 30:
        break

# %%
# The first half-minute, with the true events.

from sklearn_rcrnn.displays import EventsDisplay

true = [event for event in events[0] if event[1] < 32]
EventsDisplay.from_estimator(pipe, recordings[0][: 32 * 44100], true)
