"""What the estimators that detect events have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from skorch.callbacks import Callback

from ._base import NetworkEstimator
from .events import EventLists
from .training.inputs import check_weights
from .training.progress import ValidationFScore


class EventDetector(NetworkEstimator):
    """Base of the estimators whose ``predict`` gives events."""

    @abstractmethod
    def predict(self, X: Any) -> EventLists:
        """Detect the events of every clip."""

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Event-based F-score of ``predict(X)``: onset only, collar 0.5 s, micro average.

        Parameters
        ----------
        X : as for :meth:`predict`
        y : list of lists of (onset, offset, label)
        sample_weight : array of shape (n_clips,), default=None
            How often the events of each clip count.

        Returns
        -------
        float
            Between 0 and 1.
        """
        from .metrics import counts_by_clip, event_based_f_score

        found = self.predict(X)
        if sample_weight is None:
            return float(event_based_f_score(y, found, zero_division=0.0))
        weights = check_weights(sample_weight, len(found))
        n_true, n_found, n_right, _ = weights @ counts_by_clip(y, found)
        return float(2 * n_right / max(n_true + n_found, 1e-12))

    def _validation_scores(self) -> list[tuple[str, Callback]]:
        return [("valid_f_score", ValidationFScore())]

    def _scored_predictions(self, X: Any) -> EventLists:
        return self.predict(X)
