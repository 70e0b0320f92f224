"""What a user may write; test_typing.py checks it with mypy --strict, and never runs it."""

from pathlib import Path

from sklearn_rcrnn import (
    Event,
    EventAugmentation,
    LFBETransformer,
    RCRNNDetector,
    TunedThresholdDetectorCV,
    detect_file,
    load,
    load_pretrained,
    make_rcrnn_pipeline,
    save,
)
from sklearn_rcrnn.annotations import match_files, read_events
from sklearn_rcrnn.datasets import cut_recordings, make_rare_events
from sklearn_rcrnn.metrics import event_based_error_rate

paths = sorted(Path("recordings").glob("*.wav"))
y = match_files(read_events("events.csv"), paths)
X, clips, groups = cut_recordings(paths, y, clip_length=10.0)
pipe = make_rcrnn_pipeline(gru_units=50, random_state=0)
pipe.fit(X, clips)
for events in pipe.predict(X):
    for event in events:
        onset: float = event.onset
detector = RCRNNDetector(frame_shift=LFBETransformer().frame_shift)
detector.fit(LFBETransformer().transform(X), clips)
found = detector.predict(LFBETransformer().transform(X))
first: Event = found[0][0]
early: list[Event] = found[0]
some: list[list[Event]] = found[:2]
tuned = TunedThresholdDetectorCV(pipe, cv=3).fit(X, clips, groups=groups)
thresholds: dict[str | int, float] = tuned.best_threshold_
save(pipe, "model")
again = load("model")
nights: list[Event] = detect_file(load_pretrained("rare-events"), "night.flac")
rate = event_based_error_rate(clips, found)
X_made, y_made = make_rare_events(10, random_state=0)
EventAugmentation(speed=0.1)
