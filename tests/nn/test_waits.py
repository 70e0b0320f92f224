"""A device that works by itself is not waited for between the first layer and the events.

Without such a device, operations are counted that would wait for it.
"""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from sklearn_rcrnn.inference.detections import to_events
from sklearn_rcrnn.nn import nms as suppression
from sklearn_rcrnn.nn import roi
from sklearn_rcrnn.nn.nms import nms
from sklearn_rcrnn.nn.rcrnn import RCRNN
from sklearn_rcrnn.nn.recipe import Recipe

# Python looks at a number; the shape of the result depends on numbers; tensors are made of
# Python's numbers, which are copied to the device.
WAITING = ("_local_scalar_dense", "equal", "nonzero", "masked_select", "lift_fresh")


class Waits(TorchDispatchMode):
    """Counts operations that would wait for the device."""

    def __init__(self):
        super().__init__()
        self.counted = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        if name in WAITING:
            self.counted[name] += 1
        return function(*args, **(kwargs or {}))


@pytest.fixture
def device_that_works_by_itself(monkeypatch):
    for module in (suppression, roi):
        monkeypatch.setattr(module, "waits_are_free", lambda device: False)


@pytest.mark.usefixtures("device_that_works_by_itself")
@pytest.mark.parametrize("n", [0, 1, 40, 1500])
@pytest.mark.parametrize("max_kept", [None, 30])
def test_suppression_keeps_the_same(n, max_kept, monkeypatch):
    generator = torch.Generator().manual_seed(n)
    starts = 60 * torch.rand(3, n, 1, generator=generator)
    intervals = torch.cat([starts, starts + 3 * torch.rand(3, n, 1, generator=generator)], -1)
    scores = torch.rand(3, n, generator=generator)
    valid = torch.rand(3, n, generator=generator) < 0.8
    indices, kept = nms(intervals, scores, 0.5, max_kept, valid)
    monkeypatch.undo()
    wanted, wanted_kept = nms(intervals, scores, 0.5, max_kept, valid)
    for clip in range(3):
        assert torch.equal(indices[clip][kept[clip]], wanted[clip][wanted_kept[clip]])


@pytest.mark.parametrize("head", ["dense", "position_sensitive"])
@pytest.mark.parametrize("recipe", ["paper", "refined"])
def test_a_batch_is_hardly_waited_for(head, recipe, monkeypatch):
    torch.manual_seed(0)
    network = RCRNN(64, 3, head=head, recipe=Recipe.named(recipe), context=400).eval()
    features = torch.randn(4, 1292, 64)

    def events():
        with torch.no_grad():  # in inference mode operations are not taken apart
            return to_events(network(features), ["a", "b", "c"], 0.19, 0.5)

    expected = events()
    for module in (suppression, roi):
        monkeypatch.setattr(module, "waits_are_free", lambda device: False)
    with Waits() as waits:
        found = events()
    assert found == expected
    # Each suppression looks a few times whether it is through.
    assert sum(waits.counted.values()) <= 6, waits.counted
