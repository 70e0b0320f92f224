"""Feature maps of clips and vectors of events."""

from __future__ import annotations

import numpy as np
import pytest

from sklearn_rcrnn import CRNNPretrainer, RCRNNDetector


def test_feature_maps_are_those_that_a_head_may_stand_on(fitted, features):
    X, _ = features
    maps = fitted.transform(X)
    assert maps.dtype == np.float32
    assert maps.shape == (len(X), 22, fitted.net_.module_.extractor.n_channels)
    unequal = fitted.transform([X[0], X[1][:57]])
    np.testing.assert_allclose(unequal[0], maps[0], atol=1e-4)
    assert unequal[1].shape == (8, maps.shape[2])


def test_feature_maps_of_long_clips_are_joined_without_gaps(features):
    """A network that sees no further than a window's margin gives the same in one piece."""
    X, y = features
    detector = RCRNNDetector(
        extractor="cnn", dense_units=8, normalization="training", max_epochs=1, random_state=0
    ).fit(X, y)
    long = np.concatenate([X[i % len(X)] for i in range(40)])[:6111]  # 142 s, three windows
    maps = detector.transform([long])[0]
    with detector._inference() as network:
        import torch

        whole = network.feature_map(torch.from_numpy(long)[None])[0].numpy()
    assert maps.shape == whole.shape == (764, 896)
    np.testing.assert_allclose(maps, whole, atol=1e-3)


def test_same_maps_as_the_pretrainer_that_a_frozen_detector_came_from(features):
    X, y = features
    detector = RCRNNDetector(
        gru_units=4,
        dense_units=8,
        pretrainer=CRNNPretrainer(max_epochs=1),
        freeze_extractor=True,
        max_epochs=1,
        random_state=0,
    ).fit(X, y)
    # Batches of other sizes are rounded in another way.
    maps = detector.transform(X)
    np.testing.assert_allclose(maps, detector.pretrainer_.transform(X), atol=1e-4)


def test_vectors_of_events(fitted, features):
    X, _ = features
    events = [[(0.5, 1.5, "any"), (2.0, 3.0, "other")], [], [(1.0, 2.0, "any", 0.3)]]
    vectors = fitted.event_embeddings(X[:3], events)
    assert [v.shape for v in vectors] == [(2, 16), (0, 16), (1, 16)]
    assert {v.dtype for v in vectors} == {np.dtype(np.float32)}
    assert not np.allclose(vectors[0][0], vectors[0][1])
    # Neither other events nor other clips change the vector of an event.
    alone = fitted.event_embeddings(X[:1], [[(2.0, 3.0, "other")]])
    np.testing.assert_allclose(alone[0][0], vectors[0][1], atol=1e-5)


def test_the_class_layer_sees_the_vectors(fitted, features):
    """Scores that are computed from the vectors of refined intervals are those of predict."""
    import torch

    X, _ = features
    event = max(fitted.predict_candidates(X[:1])[0], key=lambda e: e.score)
    vector = torch.from_numpy(fitted.event_embeddings(X[:1], [[event]])[0])
    head = fitted.net_.module_.head
    step = fitted._step_seconds()
    with torch.inference_mode():
        roi = torch.tensor([[[event.onset / step, event.offset / step]]])
        maps = torch.from_numpy(fitted.transform(X[:1]))
        logits, _ = head(maps, roi, torch.tensor([maps.shape[1]]))
        torch.testing.assert_close(head.classes(vector), logits[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("extractor", ["precomputed", "cnn"])
def test_position_sensitive_vectors(features, extractor):
    X, y = features
    X = X[:, ::8] if extractor == "precomputed" else X
    detector = RCRNNDetector(
        extractor=extractor, head="position_sensitive", max_epochs=1, random_state=0
    ).fit(X, y)
    vectors = detector.event_embeddings(X[:2], [[(0.5, 1.5, "a")], []])
    maps = detector.transform(X[:1])
    assert [v.shape for v in vectors] == [(1, 7 * maps.shape[2]), (0, 7 * maps.shape[2])]
    # The bins of an event of 5.4 steps lie in the steps 2 to 8.
    assert vectors[0].max() <= maps[0, 2:9].max() + 1e-5
    assert vectors[0].min() >= maps[0, 2:9].min() - 1e-5


def test_events_that_cannot_be(fitted, features):
    X, _ = features
    with pytest.raises(ValueError, match=r"events\[1\]"):
        fitted.event_embeddings(X[:2], [[], [(1.0, 9.0, "a")]])
    with pytest.raises(ValueError, match="events has event lists for 1 clips"):
        fitted.event_embeddings(X[:2], [[]])
