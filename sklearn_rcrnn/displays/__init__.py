"""Pictures, as scikit-learn's ``Display`` classes make them; they need matplotlib."""

from .curves import (
    EventPrecisionRecallDisplay,
    OnsetErrorDisplay,
    ThresholdDisplay,
    TrainingDisplay,
)
from .events import EventsDisplay

__all__ = [
    "EventPrecisionRecallDisplay",
    "EventsDisplay",
    "OnsetErrorDisplay",
    "ThresholdDisplay",
    "TrainingDisplay",
]
