"""Displays draw what they were given."""

from __future__ import annotations

import copy

import librosa
import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from sklearn.pipeline import Pipeline

from sklearn_rcrnn import (
    Event,
    TunedThresholdDetectorCV,
    detect_file,
    event_embeddings,
    make_rcrnn_pipeline,
    save,
)
from sklearn_rcrnn.displays import (
    EventPrecisionRecallDisplay,
    EventsDisplay,
    OnsetErrorDisplay,
    ThresholdDisplay,
    TrainingDisplay,
)


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def pipe(clips):
    X, y = clips
    return make_rcrnn_pipeline(
        gru_units=4, dense_units=8, max_epochs=2, batch_size=8, score_threshold=0.0, random_state=0
    ).fit(X[:8], y[:8])


def test_events_stand_where_they_are():
    true = [(1.0, 2.5, "dog"), (0.5, 0.8, "cat")]
    found = [Event(1.1, 2.4, "dog", 0.9)]
    display = EventsDisplay.from_predictions(np.zeros((200, 64)), true, found)
    bars = {
        (round(bar.get_x(), 3), round(bar.get_width(), 3), bar.get_y() + bar.get_height() / 2)
        for bar in display.ax_[1].patches
    }
    assert bars == {(1.0, 1.5, 1.0), (0.5, 0.3, 1.0), (1.1, 1.3, 0.0)}
    assert [t.get_text() for t in display.ax_[1].get_yticklabels()] == ["found", "true"]
    assert display.ax_[0].get_xlim()[1] == pytest.approx(200 * 1024 / 44100)


@pytest.mark.parametrize(
    ("highest", "names"),
    [(240, ["10 Hz", "20 Hz", "50 Hz", "100 Hz", "200 Hz"]), (9, [])],
)
def test_bands_of_whales(highest, names):
    """Without a round frequency in their range there was no picture, but an error."""
    display = EventsDisplay(
        features=np.zeros((200, 64)),
        frame_shift=0.5,
        lanes={"found": []},
        band_frequencies=np.linspace(5, highest, 64),
    ).plot()
    assert [text.get_text() for text in display.ax_[0].get_yticklabels()] == names


def test_the_strongest_of_overlapping_events_lies_on_top():
    lanes = {"found": [Event(1.0, 2.0, "dog", 0.9), Event(1.1, 2.1, "dog", 0.2)]}
    display = EventsDisplay(features=np.zeros((200, 64)), frame_shift=0.023, lanes=lanes).plot()
    assert [bar.get_x() for bar in display.ax_[1].patches] == [1.1, 1.0]


def test_a_legend_names_labels_and_scores_do_not_overlap():
    found = [Event(1.0, 1.2, 7, 0.9), Event(1.1, 1.3, 8, 0.6), Event(3.0, 3.2, 8, 0.7)]
    lanes = {"found": found, "proposals": [Event(1.0, 2.0, "", 0.5)]}
    display = EventsDisplay(features=np.zeros((200, 64)), frame_shift=0.023, lanes=lanes).plot()
    top, bottom = display.ax_
    assert [text.get_text() for text in top.get_legend().get_texts()] == ["7", "8"]
    assert [text.get_text().strip() for text in bottom.texts] == ["0.90", "0.70"]


def test_events_of_a_pipeline(pipe, clips):
    X, y = clips
    display = EventsDisplay.from_estimator(pipe, X[0], y[0], proposals=5)
    names = [t.get_text() for t in display.ax_[1].get_yticklabels()]
    assert names == ["proposals", "found", "true"]
    n_found = len(pipe.predict(X[:1])[0])
    assert len(display.ax_[1].patches) == 5 + n_found + len(y[0])


def test_curves(pipe, clips):
    X, y = clips
    display = ThresholdDisplay.from_estimator(pipe, X[:8], y[:8], thresholds=[0.2, 0.5])
    lines = display.ax_.get_lines()
    assert len(lines) == 2 * len(display.curves.labels)
    np.testing.assert_array_equal(lines[0].get_ydata(), display.curves.error_rate[0])
    ax = plt.figure().add_subplot()
    other = EventPrecisionRecallDisplay(curves=display.curves).plot(ax=ax)
    assert other.ax_ is ax
    np.testing.assert_array_equal(ax.get_lines()[0].get_xdata(), display.curves.recall[0])


def test_curves_are_those_of_the_rules_of_the_detector(pipe, clips):
    X, y = clips
    strict = Pipeline([pipe.steps[0], ("detector", copy.copy(pipe[-1]))])
    strict.set_params(detector__min_duration=100.0)
    for kind in (ThresholdDisplay, EventPrecisionRecallDisplay):
        curves = kind.from_estimator(strict, X[:4], y[:4], thresholds=[0.1]).curves
        assert (curves.recall == 0).all()
        assert (curves.precision == 1).all()  # nothing was found
        lenient = kind.from_estimator(strict, X[:4], y[:4], thresholds=[0.1], rules=None).curves
        assert (lenient.precision < 1).any()
    tuned = TunedThresholdDetectorCV(strict[-1], cv="prefit", thresholds=[0.1])
    tuned.fit(strict[:-1].transform(X[:4]), y[:4])
    inside = Pipeline([pipe.steps[0], ("detector", tuned)])
    curves = ThresholdDisplay.from_estimator(inside, X[:4], y[:4], thresholds=[0.1]).curves
    assert (curves.recall == 0).all()


def test_histogram_counts_every_pair():
    true = [[(1.0, 2.0, "dog")], [(1.0, 2.0, "cat")], [(3.0, 5.0, "dog")]]
    found = [[(1.1, 2.0, "dog")], [(0.6, 1.6, "cat")], [(4.9, 6.0, "dog")]]
    display = OnsetErrorDisplay.from_predictions(true, found)
    # Stacked bars: the tops of the last label's are the sums.
    assert sum(patch.get_height() for patch in display.ax_.patches) == 3
    assert display.errors["dog"].size == 2

    class Found:
        def predict(self, X):
            return [found[i] for i in X]

    same = OnsetErrorDisplay.from_estimator(Found(), [0, 1, 2], true)
    assert same.errors["dog"].tolist() == display.errors["dog"].tolist()


def test_clips_without_any_event(recwarn):
    """The histogram ended with an error about colors."""
    assert not OnsetErrorDisplay.from_predictions([[]], [[]]).ax_.patches
    assert not ThresholdDisplay.from_predictions([[]], [[]]).ax_.get_lines()
    assert not recwarn.list


def test_error_rates_over_one_are_in_sight():
    true = [[(1.0, 2.0, "dog")]]
    candidates = [[Event(float(t), t + 1.0, "dog", 0.3) for t in range(1, 20, 2)]]
    display = ThresholdDisplay.from_predictions(true, candidates, thresholds=[0.2, 0.5])
    assert display.curves.error_rate[0, 0] == 9
    assert display.ax_.get_ylim()[1] == pytest.approx(3.15)


def test_frequencies_are_in_khz(pipe, clips):
    display = EventsDisplay.from_estimator(pipe, clips[0][0])
    ticks = [t.get_text() for t in display.ax_[0].get_yticklabels()]
    assert ticks == ["500 Hz", "1 kHz", "2 kHz", "4 kHz", "8 kHz", "16 kHz"]
    # 64 bands up to 22.05 kHz: 1 kHz is at 15.0 of 58.2 mels, of which each band has 0.9.
    heights = display.ax_[0].get_yticks()
    mels = librosa.hz_to_mel(np.array([500, 1000, 2000, 4000, 8000, 16000]))
    expected = mels / librosa.hz_to_mel(22050) * 65 - 0.5
    np.testing.assert_allclose(heights, expected, atol=0.05)


def test_a_notebook_shows_picture_player_and_events(pipe, clips):
    shown = EventsDisplay.from_estimator(pipe, clips[0][0], [(1.0, 2.0, "<dog>")])._repr_html_()
    assert "data:image/png;base64," in shown
    assert "<audio controls" in shown
    assert "<td>1.00 s</td><td>2.00 s</td><td>&lt;dog&gt;</td>" in shown


def test_training(pipe):
    display = TrainingDisplay.from_estimator(pipe)
    names = {line.get_label() for line in display.ax_.get_lines()}
    assert names == {"training loss", "validation loss"}
    with_parts = TrainingDisplay.from_estimator(pipe, parts=True)
    names = {line.get_label() for line in with_parts.ax_.get_lines()}
    assert {"training loss", "validation loss", "head_cls", "rpn_reg"} <= names
    history = [{"epoch": 1, "train_loss": 2.0}, {"epoch": 2, "train_loss": 1.0, "f_score": 0.5}]
    scored = TrainingDisplay(history=history).plot()
    assert scored.figure_.axes[1].get_lines()[0].get_xydata().tolist() == [[2.0, 0.5]]
    with pytest.raises(ValueError, match="history is empty"):
        TrainingDisplay(history=[]).plot()


def test_a_detector_alone_has_no_recordings(pipe, clips):
    with pytest.raises(TypeError, match="Pipeline"):
        EventsDisplay.from_estimator(pipe["detector"], clips[0][0])


def test_a_detector_inside_of_another_estimator(pipe, clips, tmp_path):
    """The errors did not say that the tuned estimator has what is needed."""
    X, y = clips
    features = pipe[:-1].transform(X[:4])
    tuned = TunedThresholdDetectorCV(pipe[-1], cv="prefit").fit(features, y[:4])
    inner = Pipeline([("lfbe", pipe[0]), ("tuned", tuned)])
    display = EventsDisplay.from_estimator(inner, X[0], proposals=3)
    assert display.frame_shift == pipe[-1].frame_shift
    assert len(display.lanes["proposals"]) == 3
    assert TrainingDisplay.from_estimator(inner).history == list(pipe[-1].history_)
    whole = TunedThresholdDetectorCV(pipe, cv="prefit").fit(X[:4], y[:4])
    for door, *arguments in (
        (EventsDisplay.from_estimator, X[0]),
        (detect_file, "garden.wav"),
        (event_embeddings, X[:1], y[:1]),
        (save, tmp_path / "model"),
    ):
        with pytest.raises(TypeError, match=r"Give its estimator_$"):
            door(whole, *arguments)
