"""Advice that follows from the scores of a training."""

from __future__ import annotations

from typing import Any

from .._utils.text import counted

# With fewer events than this, a single event changes a score by more than a tenth.
_FEW = 10
# Thresholds that are chosen on fewer events than this fit these events and may fit no others.
_TOO_FEW = 2
# If this part of the events of a label is taken for one other label, it is no coincidence.
_OFTEN = 0.5


def advice_on(summary: Any) -> list[str]:
    """Sentences on what is wrong with the scores of held-out clips, and what would help.

    Parameters
    ----------
    summary : Bunch
        From :func:`sklearn_rcrnn.evaluation.detection_summary`.
    """
    lines = []
    for i, (label, row) in enumerate(zip(summary.labels, summary.by_label, strict=True)):
        n = row["n_true"]
        if not n:
            lines.append(
                f"{label}: none of its events was held out, so there is no score, and its "
                "thresholds are a guess. Give recordings with more of it, or a larger --held-out."
            )
            continue
        if n <= _TOO_FEW:
            lines.append(
                f"{label}: its thresholds were chosen on {counted(n, 'held-out event')}, and so "
                "were its scores: take neither for more than a guess."
            )
        elif n < _FEW:
            lines.append(
                f"{label}: only {counted(n, 'event')} of it were held out, so its scores are "
                "rough. Give recordings with more of it, or a larger --held-out."
            )
        taken = summary.confusions[i]
        worst = int(taken.argmax())
        if taken[worst] >= max(_OFTEN * n, 1):
            lines.append(
                f"{label}: {taken[worst]} of {counted(n, 'event')} were taken for "
                f"{summary.labels[worst]}. Look at their examples side by side with rcrnn report: "
                "some may be labelled wrongly, or the two are better one label."
            )
        elif row["error_rate"] >= 1.0:
            lines.append(
                f"{label}: nothing was learnt (error rate {row['error_rate']:.2f}). Check that its "
                "events lie where the sound is (rcrnn report), give more examples, more --epochs, "
                "or a --start from weights that know like sounds."
            )
    return lines
