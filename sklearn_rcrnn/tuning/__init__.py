"""The score threshold of each label, chosen on clips that were not trained on."""

from .tuned_threshold import TunedThresholdDetectorCV

__all__ = ["TunedThresholdDetectorCV"]
