"""A module of one's own that hears padding."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from sklearn_rcrnn import CRNNPretrainer
from sklearn_rcrnn.training.padding import warn_if_padding_is_heard

RNG = np.random.default_rng(0)
CLIPS = [RNG.normal(size=(n, 16)).astype(np.float32) for n in (40, 23, 40, 31)]


class TwoLayers(torch.nn.Module):
    n_channels, frames_per_step = 4, 1

    def __init__(self, masks):
        super().__init__()
        torch.manual_seed(0)
        self.masks = masks
        self.first = torch.nn.Conv1d(16, 4, 3, padding=1)
        self.second = torch.nn.Conv1d(4, 4, 3, padding=1)

    def forward(self, features, lengths=None):
        hidden = self.first(features.transpose(1, 2))
        if self.masks and lengths is not None:
            hidden = hidden * (torch.arange(hidden.shape[2]) < lengths[:, None])[:, None]
        return self.second(hidden).transpose(1, 2)


def test_fit_warns_where_results_depend_on_the_batch():
    pretrainer = CRNNPretrainer(extractor=TwoLayers(False), max_epochs=1, validation_fraction=None)
    y = [[(0.1, 0.4, "a")]] * 4
    with pytest.warns(UserWarning, match="TwoLayers gives a clip another feature map where"):
        pretrainer.fit(CLIPS, y)


@pytest.mark.parametrize(("masks", "clips"), [(True, CLIPS), (False, CLIPS[::2])])
def test_no_warning_where_there_is_nothing_to_hear(masks, clips):
    module = TwoLayers(masks).train()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_if_padding_is_heard(module, clips)
    assert module.training
