"""Long recordings: windows leave no trace in the events."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_rcrnn import Event, RCRNNDetector
from sklearn_rcrnn.inference.merging import UnsettledEvents, merge
from sklearn_rcrnn.inference.recordings import Frames, chunks_with_context, detect_recording
from sklearn_rcrnn.inference.windows import NEVER, Windows
from sklearn_rcrnn.nn.nms import nms

FRAME = 1024 / 44100


@given(st.integers(1, 40_000))
@settings(deadline=None)
def test_windows_cover_a_recording_once(n_frames):
    windows = Windows(FRAME)
    found = list(windows.of_recording(n_frames))
    assert found[0].start == 0
    assert found[0].first_center == 0
    assert found[-1].stop == n_frames
    for before, after in itertools.pairwise(found):
        assert before.stop - before.start == windows.length
        # Inner parts overlap, by twice a second, and never reach a window's own end.
        assert before.last_center - after.first_center == pytest.approx(2.0)
        assert before.last_center < before.stop * FRAME
        assert after.start % 8 == 0
    assert all(window.stop - window.start <= windows.length for window in found)


def test_a_window_must_hold_its_margins():
    with pytest.raises(ValueError, match="more than twice"):
        Windows(FRAME, window=10, margin=5)
    for wrong in ({"window": float("nan")}, {"margin": float("inf")}):
        with pytest.raises(ValueError, match="finite"):
            Windows(FRAME, **wrong)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.7, 1.0])
@pytest.mark.parametrize("n", [0, 1, 2, 300])
def test_merge_is_the_greedy_rule(n, threshold):
    """Whatever overlaps, and where scores are equal: what the batched suppression keeps."""
    rng = np.random.default_rng(n)
    onsets, lengths = rng.uniform(0, 60, n), rng.choice([0.3, 1.0, 8.0], n)
    labels, scores = rng.choice(["a", "b"], n), rng.integers(0, 50, n) / 50
    rows = zip(onsets.tolist(), (onsets + lengths).tolist(), labels, scores.tolist(), strict=True)
    events = [Event(*row) for row in rows]
    expected = []
    for label in ("a", "b"):
        own = [event for event in events if event.label == label]
        times = torch.tensor([event[:2] for event in own], dtype=torch.float64).view(1, -1, 2)
        own_scores = torch.tensor([[event.score for event in own]], dtype=torch.float64)
        indices, valid = nms(times, own_scores, threshold)
        expected += [own[i] for i in indices[valid].tolist()]
    assert merge(events, threshold) == sorted(expected)


def test_merge_of_all_candidates_of_four_hours_takes_seconds():
    """Work grows with the pairs that overlap: a quadratic rule takes 30 s and more for these."""
    n = 4 * 90 * 300  # windows of 40 s, 100 proposals, 3 labels
    rng = np.random.default_rng(0)
    onsets = rng.uniform(0, 4 * 3600, n)
    columns = onsets, onsets + rng.uniform(0.3, 3, n), rng.integers(0, 3, n), rng.uniform(size=n)
    events = [Event(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]
    began = time.process_time()
    kept = merge(events, 0.5)
    assert len(kept) > 10_000
    assert time.process_time() - began < 10


def test_merge_keeps_the_best_of_each_label():
    events = [
        Event(1.0, 2.0, "dog", 0.5),
        Event(1.1, 2.1, "dog", 0.9),
        Event(1.1, 2.1, "cat", 0.4),
        Event(5.0, 6.0, "dog", 0.2),
    ]
    assert merge(events, 0.5) == sorted(events[1:])


class Perfect:
    """A network that finds whatever lies inside the frames, which hold their own numbers."""

    def __init__(self, true, n_threads=1, at_once=8, before=0, after=0, frames_per_row=8):
        self.true = true
        self.n_threads = n_threads
        self.at_once = at_once
        self.before = before
        self.after = after
        self.frames_per_row = frames_per_row

    def rows(self, chunk):
        # The context is there, as far as the recording goes.
        numbers = chunk.features[:, 0]
        first, last = numbers[chunk.start], numbers[chunk.start + chunk.n_frames - 1]
        assert numbers[0] <= max(0, first - self.before)
        assert numbers[-1] >= last + self.after or chunk.is_last or numbers[-1] == N_FRAMES - 1
        own = chunk.features[chunk.start :][: chunk.n_frames : self.frames_per_row]
        return torch.from_numpy(own)

    def events(self, rows, n_frames):
        assert rows.shape[1] == -(-max(n_frames) // self.frames_per_row)
        first = rows[:, 0, 0].int().tolist()
        return [self.events_between(*pair) for pair in zip(first, n_frames, strict=True)]

    def events_of_clip(self, features):
        return self.events_between(int(features[0, 0]), len(features))

    def events_between(self, first, n_frames):
        begin, end = first * FRAME, (first + n_frames - 1) * FRAME
        return [
            Event(max(0, e.onset - begin), min(end, e.offset) - begin, e.label, e.score)
            for e in self.true
            if e.offset > begin and e.onset < end
        ]


N_FRAMES = 14_000


def in_windows(network, n_frames, block=1000):
    """Events of the frames that hold their own numbers."""
    frames = np.arange(n_frames, dtype=np.float32)[:, None]
    blocks = [frames[i : i + block] for i in range(0, n_frames, block)]
    parts = list(detect_recording(blocks, Windows(FRAME), network))
    assert [window for window, _ in parts] == list(Windows(FRAME).of_recording(n_frames))
    return merge([event for _, events in parts for event in events], 0.5)


@given(st.integers(0, 2**32 - 1), st.floats(0, 45))
@settings(max_examples=30, deadline=None)
def test_events_do_not_depend_on_the_borders(seed, shift):
    rng = np.random.default_rng(seed)
    onsets = np.cumsum(rng.uniform(0.2, 9, 60)) + shift
    true = [Event(t, t + rng.uniform(0.1, 8), "x", rng.uniform(0.5, 1)) for t in onsets.tolist()]
    true = [event for event in merge(true, 0.5) if event.offset < (N_FRAMES - 1) * FRAME]
    found = in_windows(Perfect(true), N_FRAMES)
    np.testing.assert_allclose([e[:2] for e in found], [e[:2] for e in true], atol=1e-6)


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("at_once", [1, 3, 8])
@pytest.mark.parametrize("block", [1, 997, 20_000])
def test_chunks_groups_and_threads_leave_no_trace(n_threads, at_once, block):
    onsets = np.arange(3.0, 320.0, 7.0).tolist()
    true = [Event(t, t + 2.0, "x", 0.5 + t / 1000) for t in onsets]
    network = Perfect(true, n_threads, at_once, before=431, after=271, frames_per_row=8)
    found = in_windows(network, N_FRAMES, block)
    np.testing.assert_allclose([e[:2] for e in found], [e[:2] for e in true], atol=1e-6)


def test_a_batch_of_windows_holds_as_much_as_one_of_clips():
    length = Windows(FRAME).length
    at_once = [RCRNNDetector(batch_size=n)._windows_at_once("cuda", length) for n in (1, 4, 16, 64)]
    assert at_once == [1, 2, 8, 32]
    assert RCRNNDetector(batch_size=64)._windows_at_once("cpu", length) == 4
    assert RCRNNDetector(batch_size=4)._windows_at_once("cpu", length) == 2


@given(st.integers(1, N_FRAMES), st.integers(0, 300), st.integers(0, 300))
@settings(max_examples=60, deadline=None)
def test_chunks_cover_a_recording_once_and_with_its_context(n_frames, before, after):
    windows = Windows(FRAME, 20, 5)
    frames = np.arange(n_frames)[:, None]
    length = windows.hop
    held = Frames(np.array_split(frames, 7))
    chunks = list(
        chunks_with_context(held, windows.length, length, before=before, after=after, unit=8)
    )
    own = [c.features[c.start : c.start + c.n_frames, 0] for c in chunks]
    np.testing.assert_array_equal(np.concatenate(own), frames[:, 0])
    assert [c.is_last for c in chunks] == [False] * (len(chunks) - 1) + [True]
    for chunk, part in zip(chunks, own, strict=True):
        assert len(part) > 0
        assert part[0] % 8 == 0
        assert chunk.features[0, 0] <= max(0, part[0] - before)
        assert chunk.features[-1, 0] >= min(n_frames - 1, part[-1] + after)
        # Whoever is normalized by the last so many frames has them.
        if part[-1] + after >= n_frames:
            assert chunk.features[0, 0] <= max(0, n_frames - before - after)


def test_an_error_in_a_thread_is_raised():
    class Broken(Perfect):
        def rows(self, chunk):
            raise ValueError("a broken chunk")

    for n_threads in (1, 2):
        with pytest.raises(ValueError, match="a broken chunk"):
            in_windows(Broken([], n_threads), N_FRAMES)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.7])
def test_what_is_settled_cannot_be_suppressed_later(threshold):
    windows = Windows(FRAME)
    earliest = windows.earliest_after(windows.at(0))
    for length in (0.1, 1.0, 5.0, 20.0):
        for offset in np.linspace(earliest.onset - 1, earliest.center, 200).tolist():
            early = Event(offset - length, offset, "x", 0.5)
            # Of all that may come, this overlaps it most.
            onset = max(early.onset, earliest.onset)
            late = Event(onset, 2 * earliest.center - onset, "x", 1.0)
            survives = early in merge([late, early], threshold)
            settled = UnsettledEvents(threshold)._is_settled(early, earliest)
            assert survives or not settled
            # No event waits longer than it must, unless it began before all that may come.
            assert settled or not survives or early.onset < earliest.onset


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.7, 0.5, 0.3, 0.1, 0.0]))
@settings(max_examples=100, deadline=None)
def test_what_is_given_out_early_is_what_the_whole_gives(seed, threshold):
    rng = np.random.default_rng(seed)
    windows = Windows(FRAME, window=20, margin=5)
    unsettled, given_out, everything = UnsettledEvents(threshold), [], []
    for start in range(0, 6 * windows.hop, windows.hop):
        window = windows.at(start)
        centers = rng.uniform(window.first_center, window.last_center, 12)
        halves = np.minimum(rng.uniform(0.05, 6, 12), centers - start * FRAME)
        own = [
            Event(c - h, c + h, "x", rng.uniform())
            for c, h in zip(centers.tolist(), halves.tolist(), strict=True)
            if h > 0
        ]
        everything += own
        unsettled.add(own)
        given_out += unsettled.settle(windows.earliest_after(window))
    given_out += unsettled.settle(NEVER)
    assert sorted(given_out) == merge(everything, threshold)
