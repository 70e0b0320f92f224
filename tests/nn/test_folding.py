"""Convolutions in the forms that prediction takes: in groups, folded, chunk by chunk."""

from __future__ import annotations

import pytest
import torch

from sklearn_rcrnn.nn.crnn import CRNN, FRAMES_PER_STEP, RECEPTIVE_FIELD
from sklearn_rcrnn.nn.folding import folded
from sklearn_rcrnn.nn.rcrnn import RCRNN


def trained_like(network):
    """In evaluation mode, with batch statistics and scales that are not those of the start."""
    generator = torch.Generator().manual_seed(0)
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            for values in (part.running_mean, part.weight.data, part.bias.data):
                values.copy_(torch.randn(len(values), generator=generator))
            part.running_var.copy_(torch.rand(len(part.running_var), generator=generator) + 0.5)
    return network.eval()


@pytest.fixture(scope="module")
def crnn():
    return trained_like(CRNN(64, gru_units=4, context=40))


@torch.inference_mode()
def test_folded_gives_the_same(crnn):
    features = torch.randn(2, 300, 64)
    before = {name: value.clone() for name, value in crnn.state_dict().items()}
    expected = crnn(features)
    found = folded(crnn)(features)
    assert torch.allclose(found, expected, atol=1e-4)
    assert not torch.equal(crnn.stem.weight, folded(crnn).stem.weight)
    assert before.keys() == crnn.state_dict().keys()
    assert all(torch.equal(value, before[name]) for name, value in crnn.state_dict().items())


@torch.inference_mode()
def test_folded_inside_a_detector_and_without_a_crnn():
    network = trained_like(RCRNN(16, 2, gru_units=4, dense_units=8))
    features = torch.randn(1, 200, 16)
    found, expected = folded(network)(features), network(features)
    assert torch.allclose(found.scores, expected.scores, atol=1e-4)
    head_alone = RCRNN(8, 2, "precomputed", dense_units=8).eval()
    assert folded(head_alone) is head_alone


@torch.inference_mode()
def test_clips_in_groups_as_one_by_one(crnn):
    features, lengths = torch.randn(5, 1900, 64), torch.tensor([1900, 1900, 1000, 40, 1])
    for found in (crnn.convolve(features), crnn.convolve(features, lengths)):
        for i, own in enumerate(found[0]):
            n = 1900 if found[1] is None else int(lengths[i])
            steps = -(-n // FRAMES_PER_STEP)
            assert found[1] is None or found[1][i] == steps
            alone = crnn.convolve(features[i : i + 1, :n])[0][0]
            assert torch.allclose(own[:steps], alone, atol=1e-4)


def test_receptive_field(crnn):
    """Exactly: the frame at its edge matters, the next one does not."""
    features = torch.randn(1, 400, 64, requires_grad=True)
    step = 25
    crnn.convolve(features)[0][0, step].sum().backward()
    heard = features.grad[0].abs().sum(1).nonzero().flatten()
    center = step * FRAMES_PER_STEP
    assert heard.min() == center - RECEPTIVE_FIELD
    assert heard.max() == center + RECEPTIVE_FIELD


@torch.inference_mode()
def test_a_chunk_with_its_receptive_field_is_part_of_the_whole(crnn):
    features = torch.randn(1, 803, 64)
    whole = crnn.convolve(features)[0]
    lead = -(-RECEPTIVE_FIELD // FRAMES_PER_STEP) * FRAMES_PER_STEP
    chunk = crnn.convolve(features[:, 400 - lead :])[0]
    assert torch.allclose(chunk[:, lead // 8 :], whole[:, 50:], atol=1e-5)
    chunk = crnn.convolve(features[:, : 400 + lead])[0]
    assert torch.allclose(chunk[:, :50], whole[:, :50], atol=1e-5)
