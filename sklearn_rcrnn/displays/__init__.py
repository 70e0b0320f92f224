"""Pictures, as scikit-learn's ``Display`` classes make them; they need matplotlib."""

from .clip import EventsDisplay
from .curves import (
    EventPrecisionRecallDisplay,
    OnsetErrorDisplay,
    ThresholdDisplay,
    TrainingDisplay,
)

__all__ = [
    "EventPrecisionRecallDisplay",
    "EventsDisplay",
    "OnsetErrorDisplay",
    "ThresholdDisplay",
    "TrainingDisplay",
]
