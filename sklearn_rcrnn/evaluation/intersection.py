"""The polyphonic sound detection score (PSDS), which is based on the intersection of events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._utils.optional import need
from ..events import check_event_lists, labels_of
from ..postprocessing import EventRules, apply_rules


def psds(
    y_true: Any,
    y_candidates: Any,
    durations: Sequence[float],
    *,
    dtc_threshold: float = 0.7,
    gtc_threshold: float = 0.7,
    cttc_threshold: float | None = None,
    alpha_ct: float = 0.0,
    alpha_st: float = 0.0,
    max_efpr: float = 100.0,
) -> float:
    """Compute the polyphonic sound detection score over all thresholds.

    An event counts as found if it intersects a true one far enough; its onset does not matter.
    True events of one label that overlap or touch count as one, as detections of them do.
    The score is computed by ``sed_scores_eval``, which the extra ``psds`` installs from source;
    this needs a C compiler.

    Parameters
    ----------
    y_true : list of n_clips lists of (onset, offset, label)
    y_candidates : list of n_clips lists of Event
        All scored events, from ``predict_candidates``.
    durations : sequence of n_clips floats
        Duration of each clip in seconds.
    dtc_threshold, gtc_threshold : float, default=0.7
        Part of a found event that must lie in true ones, and part of a true event that must be
        covered, for it to count as found.
    cttc_threshold : float, default=None
        Part of a found event that must lie in true ones of another label to count as a
        cross-trigger. None: there are no cross-triggers.
    alpha_ct, alpha_st : float, default=0.0
        Weights of cross-triggers, and of the instability over labels.
    max_efpr : float, default=100.0
        Highest effective rate of false positives that is looked at, in events an hour.
        The defaults are the first scenario of the score, without cross-triggers.

    Returns
    -------
    float
        Between 0 and 1; NaN without true events. The mean is over the labels that have true
        events, so that candidates of other labels do not count.

    Raises
    ------
    ImportError
        If ``sed_scores_eval`` is not installed.

    References
    ----------
    Bilen et al., A framework for the robust evaluation of sound event detection, 2020;
    Ebbers, Serizel, Haeb-Umbach, Threshold-independent evaluation of sound event
    detection scores, 2022.

    Examples
    --------
    >>> psds(y, pipe[-1].predict_candidates(features), [30.0] * len(y))  # doctest: +SKIP
    """
    need("psds needs", "psds", "sed_scores_eval")
    from sed_scores_eval import intersection_based
    from sed_scores_eval.base_modules.scores import create_score_dataframe

    given = check_event_lists(y_true, durations=durations, name="y_true")
    true = apply_rules(given, EventRules(merge_gap=0.0))
    found = check_event_lists(y_candidates, n_clips=len(true), name="y_candidates")
    labels = labels_of(true)
    if not labels:
        return np.nan
    names = [str(label) for label in labels]
    scores, reference, lengths = {}, {}, {}
    for i, (events, candidates, duration) in enumerate(zip(true, found, durations, strict=True)):
        # Between two edges of events the score is constant: the highest of the events that cover
        # it.
        candidates = [event for event in candidates if event.label in labels]
        edges = {0.0, duration, *(t for e in candidates for t in e[:2] if t < duration)}
        times = np.array(sorted(edges))
        rows = np.zeros((len(times) - 1, len(labels)))
        for event in candidates:
            inside = (times[:-1] >= event.onset) & (times[:-1] < event.offset)
            column = rows[:, labels.index(event.label)]
            column[inside] = np.maximum(column[inside], event.score)
        scores[str(i)] = create_score_dataframe(rows, times, names)
        reference[str(i)] = [(e.onset, e.offset, str(e.label)) for e in events]
        lengths[str(i)] = duration
    result = intersection_based.psds(
        scores,
        reference,
        lengths,
        dtc_threshold=dtc_threshold,
        gtc_threshold=gtc_threshold,
        cttc_threshold=cttc_threshold,
        alpha_ct=alpha_ct,
        alpha_st=alpha_st,
        max_efpr=max_efpr,
    )
    return float(result[0])
