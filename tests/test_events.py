"""Checks of event lists."""

from __future__ import annotations

import numpy as np
import pytest

from sklearn_rcrnn import Event
from sklearn_rcrnn.events import check_event_lists, labels_of


def test_forms_that_are_taken():
    y = check_event_lists(
        [[(0, 1, "a")], [], [[0.5, 2.0, np.str_("b"), 0.7]], np.empty((0, 3))], n_clips=4
    )
    assert y[0] == [Event(0.0, 1.0, "a", 1.0)]
    assert y[2] == [Event(0.5, 2.0, "b", 0.7)]
    assert y[1] == y[3] == []
    assert labels_of(y) == ["a", "b"]
    assert type(y[2][0].label) is str


def test_integer_labels():
    label = check_event_lists([[(0, 1, np.int64(3))]])[0][0].label
    assert label == 3
    assert type(label) is int


@pytest.mark.parametrize(
    ("y", "error", "match"),
    [
        (None, TypeError, "y must hold"),
        ("abc", TypeError, "y must hold"),
        ([(0.0, 1.0, "a")], TypeError, r"y\[0\]\[0\] must be an event"),
        ([[[(0.0, 1.0, "a")]]], ValueError, r"y\[0\]\[0\]"),
        ([0, 1], TypeError, r"y\[0\] must be the list"),
        ([[(0.0, "a")]], ValueError, r"y\[0\]\[0\]"),
        ([[], [(2.0, 1.0, "a")]], ValueError, r"y\[1\]\[0\].*before"),
        ([[(1.0, 1.0, "a")]], ValueError, "no length"),
        ([[(-1.0, 1.0, "a")]], ValueError, "negative onset"),
        ([[(0.0, np.nan, "a")]], ValueError, "not finite"),
        ([[("0", 1.0, "a")]], TypeError, "seconds"),
        ([[(0.0, 1.0, 2.5)]], TypeError, "string or an integer"),
        ([[(0.0, 1.0, None)]], TypeError, "string or an integer"),
        ([[(0.0, 1.0, True)]], TypeError, "string or an integer"),
        ([[(0.0, 1.0, "a")], [(0.0, 1.0, 1)]], TypeError, "mixture"),
        ([[(0.0, 31.0, "a")]], ValueError, r"y\[0\]\[0\] ends at 31 s.*30"),
        ([[(0.0, 1.0, "a", np.inf)]], ValueError, "score"),
    ],
)
def test_bad_events(y, error, match):
    with pytest.raises(error, match=match):
        check_event_lists(y, durations=[30.0] * (len(y) if hasattr(y, "__len__") else 0))


def test_wrong_number_of_clips():
    with pytest.raises(ValueError, match="2 clips, but X has 3"):
        check_event_lists([[], []], n_clips=3)
