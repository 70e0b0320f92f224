"""The network: Table 2 to the last parameter, shapes, losses, gradients, padding."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from sklearn_rcrnn.nn.crnn import EXTRACTORS, n_steps
from sklearn_rcrnn.nn.frame_networks import FrameNetwork
from sklearn_rcrnn.nn.intervals import ClipBounds
from sklearn_rcrnn.nn.losses import Targets, classification_mean
from sklearn_rcrnn.nn.rcrnn import RCRNN, Detections, count_parameters
from sklearn_rcrnn.nn.recipe import RECIPES, Recipe

LOSSES = {
    "paper": {"rpn_cls", "rpn_reg", "head_cls", "head_reg"},
    "refined": {"rpn_cls", "rpn_reg", "head_cls", "head_reg", "steps"},
}


@pytest.mark.parametrize(
    ("gru_units", "dense_units", "expected"),
    [(50, 128, 1_110_874), (50, 256, 1_250_394), (100, 256, 1_782_094)],
)
@pytest.mark.parametrize("recipe", ["paper", "refined"])
def test_parameters_of_table_2(gru_units, dense_units, expected, recipe):
    sizes = {"gru_units": gru_units, "dense_units": dense_units, "recipe": RECIPES[recipe]}
    counts = [count_parameters(RCRNN(64, n, **sizes)) for n in (1, 2, 3)]
    assert counts[0] == expected
    # Section 2.4: what each further class adds.
    assert counts[1] - counts[0] == counts[2] - counts[1] == 3 * dense_units + 3


@pytest.mark.parametrize(
    ("extractor", "channels"), [("cnn", 896), ("crnn_gru", 50), ("crnn_bigru", 100)]
)
def test_feature_map_of_30_seconds(extractor, channels):
    with torch.inference_mode():
        assert EXTRACTORS[extractor](64).eval()(torch.randn(1, 1292, 64)).shape == (
            1,
            162,
            channels,
        )


@pytest.mark.parametrize("n_frames", [1, 2, 7, 8, 9, 100, 1291])
def test_any_length(n_frames):
    network = RCRNN(64, 2, gru_units=4, dense_units=8).eval()
    with torch.inference_mode():
        found = network(torch.randn(2, n_frames, 64))
    assert isinstance(found, Detections)
    assert found.proposals.shape[1] <= 100
    intervals = found.intervals[found.valid]
    assert (intervals >= 0).all()
    assert (intervals <= (n_frames - 1) / 8 + 1e-6).all()


def targets(n_clips):
    """Two events, one event, none, and so on."""
    intervals = torch.tensor([[[2.0, 5.0], [10.0, 20.0]]]).repeat(n_clips, 1, 1)
    mask = torch.tensor([[True, True], [True, False], [False, False]]).repeat(n_clips, 1)[:n_clips]
    return Targets(intervals, torch.tensor([[0, 1]]).repeat(n_clips, 1), mask)


@pytest.mark.parametrize("recipe", ["paper", "refined"])
@pytest.mark.parametrize("head", ["dense", "position_sensitive"])
@pytest.mark.parametrize("extractor", ["cnn", "crnn_gru", "crnn_bigru"])
def test_losses_and_gradients_are_finite(extractor, head, recipe):
    torch.manual_seed(0)
    network = RCRNN(
        64, 2, extractor, gru_units=8, dense_units=16, head=head, recipe=RECIPES[recipe]
    )
    losses = network.losses(torch.randn(6, 300, 64), None, targets(6))
    assert set(losses) == LOSSES[recipe]
    assert all(loss > 0 for loss in losses.values())
    sum(losses.values()).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0 or "bias_hh" in name or "conv" in name, name


@pytest.mark.parametrize("recipe", ["paper", "refined"])
@pytest.mark.parametrize("head", ["dense", "position_sensitive"])
@pytest.mark.parametrize("extractor", ["cnn", "crnn_gru", "crnn_bigru"])
def test_in_bfloat16(extractor, head, recipe):
    """What is chosen by itself where the processor has it, here on any."""
    torch.manual_seed(0)
    sizes = {"gru_units": 8, "dense_units": 16, "recipe": RECIPES[recipe]}
    network = RCRNN(64, 2, extractor, head=head, context=100, **sizes)
    with torch.autocast("cpu", torch.bfloat16):
        losses = network.losses(torch.randn(3, 200, 64), torch.tensor([200, 160, 90]), targets(3))
        sum(losses.values()).backward()
        found = network.eval()(torch.randn(2, 200, 64))
    assert all(loss.isfinite() for loss in losses.values())
    assert found.scores.isfinite().all()


def test_batch_without_any_event_trains():
    network = RCRNN(64, 1, gru_units=4, dense_units=8, recipe=Recipe(roi_background=0.0))
    nothing = targets(3)
    losses = network.losses(
        torch.randn(3, 100, 64), None, nothing._replace(mask=nothing.mask & False)
    )
    assert losses["rpn_reg"] == losses["head_reg"] == 0
    assert losses["head_cls"] > 0
    sum(losses.values()).backward()


def test_paper_background_drops_clips_without_event():
    network = RCRNN(64, 1, gru_units=4, dense_units=8, recipe=Recipe(roi_background=0.1))
    nothing = targets(3)
    losses = network.losses(
        torch.randn(3, 100, 64), None, nothing._replace(mask=nothing.mask & False)
    )
    assert losses["head_cls"] == 0


@pytest.mark.parametrize("extractor", ["cnn", "crnn_gru", "crnn_bigru"])
def test_padding_changes_nothing(extractor):
    torch.manual_seed(0)
    network = RCRNN(64, 2, extractor=extractor, gru_units=8, dense_units=16)
    network.losses(torch.randn(4, 203, 64), None, targets(4))  # batch statistics off their start
    network.eval()
    short = torch.randn(1, 203, 64)
    batch = torch.randn(2, 411, 64)
    batch[0, :203] = short[0]
    with torch.inference_mode():
        alone = network.extractor(short)
        beside = network.extractor(batch, torch.tensor([203, 411]))
    steps = n_steps(203)
    torch.testing.assert_close(beside[0, :steps], alone[0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "make", [partial(EXTRACTORS["crnn_gru"], 64), partial(FrameNetwork, 64, 2, "crnn")]
)
def test_batch_norms_learn_nothing_of_padding(make):
    """Mean and variance were mostly those of padding beside one long clip."""

    def running(n_padding, lengths):
        torch.manual_seed(0)
        network = make().train()
        for layer in network.modules():
            if isinstance(layer, torch.nn.Dropout):
                layer.p = 0.0
        with torch.no_grad():
            network(torch.nn.functional.pad(clips, (0, 0, 0, n_padding)), lengths)
        return [own for name, own in network.named_buffers() if "running_" in name]

    clips = torch.randn(2, 40, 64, generator=torch.Generator().manual_seed(0))
    for padded, alone in zip(running(120, torch.tensor([40, 40])), running(0, None), strict=True):
        torch.testing.assert_close(padded, alone, rtol=1e-4, atol=1e-5)


def test_frozen_extractor_stays():
    torch.manual_seed(0)
    network = RCRNN(64, 2, gru_units=4, dense_units=8, freeze_extractor=True).train()
    before = {name: value.clone() for name, value in network.extractor.state_dict().items()}
    optimizer = torch.optim.Adam(network.parameters(), lr=0.1)
    sum(network.losses(torch.randn(3, 100, 64), None, targets(3)).values()).backward()
    optimizer.step()
    for name, value in network.extractor.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_losses_of_evaluation_are_the_same_twice():
    network = RCRNN(64, 2, gru_units=4, dense_units=8).eval()
    features = torch.randn(3, 100, 64)
    with torch.no_grad():
        first, second = (network.losses(features, None, targets(3)) for _ in range(2))
    assert {k: v.item() for k, v in first.items()} == {k: v.item() for k, v in second.items()}


def test_easy_background_does_not_drown_events():
    """The focal loss of a sure background is nothing, that of a missed event is nearly all."""
    entropy = -torch.log(torch.tensor([0.999] * 99 + [0.1]))
    positive = torch.arange(100) == 99
    used = torch.ones(100, dtype=torch.bool)
    plain, focal = (classification_mean(entropy, used, positive, gamma) for gamma in (0.0, 2.0))
    assert plain == pytest.approx(float(entropy.mean()))
    assert focal == pytest.approx(0.9**2 * float(entropy[-1]), rel=1e-4)


def test_steps_of_events_are_the_targets_of_the_frame_loss():
    torch.manual_seed(0)
    network = RCRNN(8, 2, "precomputed", dense_units=8, recipe=RECIPES["refined"])
    with torch.no_grad():
        network.step_classifier.weight.zero_()
        network.step_classifier.weight[0, 0] = network.step_classifier.weight[1, 1] = 1
        network.step_classifier.bias.fill_(-20)
    right = torch.zeros(3, 30, 8)
    right[:2, 2:6, 0] = 40  # label 0 from 2 to 5 in the first two clips
    right[0, 10:21, 1] = 40  # label 1 from 10 to 20 in the first
    bounds = ClipBounds(torch.tensor([30, 30, 30]), torch.tensor([29.0, 29.0, 29.0]))
    losses = [
        network.step_classifier.losses(shifted, bounds, targets(3))["steps"]
        for shifted in (right, right.roll(1, 1))
    ]
    assert losses[0] < 1e-3 < losses[1]
