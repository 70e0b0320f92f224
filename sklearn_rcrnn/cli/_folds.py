"""The estimator that ``rcrnn tune`` fits: it trains as ``rcrnn train`` does, without a fold."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from ._clips import Clips
from ._material import fresh_clips


class FreshClipsDetector(BaseEstimator):
    """A pipeline that learns from fresh clips, and predicts the events of clips as they are.

    Its X are places in `clips`, so that a search can split them. Clips whose places are not
    among those that it is fitted to are held out: nothing of them is heard in the training.

    Parameters
    ----------
    pipeline : Pipeline
    clips : Clips
    length : float
        Seconds of a fresh clip.
    seed : int
        Of the fresh clips.
    """

    def __init__(self, pipeline: Any, clips: Clips, length: float, seed: int):
        self.pipeline = pipeline
        self.clips = clips
        self.length = length
        self.seed = seed

    def fit(self, X: Any, y: Any = None) -> FreshClipsDetector:
        """Train on what the clips at places X leave to learn from; y is what they hold already."""
        held = np.setdiff1d(np.arange(len(self.clips.X)), X)
        # The hop may be among the settings that are tried.
        self.pipeline.set_params(detector__frame_shift=self.pipeline[0].frame_shift)
        self.pipeline.fit(fresh_clips(self.clips, held, length=self.length, seed=self.seed, jobs=1))
        return self

    def predict(self, X: Any) -> Any:
        """Events of the clips at places X."""
        return self.pipeline.predict(self.clips.take(X)[0])
