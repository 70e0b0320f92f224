"""Evaluation beyond a single score: by label or group, over thresholds, with intervals."""

from .bootstrap import bootstrap_interval
from .curves import threshold_curves
from .groups import by_own_mixtures, scores_by_group
from .intersection import psds
from .onsets import onset_errors
from .summary import detection_summary

__all__ = [
    "bootstrap_interval",
    "by_own_mixtures",
    "detection_summary",
    "onset_errors",
    "psds",
    "scores_by_group",
    "threshold_curves",
]
