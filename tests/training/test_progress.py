"""What a training says can be given to another one."""

from __future__ import annotations

from types import SimpleNamespace

from sklearn.base import clone

from sklearn_rcrnn import RCRNNDetector
from sklearn_rcrnn.training.progress import Progress


def test_a_detector_with_it_can_be_cloned():
    """As rcrnn train does, and every search: its last epochs are a training of their own."""
    detector = clone(RCRNNDetector(callbacks=[Progress(print)]))
    assert isinstance(detector.callbacks[0], Progress)
    assert detector.callbacks[0].sink is print


def test_the_time_left_includes_the_epochs_of_a_training_that_follows(monkeypatch):
    progress = Progress(n_later=5).initialize()
    clock = iter([100.0, 130.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    net = SimpleNamespace(history=[{}], max_epochs=10)
    progress.on_epoch_begin(net)
    net.history.append({})
    assert progress.seconds_left(net) == 30.0 / 2 * (8 + 5)
