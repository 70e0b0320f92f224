"""Long recordings: windows leave no trace in the events."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_rcrnn import Event
from sklearn_rcrnn.inference.windows import END, Pending, Windows, in_windows, merge

FRAME = 1024 / 44100


@given(st.integers(1, 40_000))
@settings(deadline=None)
def test_windows_cover_a_recording_once(n_frames):
    windows = Windows(FRAME)
    pieces = list(windows.cut(n_frames))
    assert pieces[0].start == 0
    assert pieces[0].keep_from == 0
    assert pieces[-1].stop == n_frames
    for before, after in itertools.pairwise(pieces):
        assert before.stop - before.start == windows.length
        # Inner parts overlap, by twice a second, and never reach a window's own end.
        assert before.keep_to - after.keep_from == pytest.approx(2.0)
        assert before.keep_to < before.stop * FRAME
        assert after.start % 8 == 0
    assert all(piece.stop - piece.start <= windows.length for piece in pieces)


def test_a_window_must_hold_its_margins():
    with pytest.raises(ValueError, match="more than twice"):
        Windows(FRAME, window=10, margin=5)


def test_merge_keeps_the_best_of_each_label():
    events = [
        Event(1.0, 2.0, "dog", 0.5),
        Event(1.1, 2.1, "dog", 0.9),
        Event(1.1, 2.1, "cat", 0.4),
        Event(5.0, 6.0, "dog", 0.2),
    ]
    assert merge(events, 0.5) == sorted(events[1:])


def perfect(true):
    """A detector that finds whatever lies inside the frames that it is given."""

    def detect(pieces):
        found = []
        for piece in pieces:
            begin, end = piece[0, 0] * FRAME, piece[-1, 0] * FRAME
            found.append(
                [
                    Event(max(0, e.onset - begin), min(end, e.offset) - begin, e.label, e.score)
                    for e in true
                    if e.offset > begin and e.onset < end
                ]
            )
        return found

    return detect


@given(st.integers(0, 2**32 - 1), st.floats(0, 45))
@settings(max_examples=30, deadline=None)
def test_events_do_not_depend_on_the_borders(seed, shift):
    rng = np.random.default_rng(seed)
    onsets = np.cumsum(rng.uniform(0.2, 9, 60)) + shift
    true = [Event(t, t + rng.uniform(0.1, 8), "x", rng.uniform(0.5, 1)) for t in onsets.tolist()]
    true = merge(true, 0.5)
    n_frames = int((max(event.offset for event in true) + 5) / FRAME)
    clip = np.arange(n_frames, dtype=float)[:, None]
    found = in_windows(perfect(true), [clip], FRAME, 0.5)[0]
    np.testing.assert_allclose([e[:2] for e in found], [e[:2] for e in true], atol=1e-6)


def test_short_clips_beside_long_ones_stay_as_they_are():
    events = [Event(2.0, 3.0, "x", 0.9)]
    long = np.arange(6000.0)[:, None]
    found = in_windows(perfect(events), [long[:1000], long], FRAME, 0.5)
    np.testing.assert_allclose([e[:2] for e in found[0]], [[2, 3]])
    np.testing.assert_allclose([e[:2] for e in found[1]], [[2, 3]])


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.7])
def test_what_is_settled_cannot_be_suppressed_later(threshold):
    windows = Windows(FRAME)
    horizon = windows.horizon(windows.hop)
    for length in (0.1, 1.0, 5.0, 20.0):
        for offset in np.linspace(horizon.heard - 1, horizon.kept, 200).tolist():
            early = Event(offset - length, offset, "x", 0.5)
            # Of all that may come, this overlaps it most.
            onset = max(early.onset, horizon.heard)
            late = Event(onset, 2 * horizon.kept - onset, "x", 1.0)
            survives = early in merge([late, early], threshold)
            settled = Pending(threshold)._settled(early, horizon)
            assert survives or not settled
            # No event waits longer than it must, unless it began before all that may come.
            assert settled or not survives or early.onset < horizon.heard


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.7, 0.5, 0.3, 0.1, 0.0]))
@settings(max_examples=100, deadline=None)
def test_what_is_given_out_early_is_what_the_whole_gives(seed, threshold):
    rng = np.random.default_rng(seed)
    windows = Windows(FRAME, window=20, margin=5)
    pending, given_out, everything = Pending(threshold), [], []
    for start in range(0, 6 * windows.hop, windows.hop):
        piece = windows.piece(start, None)
        centers = rng.uniform(piece.keep_from, piece.keep_to, 12)
        halves = np.minimum(rng.uniform(0.05, 6, 12), centers - start * FRAME)
        own = [
            Event(c - h, c + h, "x", rng.uniform())
            for c, h in zip(centers.tolist(), halves.tolist(), strict=True)
            if h > 0
        ]
        everything += own
        pending.add(own)
        given_out += pending.take(windows.horizon(start + windows.hop))
    given_out += pending.take(END)
    assert sorted(given_out) == merge(everything, threshold)
