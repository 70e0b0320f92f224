"""Scores of found events against true ones, and scorers for searches.

``event_based`` holds the error rate and the F-score of sed_eval, ``false_alarms`` the false alarms
per hour, and ``scorers`` the scorers made of them. They are built on ``event_pairs`` (which found
event belongs to which true one), ``counts`` of these, and ``durations`` of the clips.
"""

from .counts import COUNTS, counts_by_clip, event_counts
from .event_based import event_based_error_rate, event_based_f_score
from .event_pairs import match_events
from .false_alarms import false_alarms_per_hour
from .scorers import error_rate_scorer, f_score_scorer, false_alarm_scorer

__all__ = [
    "COUNTS",
    "counts_by_clip",
    "error_rate_scorer",
    "event_based_error_rate",
    "event_based_f_score",
    "event_counts",
    "f_score_scorer",
    "false_alarm_scorer",
    "false_alarms_per_hour",
    "match_events",
]
