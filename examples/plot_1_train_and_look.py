"""
Train a detector and look at what it does
=========================================

Synthesized recordings, a small network, and the pictures that tell whether it has learnt:
losses, a clip with its events, the choice of the threshold, and how exact onsets are.
"""

# %%
# Clips and events
# ----------------
# ``X`` holds waveforms (or paths), ``y`` for each clip a list of ``(onset, offset, label)`` in
# seconds.

from sklearn_rcrnn import make_rcrnn_pipeline
from sklearn_rcrnn.datasets import make_rare_events

settings = {"duration": 4.0, "sample_rate": 16000, "ebr": (10, 20), "max_events": 2}
X, y = make_rare_events(200, random_state=0, **settings)
X_test, y_test = make_rare_events(80, random_state=1, **settings)
print(*y[:3], sep="\n")

# %%
# A pipeline from recordings to events
# ------------------------------------
# Small features and layers, so that it trains from random weights in half a minute on one core.
# For recordings of your own take ``make_rcrnn_pipeline(start="general")`` instead: it brings
# features and sizes along, and weights that know other sounds.

pipe = make_rcrnn_pipeline(
    sample_rate=16000,
    n_fft=1024,
    hop_length=512,
    n_mels=32,
    gru_units=24,
    dense_units=64,
    lr=2e-3,
    batch_size=4,
    max_epochs=8,
    random_state=0,
)
pipe.fit(X, y)

# %%
# The losses of each epoch, and the F-score of the validation clips. ``parts=True`` also draws what
# the losses are the sum of: proposals (``rpn``), classifier (``head``), labels at each step
# (``steps``).

from sklearn_rcrnn.displays import TrainingDisplay

TrainingDisplay.from_estimator(pipe)

# %%
# What it finds
# -------------

from sklearn_rcrnn.displays import EventsDisplay

clip = next(i for i, events in enumerate(y_test) if len(events) == 2)
EventsDisplay.from_estimator(pipe, X_test[clip], y_test[clip], proposals=10)

# %%
# Every event has a score of its own; the threshold decides which are returned, and never moves
# their boundaries.

print(*pipe.predict(X_test[[clip]])[0], sep="\n")

# %%
# How good is it, and where should the threshold be?
# ---------------------------------------------------
# Scores are event-based and computed by sed_eval: an event is right if its onset is within half
# a second.

from sklearn_rcrnn.displays import EventPrecisionRecallDisplay, OnsetErrorDisplay, ThresholdDisplay

print(f"F-score at 0.5: {pipe.score(X_test, y_test):.3f}")
ThresholdDisplay.from_estimator(pipe, X_test, y_test)

# %%

EventPrecisionRecallDisplay.from_estimator(pipe, X_test, y_test)

# %%

OnsetErrorDisplay.from_predictions(y_test, pipe.predict(X_test))
