"""
A project from a folder to a corrected detector
===============================================

You have recordings in a folder and a table of events, in which somebody has missed a few. This is
the whole way: train a detector, score it on recordings that it has not heard, look at what it
finds, correct the table, and train again. The text beside the code names the command of each step.
"""

# %%
# A folder such as you may have
# -----------------------------
# Six recordings of forty seconds with cries and breaking glass, and a table from which a third of
# the events is missing. Replace ``folder`` by your own, and the rest stays as it is.

import csv
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from sklearn_rcrnn.datasets import make_rare_events

folder = Path(tempfile.mkdtemp())
settings = {
    "duration": 40.0,
    "max_events": 10,
    "event_presence_prob": 1.0,
    "labels": ["babycry", "glassbreak"],
    "ebr": (6, 15),
}
recordings, truth = make_rare_events(6, random_state=5, **settings)
rng = np.random.default_rng(0)
rows = [["file", "onset", "offset", "label"]]
for number, (recording, events) in enumerate(zip(recordings, truth, strict=True)):
    soundfile.write(folder / f"night_{number}.wav", recording, 44100)
    seen = [event for event in events if rng.random() > 1 / 3]
    rows += [[f"night_{number}.wav", *event] for event in seen] or [[f"night_{number}.wav"]]
with open(folder / "events.csv", "w", newline="") as file:
    csv.writer(file).writerows(rows)
print(len(rows) - 1, "rows in the table,", sum(map(len, truth)), "events in the recordings")

# %%
# Train
# -----
# ``rcrnn train night/ events.csv -o first`` does this and more: it holds recordings out, chooses
# thresholds and writes a card. Long recordings are cut into clips of ten seconds. The training
# begins with weights that know cries and breaking glass from elsewhere, so that a minute is
# enough; for other sounds give ``start="general"`` and more epochs.

from sklearn_rcrnn import make_rcrnn_pipeline
from sklearn_rcrnn.annotations import match_files, read_events
from sklearn_rcrnn.datasets import cut_recordings

paths = sorted(folder.glob("*.wav"))
table = match_files(read_events(folder / "events.csv"), paths)


def train(events):
    X, y, _ = cut_recordings(paths[:4], events[:4], clip_length=10.0)
    pipe = make_rcrnn_pipeline(
        start="rare-events", max_epochs=12, batch_size=4, validation_fraction=None, random_state=0
    )
    return pipe.fit(X, y)


first = train(table)

# %%
# Score it on recordings that it has not heard
# --------------------------------------------
# ``rcrnn evaluate truth.csv found.csv``. Here we know the whole truth; you would annotate a few
# recordings with care.

from sklearn_rcrnn.metrics import event_based_error_rate

held_out, true = paths[4:], truth[4:]
print("error rate", round(event_based_error_rate(true, first.predict(held_out)), 2))

# %%
# Look at what it finds
# ---------------------
# ``rcrnn report night/ --model first`` writes the page, in which you keep, reject, relabel, move
# and add events, and then export ``corrections.csv``.

from sklearn_rcrnn import write_report
from sklearn_rcrnn.displays import EventsDisplay

found = first.predict(paths[:4])
write_report(paths[:4], found, folder / "report.html", title="Events of four nights")
EventsDisplay.from_estimator(first, paths[0], truth[0])

# %%
# Correct
# -------
# A person listens and decides. Here the truth does: an event is kept if it is one.

with open(folder / "corrections.csv", "w", newline="") as file:
    out = csv.writer(file)
    out.writerow(["file", "onset", "offset", "label", "score", "decision"])
    for path, events, own in zip(paths[:4], found, truth, strict=False):
        for event in events:
            real = any(
                label == event.label and onset < event.offset and offset > event.onset
                for onset, offset, label in own
            )
            decision = "keep" if real else "reject"
            out.writerow([path.name, event.onset, event.offset, event.label, event.score, decision])

# %%
# Train again
# -----------
# ``rcrnn train night/ events.csv --corrections corrections.csv -o second``. What was kept joins the
# table, and what was rejected is taken out of it.

from sklearn_rcrnn.annotations import apply_corrections, read_corrections

corrections = read_corrections(folder / "corrections.csv")
corrected = [
    apply_corrections(own, corrections.get(path.name, [])).events
    for path, own in zip(paths, table, strict=True)
]
print(sum(map(len, table[:4])), "events before,", sum(map(len, corrected[:4])), "after")
second = train(corrected)
print("error rate", round(event_based_error_rate(true, second.predict(held_out)), 2))

# %%
# Keep it
# -------
# The folder holds the weights as safetensors and the rest as JSON, without pickle.
# ``rcrnn detect new.wav --model my-sounds`` takes it.

from sklearn_rcrnn import save

save(second, folder / "my-sounds")
