"""Values of the losses, worked out by hand beside the paper's equation (1)."""

from __future__ import annotations

from math import log

import pytest
import torch

from sklearn_rcrnn.nn.heads import RegionHead
from sklearn_rcrnn.nn.intervals import ClipBounds
from sklearn_rcrnn.nn.losses import Targets
from sklearn_rcrnn.nn.recipe import Recipe
from sklearn_rcrnn.nn.rpn import RPN, Proposals


def bounds(n_clips, n_steps):
    return ClipBounds(torch.full((n_clips,), n_steps), torch.full((n_clips,), n_steps - 1.0))


# Anchors of one step at the steps 0, 1, 2; the event is just that of step 1. The second clip
# has no event.
EVENTS = Targets(
    torch.tensor([[[0.5, 1.5]], [[0.0, 0.0]]]),
    torch.tensor([[0], [0]]),
    torch.tensor([[True], [False]]),
)
# Probabilities of an event: 1/2, 3/4, 1/4, and 1/2 in the second clip.
LOGITS = torch.tensor([[0.0, log(3), -log(3)], [0.0, 0.0, 0.0]])
# Smooth L1 of the positive anchor, whose target is (0, 0): 0.5 / 2 * 0.5 + 3 - 0.5.
DELTAS = torch.tensor([[[9.0, 9.0], [0.5, -3.0], [9.0, 9.0]], [[9.0, 9.0]] * 3])
DISTANCE = 0.125 + 2.5


def rpn_losses(**recipe):
    rpn = RPN(4, (1,), Recipe(n_anchors=6, **recipe))
    return rpn.losses(LOGITS, DELTAS, bounds(2, 3), EVENTS)


def test_rpn_cross_entropy_is_a_mean_over_all_sampled_anchors():
    entropy = [log(2), log(4 / 3), log(4 / 3), log(2), log(2), log(2)]
    assert float(rpn_losses()["rpn_cls"]) == pytest.approx(sum(entropy) / 6)


def test_rpn_focal_loss_is_a_sum_over_the_number_of_positives():
    wrong = [1 / 2, 1 / 4, 1 / 4, 1 / 2, 1 / 2, 1 / 2]
    focal = sum(part**2 * -log(1 - part) for part in wrong)  # one positive
    assert float(rpn_losses(focal_gamma=2.0)["rpn_cls"]) == pytest.approx(focal)


@pytest.mark.parametrize("weight", [1.0, 0.5])
def test_rpn_regression_is_summed_over_coordinates_and_averaged_over_positives(weight):
    found = rpn_losses(regression_weight=weight)["rpn_reg"]
    assert float(found) == pytest.approx(weight * DISTANCE)


def test_rpn_regression_of_two_positives():
    # A step of 1.2 has an IoU of 0.83 with the anchor of a step: both events are found.
    events = Targets(
        torch.tensor([[[0.5, 1.5]], [[0.4, 1.6]]]),
        torch.tensor([[0], [0]]),
        torch.tensor([[True], [True]]),
    )
    losses = RPN(4, (1,), Recipe(n_anchors=6)).losses(LOGITS, DELTAS, bounds(2, 3), events)
    second = [9.0, 9.0 - 4 * log(1.2)]  # times 4 is how the targets are scaled
    assert float(losses["rpn_reg"]) == pytest.approx((DISTANCE + sum(second) - 1) / 2)


def test_half_of_the_sampled_anchors_at_most_is_positive():
    rpn = RPN(4, (1, 1, 1, 1), Recipe(n_anchors=4))  # four positive anchors at step 1
    logits = torch.zeros(1, 12)
    logits[0, 4:8] = 100.0  # right about these: no entropy; each other has log(2)
    events = Targets(*(part[:1] for part in EVENTS))
    losses = rpn.losses(logits, torch.zeros(1, 12, 2), bounds(1, 3), events)
    assert float(losses["rpn_cls"]) == pytest.approx(2 * log(2) / 4)


class Fixed(RegionHead):
    """Says the same of every RoI."""

    def __init__(self, recipe, logits, deltas):
        super().__init__(2, recipe)
        self.logits, self.deltas = torch.tensor(logits), torch.tensor(deltas)
        self.rois = []

    def forward(self, feature_map, rois, n_steps):
        self.rois.append(rois)
        shape = rois.shape[:2]
        return self.logits.expand(*shape, 3), self.deltas.expand(*shape, 2, 2)


PROPOSALS = Proposals(
    torch.tensor([[[2.0, 6.0], [20.0, 24.0]]]),
    torch.tensor([[0.9, 0.8]]),
    torch.tensor([[True, True]]),
)
SECOND = Targets(torch.tensor([[[2.0, 6.0]]]), torch.tensor([[1]]), torch.tensor([[True]]))
# Background 1/2, label 0 1/8, label 1 3/8.
HEAD_LOGITS = [log(4), 0.0, log(3)]


def head_losses(deltas=((7.0, 7.0), (0.0, 0.0)), **recipe):
    head = Fixed(Recipe(roi_background=0.0, **recipe), HEAD_LOGITS, [[list(d) for d in deltas]])
    losses = head.losses(torch.zeros(1, 30, 4), PROPOSALS, bounds(1, 30), SECOND)
    return head, {name: float(loss) for name, loss in losses.items()}


def test_head_losses():
    """Two positives, the proposal and the event itself, and a RoI of background."""
    _, losses = head_losses(deltas=((7.0, 7.0), (0.5, -3.0)))
    assert losses["head_cls"] == pytest.approx((2 * log(8 / 3) + log(2)) / 3)
    assert losses["head_reg"] == pytest.approx(DISTANCE)


def test_head_focal_loss():
    _, losses = head_losses(focal_gamma=2.0)
    focal = 2 * (5 / 8) ** 2 * log(8 / 3) + (1 / 2) ** 2 * log(2)
    assert losses["head_cls"] == pytest.approx(focal / 2)


def test_stages_are_averaged_and_each_starts_from_the_one_before():
    # The deltas move a RoI by half its width; after that its IoU is 1/3, so that nothing is
    # positive in the second stage.
    head, losses = head_losses(
        deltas=((0.0, 0.0), (4.0, 0.0)), roi_positive=(0.5, 0.6), regression_weight=2.0
    )
    torch.testing.assert_close(head.rois[1][0, 0], torch.tensor([4.0, 8.0]))
    first, second = (2 * log(8 / 3) + log(2)) / 3, log(2)
    assert losses["head_cls"] == pytest.approx((first + second) / 2)
    assert losses["head_reg"] == pytest.approx(2.0 * (4 - 0.5) / 2)
