"""Thresholds by name: the price of a false alarm orders them; two events do not decide alone."""

from __future__ import annotations

import numpy as np
import pytest

from sklearn_rcrnn import Event
from sklearn_rcrnn.models.thresholds import choose_thresholds
from sklearn_rcrnn.postprocessing import EventRules


def clips(label, right, false):
    """Clips with an event that is found with each score of `right`; empty ones with `false`."""
    true = [[(1.0, 2.0, label)] for _ in right] + [[] for _ in false]
    found = [[Event(1.0, 2.0, label, s)] for s in right] + [
        [Event(5.0, 6.0, label, s)] for s in false
    ]
    return true, found


def test_dearer_false_alarms_raise_the_threshold():
    scores = np.linspace(0.2, 0.9, 30)
    true, found = clips("dog", scores, scores - 0.15)
    chosen = choose_thresholds(true, found, ["dog"])
    low, middle, high = (own["dog"] for own in chosen.values())
    assert list(chosen) == ["sensitive", "balanced", "few false alarms"]
    assert low < middle < high


def test_of_equally_good_ones_the_nearest_to_the_center_but_not_at_the_edge():
    true, found = clips("dog", [0.9] * 20, [0.55] * 20)
    assert choose_thresholds(true, found, ["dog"])["balanced"]["dog"] == 0.65


def test_two_events_lean_on_the_others():
    """Two events would ask for 0.9; those of the other label say 0.5, until there are many."""
    true, found = clips("dog", [0.6] * 40, [0.4] * 40)
    rare_true, rare_found = clips("owl", [0.95, 0.95], [0.8])
    both = choose_thresholds([*true, *rare_true], [*found, *rare_found], ["dog", "owl"])
    assert both["balanced"] == {"dog": 0.5, "owl": 0.5}
    many = clips("owl", [0.95] * 40, [0.8] * 40)
    enough = choose_thresholds([*true, *many[0]], [*found, *many[1]], ["dog", "owl"])
    assert enough["balanced"]["owl"] > 0.8


def test_a_label_without_events_and_no_event_at_all():
    true, found = clips("dog", [0.6] * 4, [0.4] * 4)
    assert choose_thresholds(true, found, ["dog", "owl"])["balanced"]["owl"] == 0.5
    with pytest.raises(ValueError, match="no event in any clip"):
        choose_thresholds([[]], [[]], ["dog"])


def test_what_the_rules_of_the_detector_drop_is_no_false_alarm():
    """Short sounds pass for events up to a high score, unless the detector drops them anyway."""
    true, found = clips("dog", [0.9] * 20, [0.8] * 20)
    right, false = found[:20], found[20:]
    short = [[event._replace(offset=event.onset + 0.1) for event in own] for own in false]
    found = [*right, *short]
    by_rule = choose_thresholds(true, found, ["dog"], rules=EventRules(min_duration=0.5))
    assert choose_thresholds(true, found, ["dog"])["balanced"]["dog"] > 0.8
    assert by_rule == choose_thresholds(true, [*right, *[[]] * 20], ["dog"])
    assert by_rule["balanced"]["dog"] == 0.5
