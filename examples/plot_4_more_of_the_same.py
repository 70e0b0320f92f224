"""
Find more of the same sound
===========================

You have one event and want to know where else something sounds like it. A detector gives each event
a vector, and vectors of events that sound alike are close to each other: no training is needed.
"""

# %%
# Recordings and candidates
# -------------------------
# Any detector serves to find places where something happens. With a low threshold it returns
# many candidates, right ones and wrong ones.

import numpy as np

from sklearn_rcrnn import event_embeddings, load_pretrained
from sklearn_rcrnn.datasets import make_rare_events

recordings, truth = make_rare_events(6, duration=20.0, max_events=4, ebr=(10, 20), random_state=3)
pipe = load_pretrained("rare-events").set_params(detector__score_threshold=0.05)
found = pipe.predict(recordings)
print(sum(map(len, found)), "candidates in", len(recordings), "recordings")

# %%
# One vector for each candidate
# -----------------------------
# Rows belong to the events in the order of ``found``. Normalized to length one, their products
# say how alike two events are: 1 is the same.

vectors = np.concatenate(event_embeddings(pipe, recordings, found))
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
events = [(i, event) for i, clip in enumerate(found) for event in clip]
print(vectors.shape)

# %%
# The closest ones
# ----------------
# The first breaking glass that was annotated is what we look for, and the list begins with the
# candidates that sound most like it. The last column says what the recording has at that time.

wanted = next((i, e) for i, clip in enumerate(truth) for e in clip if e[2] == "glassbreak")
example = event_embeddings(pipe, [recordings[wanted[0]]], [[wanted[1]]])[0][0]
alike = vectors @ (example / np.linalg.norm(example))
for place in np.argsort(-alike)[:10]:
    number, event = events[place]
    label = next(
        (own for on, off, own in truth[number] if on < event.offset and off > event.onset), "-"
    )
    print(f"{alike[place]:.2f}  recording {number}, {event.onset:5.2f} s  {label}")

# %%
# The recording of the closest one, with all of its candidates.

from sklearn_rcrnn.displays import EventsDisplay

closest = events[int(np.argmax(alike))][0]
EventsDisplay.from_estimator(pipe, recordings[closest], truth[closest])

# %%
# Keep the vectors
# ----------------
# In a Parquet file they can be searched again without recordings and model, and clustered and
# reviewed with any other tool. The search is the same two lines.

from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

rows = [(number, *event) for number, event in events]
frame = pd.DataFrame(rows, columns=["recording", "onset", "offset", "label", "score"])
frame["vector"] = list(vectors)
with TemporaryDirectory() as folder:
    frame.to_parquet(Path(folder, "events.parquet"))
    kept = pd.read_parquet(Path(folder, "events.parquet"))

kept["likeness"] = np.stack(kept.pop("vector")) @ (example / np.linalg.norm(example))
print(kept.nlargest(5, "likeness").round(2).to_string(index=False))
