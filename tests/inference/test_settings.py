"""The settings that tables of events are known by."""

from __future__ import annotations

import numpy as np
from small_runs import tiny_pipeline

from sklearn_rcrnn.inference.settings import settings_of


def test_labels_may_be_integers_of_numpy():
    pipe = tiny_pipeline(4).set_params(detector__merge_gap={np.int64(3): np.float32(0.5)})
    assert settings_of(pipe)["merge_gap"] == {"3": 0.5}
