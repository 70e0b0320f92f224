"""What a training says can be given to another one."""

from __future__ import annotations

from sklearn.base import clone

from sklearn_rcrnn import RCRNNDetector
from sklearn_rcrnn.training.progress import Progress


def test_a_detector_with_it_can_be_cloned():
    """As rcrnn train does, and every search: its last epochs are a training of their own."""
    detector = clone(RCRNNDetector(callbacks=[Progress(print)]))
    assert isinstance(detector.callbacks[0], Progress)
    assert detector.callbacks[0].sink is print
