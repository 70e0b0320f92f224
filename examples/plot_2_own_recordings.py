"""
From a folder and a table to a model
====================================

Recordings in a folder, a CSV of their events, and in the end a folder with a model that
``rcrnn detect`` takes. Recordings are of any length: they are cut into clips, and clips of one
recording never lie on both sides of a split.
"""

# %%
# A folder such as you may have
# -----------------------------
# Eight recordings of forty seconds, and a table.

import tempfile
from pathlib import Path

import soundfile

from sklearn_rcrnn.datasets import make_rare_events

folder = Path(tempfile.mkdtemp())
rows = ["file,onset,offset,label"]
recordings, events = make_rare_events(
    8, duration=40.0, sample_rate=16000, ebr=(10, 20), max_events=40, random_state=2
)
for number, (recording, own) in enumerate(zip(recordings, events, strict=True)):
    soundfile.write(folder / f"night_{number}.wav", recording, 16000)
    rows += [f"night_{number}.wav,{onset:.3f},{offset:.3f},{label}" for onset, offset, label in own]
(folder / "events.csv").write_text("\n".join(rows))
print("\n".join(rows[:4]))

# %%
# Read and cut
# ------------
# ``read_events`` takes CSV, TSV, Raven, Audacity, JSON Lines, JAMS, and folders of tables.

from sklearn_rcrnn.annotations.tables import match_files, read_events
from sklearn_rcrnn.datasets import cut_recordings

paths = sorted(folder.glob("*.wav"))
events = match_files(read_events(folder / "events.csv"), paths)
X, y, groups = cut_recordings(paths, events, clip_length=4.0, sample_rate=16000)
print(len(X), "clips of", len(paths), "recordings;", X[0])

# %%
# Train, and choose the threshold of each label by cross-validation
# ------------------------------------------------------------------

from sklearn_rcrnn import TunedThresholdDetectorCV, make_rcrnn_pipeline

pipe = make_rcrnn_pipeline(
    sample_rate=16000,
    n_fft=1024,
    hop_length=512,
    n_mels=32,
    gru_units=16,
    dense_units=32,
    lr=2e-3,
    validation_fraction=None,
    batch_size=4,
    max_epochs=20,
    random_state=0,
)
# Clips of one recording are never on both sides of a split.
tuned = TunedThresholdDetectorCV(pipe, cv=2).fit(X, y, groups=groups)
print(tuned.best_threshold_)
print(tuned.best_score_)

# %%
# Eighty clips are few: the error rates say so. More recordings, or
# :class:`~sklearn_rcrnn.datasets.FreshMixtures` of few events and many backgrounds, help most.
#
# Keep it
# -------
# Weights as safetensors and a JSON, without pickle; ``rcrnn detect --model`` takes the folder.

from sklearn_rcrnn import load, save
from sklearn_rcrnn.displays import EventsDisplay

save(tuned.estimator_, folder / "my-sounds")
EventsDisplay.from_estimator(load(folder / "my-sounds"), paths[0], events[0])
