"""Interval maths against plain references, on random intervals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_rcrnn.nn.coding import decode, decode_edges, encode, encode_edges
from sklearn_rcrnn.nn.intervals import clip_to_limits, iou
from sklearn_rcrnn.nn.matching import IGNORED, NEGATIVE, POSITIVE, match, sample
from sklearn_rcrnn.nn.nms import nms
from sklearn_rcrnn.nn.roi import position_sensitive_pool, roi_max_pool
from sklearn_rcrnn.nn.rpn import anchors

seeds = st.integers(0, 2**31 - 1)


def random_intervals(rng, *shape, span=50.0):
    start = rng.uniform(-5, span, shape)
    return torch.tensor(np.stack([start, start + rng.uniform(0.1, 20, shape)], -1))


def plain_iou(a, b):
    inter = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
    return inter / ((a[1] - a[0]) + (b[1] - b[0]) - inter)


def plain_nms(intervals, scores, threshold):
    kept = []
    for i in sorted(range(len(scores)), key=lambda i: -scores[i]):
        if all(plain_iou(intervals[i], intervals[j]) <= threshold for j in kept):
            kept.append(i)
    return kept


@given(seeds)
@settings(max_examples=50, deadline=None)
def test_iou_equals_plain(seed):
    rng = np.random.default_rng(seed)
    a, b = random_intervals(rng, 2, 4), random_intervals(rng, 2, 3)
    expected = [[[plain_iou(x, y) for y in b[c]] for x in a[c]] for c in range(2)]
    np.testing.assert_allclose(iou(a, b), expected, atol=1e-9)


@given(seeds, st.floats(0.5, 10), st.floats(0.5, 10))
@settings(max_examples=50, deadline=None)
def test_decode_inverts_encode(seed, center_weight, width_weight):
    rng = np.random.default_rng(seed)
    intervals, grid = random_intervals(rng, 20), random_intervals(rng, 20)
    weights = (center_weight, width_weight)
    back = decode(encode(intervals, grid, weights), grid, weights)
    np.testing.assert_allclose(back, intervals, atol=1e-6)


def test_decode_of_huge_codes_is_finite():
    assert torch.isfinite(decode(torch.tensor([0.0, 1e4]), torch.tensor([0.0, 1.0]))).all()


@given(seeds, st.floats(0.05, 0.95), st.integers(1, 60), st.integers(1, 70), st.booleans())
@settings(max_examples=100, deadline=None)
def test_nms_equals_plain_greedy(seed, threshold, n, chunk, some_invalid):
    rng = np.random.default_rng(seed)
    intervals = random_intervals(rng, 3, n)
    scores = torch.tensor(rng.permuted(np.tile(np.linspace(0, 1, n), (3, 1)), axis=1))
    valid = torch.tensor(rng.uniform(size=(3, n)) < (0.7 if some_invalid else 2))
    indices, kept = nms(intervals, scores, threshold, valid=valid, chunk=chunk)
    for clip in range(3):
        places = torch.nonzero(valid[clip])[:, 0].tolist()
        expected = plain_nms(
            intervals[clip][places].tolist(), scores[clip][places].tolist(), threshold
        )
        assert indices[clip][kept[clip]].tolist() == [places[i] for i in expected]


@given(seeds, st.integers(1, 20), st.integers(1, 30))
@settings(max_examples=50, deadline=None)
def test_nms_keeps_the_first_of_all(seed, max_kept, chunk):
    rng = np.random.default_rng(seed)
    intervals = random_intervals(rng, 2, 50)
    scores = torch.tensor(rng.uniform(size=(2, 50)))
    every, every_kept = nms(intervals, scores, 0.4)
    some, some_kept = nms(intervals, scores, 0.4, max_kept=max_kept, chunk=chunk)
    for clip in range(2):
        first = every[clip][every_kept[clip]][:max_kept].tolist()
        assert some[clip][some_kept[clip]].tolist() == first


def test_clip_to_each_length():
    clipped = clip_to_limits(torch.tensor([[[-1.0, 5.0]], [[2.0, 30.0]]]), torch.tensor([4, 20]))
    assert clipped.tolist() == [[[0, 4]], [[2, 20]]]


def match_one(candidates, events, **kwargs):
    settings = {"positive_iou": 0.7, "negative_iou": (0.0, 0.3), **kwargs}
    events = torch.tensor(events)[None]
    mask = torch.ones(events.shape[:2], dtype=torch.bool)
    return match(torch.tensor(candidates)[None], events, mask, **settings)


def test_match_labels():
    labels, assigned = match_one(
        [[0.0, 10.0], [0.0, 5.0], [20.0, 21.0], [40.0, 50.0]], [[40.0, 49.0], [0.0, 10.0]]
    )
    assert labels.tolist() == [[POSITIVE, IGNORED, NEGATIVE, POSITIVE]]
    assert assigned[0, [0, 3]].tolist() == [1, 0]


def test_match_forces_the_best_of_each_event_only():
    labels, _ = match_one([[0.0, 2.0], [0.0, 1.0], [9.0, 9.5]], [[0.0, 4.0]], force_best=True)
    assert labels.tolist() == [[POSITIVE, NEGATIVE, NEGATIVE]]


def test_match_forces_the_best_only_of_an_event_that_hardly_overlaps():
    anchors = [[0.0, 1e7], [0.0, 2e7], [5e7, 6e7]]
    labels, _ = match_one(anchors, [[0.0, 4.0]], force_best=True)
    assert labels.tolist() == [[POSITIVE, NEGATIVE, NEGATIVE]]


def test_match_ignores_unusable():
    usable = torch.tensor([[False, True]])
    labels, _ = match_one([[0.0, 4.0], [0.0, 3.0]], [[0.0, 4.0]], usable=usable, force_best=True)
    assert labels.tolist() == [[IGNORED, POSITIVE]]


def test_match_of_clip_without_event_is_all_negative():
    events, mask = torch.zeros(1, 1, 2), torch.zeros(1, 1, dtype=torch.bool)
    labels, _ = match(
        torch.tensor([[[0.0, 1.0]]]),
        events,
        mask,
        positive_iou=0.7,
        negative_iou=(0.0, 0.3),
        force_best=True,
    )
    assert labels.tolist() == [[NEGATIVE]]


@given(seeds)
@settings(max_examples=50, deadline=None)
def test_sample_is_bounded_and_balanced(seed):
    rng = np.random.default_rng(seed)
    labels = torch.tensor(rng.integers(-1, 2, (4, 40)))
    indices, drawn = sample(labels, 16, 0.5)
    for row, index, used in zip(labels, indices, drawn, strict=True):
        assert len(set(index.tolist())) == len(index)
        picked = row[index[used]]
        assert (picked >= 0).all()
        n_positive, n_negative = int((row == 1).sum()), int((row == 0).sum())
        assert int((picked == 1).sum()) == min(n_positive, 8)
        assert int((picked == 0).sum()) == min(n_negative, 16 - min(n_positive, 8))


def slow_roi_pool(feature_map, rois, lengths, n_bins, pool=np.max):
    """Bin by bin; `feature_map` is one for all bins, or a map for each of them."""
    out = np.zeros((*rois.shape[:2], n_bins, feature_map.shape[-1]))
    for c, r in np.ndindex(*rois.shape[:2]):
        a, b = rois[c, r] + 0.5
        for k in range(n_bins):
            start = int(np.floor(a + k * (b - a) / n_bins + 1e-4))
            end = int(np.ceil(a + (k + 1) * (b - a) / n_bins - 1e-4))
            start = min(max(start, 0), lengths[c] - 1)
            end = max(min(end, lengths[c]), start + 1)
            own = feature_map[c] if feature_map.ndim == 3 else feature_map[c, :, k]
            out[c, r, k] = pool(own[start:end], axis=0)
    return out


@given(seeds, st.integers(1, 9))
@settings(max_examples=50, deadline=None)
def test_roi_pool_equals_slow_reference(seed, n_bins):
    rng = np.random.default_rng(seed)
    feature_map = rng.normal(size=(3, 40, 5))
    lengths = rng.integers(1, 41, 3)
    rois = random_intervals(rng, 3, 6, span=40).numpy()
    fast = roi_max_pool(
        torch.tensor(feature_map), torch.tensor(rois), torch.tensor(lengths), n_bins
    )
    np.testing.assert_array_equal(fast, slow_roi_pool(feature_map, rois, lengths, n_bins))


@given(seeds, st.integers(1, 9))
@settings(max_examples=50, deadline=None)
def test_position_sensitive_pool_equals_slow_reference(seed, n_bins):
    rng = np.random.default_rng(seed)
    maps = rng.normal(size=(3, 40, n_bins, 5))
    lengths = rng.integers(1, 41, 3)
    rois = random_intervals(rng, 3, 6, span=40).numpy()
    fast = position_sensitive_pool(torch.tensor(maps), torch.tensor(rois), torch.tensor(lengths))
    slow = slow_roi_pool(maps, rois, lengths, n_bins, np.mean).mean(2)
    np.testing.assert_allclose(fast, slow, atol=1e-12)


def test_roi_pool_gradient_reaches_each_maximum():
    feature_map = torch.tensor([[[0.0], [3.0], [1.0], [2.0]]], requires_grad=True)
    pooled = roi_max_pool(feature_map, torch.tensor([[[-0.5, 3.5]]]), torch.tensor([4]), n_bins=2)
    pooled.sum().backward()
    assert feature_map.grad.flatten().tolist() == [0, 1, 0, 1]


@given(seeds)
@settings(max_examples=50, deadline=None)
def test_decode_edges_inverts_encode_edges(seed):
    rng = np.random.default_rng(seed)
    intervals, anchor = random_intervals(rng, 2, 7), random_intervals(rng, 2, 7)
    codes = encode_edges(intervals, anchor, (8.0, 4.0))
    torch.testing.assert_close(
        decode_edges(codes, anchor, (8.0, 4.0)), intervals, atol=1e-4, rtol=1e-4
    )


def test_anchors_are_centered_on_steps():
    grid = anchors(5, (1, 2, 32))
    assert grid.shape == (15, 2)
    np.testing.assert_allclose(grid.mean(-1), np.repeat(np.arange(5), 3))
    np.testing.assert_allclose((grid[:, 1] - grid[:, 0])[:3], [1, 2, 32])


def test_empty_batch_of_candidates():
    indices, kept = nms(torch.zeros(2, 0, 2), torch.zeros(2, 0), 0.5)
    assert indices.shape == kept.shape == (2, 0)


@pytest.mark.parametrize("n", [1, 5])
def test_nms_with_nothing_valid(n):
    _, kept = nms(
        torch.zeros(2, n, 2), torch.zeros(2, n), 0.5, valid=torch.zeros(2, n, dtype=torch.bool)
    )
    assert not kept.any()
