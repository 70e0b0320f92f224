"""Event-based scores, computed by sed_eval, and scorers made of them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .events import Event, Label, check_event_lists, labels_of

Average = Literal["micro", "macro"] | None


def event_based_error_rate(
    y_true: Any,
    y_pred: Any,
    *,
    t_collar: float = 0.5,
    evaluate_onset: bool = True,
    evaluate_offset: bool = False,
    percentage_of_length: float = 0.5,
    average: Average = "micro",
    labels: Sequence[Label] | None = None,
) -> float | NDArray[np.float64]:
    """Event-based error rate: substitutions, deletions and insertions over true events.

    Parameters
    ----------
    y_true, y_pred : list of n_clips lists of (onset, offset, label)
        In seconds.
    t_collar : float, default=0.5
        Tolerance of onsets and offsets in seconds.
    evaluate_onset, evaluate_offset : bool, default=True, False
        What has to match. By default onsets only, the rule of DCASE 2017.
    percentage_of_length : float, default=0.5
        An offset may also be off by this part of the true event's length.
    average : {"micro", "macro"} or None, default="micro"
        Over all events, the mean over labels, or each label by itself.
    labels : sequence, default=None
        Labels that count, and their order; by default all that occur, sorted.

    Returns
    -------
    float, or float64 array of shape (n_labels,) if ``average=None``
        0 is best; may exceed 1. NaN for a label without true events, which "macro"
        leaves out.

    References
    ----------
    Mesaros, Heittola, Virtanen: Metrics for Polyphonic Sound Event Detection, 2016.

    Examples
    --------
    >>> from sklearn_rcrnn.metrics import event_based_error_rate
    >>> y_true = [[(1.0, 2.0, "dog")], [(3.0, 4.0, "dog")]]
    >>> y_pred = [[(1.2, 2.0, "dog")], [(9.0, 9.5, "dog")]]
    >>> event_based_error_rate(y_true, y_pred)
    1.0
    """


def event_based_f_score(y_true, y_pred, **kw): ...
