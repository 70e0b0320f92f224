"""Curves and histograms of many clips, and of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..evaluation import onset_errors, threshold_curves
from ..events import Label
from .drawing import colors_of, new_axes, parts_of

if TYPE_CHECKING:
    from typing_extensions import Self

# Error rates above this are cut off, so that they do not squeeze the rest of the curve.
_HIGHEST_RATE = 3.0
_WHOLE_LOSSES = {"train_loss": "training loss", "valid_loss": "validation loss"}


class _OneAxesDisplay:
    """Base of displays with one picture and a legend; a subclass says what is drawn."""

    figure_: Any
    ax_: Any

    def plot(self, *, ax: Any = None) -> Self:
        """Draw into the given axes, or into a new figure.

        Parameters
        ----------
        ax : matplotlib axes, default=None

        Returns
        -------
        self
        """
        self.ax_, self.figure_ = new_axes(ax, figsize=(6, 4))
        self._draw(self.ax_)
        _legend_beside(self.ax_)
        return self

    def _draw(self, ax: Any) -> None:
        raise NotImplementedError


class ThresholdDisplay(_OneAxesDisplay):
    """Curves of error rate and F-score of each label over the score threshold.

    Parameters
    ----------
    curves : sklearn.utils.Bunch
        Scores at all thresholds, from :func:`sklearn_rcrnn.evaluation.threshold_curves`.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
    ax_ : matplotlib.axes.Axes

    Examples
    --------
    >>> ThresholdDisplay.from_estimator(pipe, X, y)  # doctest: +SKIP
    """

    def __init__(self, *, curves: Any):
        self.curves = curves

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any, *, ax: Any = None, **params: Any
    ) -> Self:
        """Draw the curves of a fitted pipeline.

        Parameters
        ----------
        estimator : Pipeline
        X : recordings
        y : list of lists of (onset, offset, label)
        ax : matplotlib axes, default=None
        **params
            Parameters of :func:`sklearn_rcrnn.evaluation.threshold_curves`; by default `rules` and
            `max_events` are those of the detector.

        Returns
        -------
        ThresholdDisplay

        Raises
        ------
        TypeError
            If the estimator is not a pipeline, or its detector judges frame by frame.
        """
        from ..tuning.wrapped import detector_in

        steps, detector = parts_of(estimator)
        if not hasattr(detector, "predict_candidates"):
            raise TypeError(
                f"{type(detector).__name__} has no scored events to choose from: its threshold "
                "moves their boundaries. Score predict(X) at each threshold instead"
            )
        candidates = detector.predict_candidates(steps.transform(X))
        inner = detector_in(detector)
        own = {"rules": inner._rules(), "max_events": inner.max_events_per_clip}
        return cls.from_predictions(y, candidates, ax=ax, **own | params)

    @classmethod
    def from_predictions(
        cls, y_true: Any, y_candidates: Any, *, ax: Any = None, **params: Any
    ) -> Self:
        """Draw the curves of scored events.

        Parameters
        ----------
        y_true : list of lists of (onset, offset, label)
        y_candidates : list of lists of Event
            All scored events, from ``predict_candidates``.
        ax : matplotlib axes, default=None
        **params
            Parameters of :func:`sklearn_rcrnn.evaluation.threshold_curves`.

        Returns
        -------
        ThresholdDisplay
        """
        return cls(curves=threshold_curves(y_true, y_candidates, **params)).plot(ax=ax)

    def _draw(self, ax: Any) -> None:
        colors = colors_of(self.curves.labels)
        for i, label in enumerate(self.curves.labels):
            ax.plot(
                self.curves.thresholds,
                self.curves.error_rate[i],
                color=colors[label],
                label=f"{label}: error rate",
            )
            ax.plot(
                self.curves.thresholds,
                self.curves.f_score[i],
                color=colors[label],
                linestyle="--",
                label=f"{label}: F-score",
            )
        # An error rate has no upper bound: low thresholds may give many false alarms.
        highest = max(1.0, float(np.nanmax(self.curves.error_rate, initial=0.0)))
        ax.set(xlabel="score threshold", ylim=(0, 1.05 * min(highest, _HIGHEST_RATE)))


class EventPrecisionRecallDisplay(ThresholdDisplay):
    """Curves of precision over recall of each label, with a point for each score threshold.

    Parameters
    ----------
    curves : sklearn.utils.Bunch
        Scores at all thresholds, from :func:`sklearn_rcrnn.evaluation.threshold_curves`.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
    ax_ : matplotlib.axes.Axes

    Examples
    --------
    >>> EventPrecisionRecallDisplay.from_estimator(pipe, X, y)  # doctest: +SKIP
    """

    def _draw(self, ax: Any) -> None:
        colors = colors_of(self.curves.labels)
        for i, label in enumerate(self.curves.labels):
            ax.plot(
                self.curves.recall[i],
                self.curves.precision[i],
                marker=".",
                color=colors[label],
                label=str(label),
            )
        ax.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02))


class OnsetErrorDisplay(_OneAxesDisplay):
    """Histogram of the differences between found and true onsets.

    Parameters
    ----------
    errors : dict of label to array of shape (n_pairs,)
        Errors of each label, from :func:`sklearn_rcrnn.evaluation.onset_errors`.
    collar : float, default=0.5
        In seconds, drawn as the limits of what counts as right.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
    ax_ : matplotlib.axes.Axes

    Examples
    --------
    >>> OnsetErrorDisplay.from_estimator(pipe, X, y)  # doctest: +SKIP
    """

    def __init__(self, *, errors: Mapping[Label, NDArray[np.float64]], collar: float = 0.5):
        self.errors = errors
        self.collar = collar

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any, *, collar: float = 0.5, ax: Any = None
    ) -> Self:
        """Draw the onset errors of the events that an estimator predicts.

        Parameters
        ----------
        estimator : fitted Pipeline or detector
        X : recordings, or features for a detector alone
        y : list of lists of (onset, offset, label)
        collar : float, default=0.5
            In seconds, drawn as the limits of what counts as right.
        ax : matplotlib axes, default=None

        Returns
        -------
        OnsetErrorDisplay
        """
        return cls.from_predictions(y, estimator.predict(X), collar=collar, ax=ax)

    @classmethod
    def from_predictions(
        cls, y_true: Any, y_pred: Any, *, collar: float = 0.5, ax: Any = None
    ) -> Self:
        """Draw the onset errors of predicted events.

        Parameters
        ----------
        y_true, y_pred : list of lists of (onset, offset, label)
        collar : float, default=0.5
            In seconds, drawn as the limits of what counts as right.
        ax : matplotlib axes, default=None

        Returns
        -------
        OnsetErrorDisplay
        """
        return cls(errors=onset_errors(y_true, y_pred), collar=collar).plot(ax=ax)

    def _draw(self, ax: Any) -> None:
        colors = colors_of(list(self.errors))
        limit = max(
            [2 * self.collar, *(np.abs(own).max() for own in self.errors.values() if own.size)]
        )
        if self.errors:
            ax.hist(
                list(self.errors.values()),
                bins=np.linspace(-limit, limit, 41),
                stacked=True,
                color=[colors[label] for label in self.errors],
                label=[str(label) for label in self.errors],
            )
        for edge in (-self.collar, self.collar):
            ax.axvline(edge, color="grey", linestyle=":")
        ax.set(xlabel="found minus true onset (s)", ylabel="events")


class TrainingDisplay:
    """Losses of each epoch of a training, and the event-based F-score where it was recorded.

    Parameters
    ----------
    history : list of dict
        ``history_`` of a fitted estimator.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
    ax_ : matplotlib.axes.Axes

    Examples
    --------
    >>> TrainingDisplay.from_estimator(pipe)  # doctest: +SKIP
    """

    def __init__(self, *, history: Sequence[Mapping[str, Any]]):
        self.history = history

    @classmethod
    def from_estimator(cls, estimator: Any, *, parts: bool = False, ax: Any = None) -> Self:
        """Draw the losses of a fitted detector, pre-trainer, or pipeline that ends in one.

        Parameters
        ----------
        estimator : estimator or Pipeline
        parts : bool, default=False
            As for :meth:`plot`.
        ax : matplotlib axes, default=None

        Returns
        -------
        TrainingDisplay
        """
        from ..tuning.wrapped import detector_in

        return cls(history=list(detector_in(estimator).history_)).plot(parts=parts, ax=ax)

    def plot(self, *, parts: bool = False, ax: Any = None) -> Self:
        """Draw into the given axes, or into a new figure.

        Parameters
        ----------
        parts : bool, default=False
            Also draw the losses that the whole loss is the sum of, under their names in the
            history.
        ax : matplotlib axes, default=None

        Returns
        -------
        TrainingDisplay

        Raises
        ------
        ValueError
            If the history is empty.
        """
        if not self.history:
            raise ValueError(
                "The history is empty: the model was saved by a version that did not keep it"
            )
        ax, figure = new_axes(ax, figsize=(6, 4))
        numbers = {k for row in self.history for k, v in row.items() if isinstance(v, float)}
        scores = sorted(name for name in numbers if "score" in name)
        losses = sorted(k for k in numbers if k != "dur" and not k.endswith("_best"))
        for name in losses:
            whole = name in _WHOLE_LOSSES
            if name in scores or not (whole or parts):
                continue
            style = {"linewidth": 2} if whole else {"linewidth": 1, "linestyle": "--"}
            self._line(ax, name, label=_WHOLE_LOSSES.get(name, name), **style)
        ax.set(xlabel="epoch", ylabel="loss", yscale="log")
        handles, labels = ax.get_legend_handles_labels()
        if scores:
            right = ax.twinx()
            right.set(ylabel="F-score", ylim=(0, 1.02))
            for name in scores:
                self._line(right, name, label="validation F-score", color="tab:green")
            more = right.get_legend_handles_labels()
            handles, labels = handles + more[0], labels + more[1]
        _legend_beside(ax, handles, labels, offset=1.12 if scores else 1.02)
        self.figure_, self.ax_ = figure, ax
        return self

    def _line(self, ax: Any, name: str, **style: Any) -> None:
        rows = [row for row in self.history if name in row]
        ax.plot([row["epoch"] for row in rows], [row[name] for row in rows], **style)


def _legend_beside(ax: Any, *entries: Any, offset: float = 1.02) -> None:
    """Put the legend, if there is one, to the right of the axes, where it covers nothing."""
    if not (entries[0] if entries else ax.get_legend_handles_labels()[0]):
        return
    ax.legend(*entries, fontsize=8, loc="upper left", bbox_to_anchor=(offset, 1), borderaxespad=0)
