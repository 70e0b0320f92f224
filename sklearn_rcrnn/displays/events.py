"""Displays of a clip and of the events found in it."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..audio import load_clip
from ..events import Event, Label, check_event_lists, labels_of
from .drawing import colors_of, hertz_ticks, mp3_text, new_axes, parts_of

# Color of proposals.
_NO_LABEL = ""
# Width of the text of a score as a part of the width of the axes.
_SCORE_WIDTH = 0.035


class EventsDisplay:
    """Spectrogram of a clip over lanes of its events.

    Parameters
    ----------
    features : array of shape (n_frames, n_bands)
        Log filter bank energies.
    frame_shift : float
        Seconds between frames.
    lanes : dict of str to list of Event
        The events of each lane by its name. Scores below 1 are written next to events where
        there is room.
    band_frequencies : array of shape (n_bands,), default=None
        Center of each band in Hz, for an axis in Hz and kHz. None: the axis numbers the bands.
    clip : path or array of shape (n_samples,), default=None
        The recording. With it the display shows a player in a notebook.
    sample_rate : int, default=44100
        Sample rate in Hz of a clip that is an array.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
    ax_ : array of 2 matplotlib.axes.Axes
        Spectrogram and lanes.

    Examples
    --------
    >>> EventsDisplay.from_estimator(pipe, "garden.wav")  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        features: NDArray[np.floating],
        frame_shift: float,
        lanes: Mapping[str, Sequence[Event]],
        band_frequencies: NDArray[np.floating] | None = None,
        clip: Any = None,
        sample_rate: int = 44100,
    ):
        self.features = features
        self.frame_shift = frame_shift
        self.lanes = lanes
        self.band_frequencies = band_frequencies
        self.clip = clip
        self.sample_rate = sample_rate

    @classmethod
    def from_estimator(
        cls, estimator: Any, clip: Any, y: Any = None, *, proposals: int = 0, ax: Any = None
    ) -> EventsDisplay:
        """Draw what a pipeline finds in a recording.

        Parameters
        ----------
        estimator : Pipeline
            A fitted pipeline from recordings to events.
        clip : path or array of shape (n_samples,)
        y : list of (onset, offset, label), default=None
            The true events, for a lane of their own.
        proposals : int, default=0
            Number of the best proposals of the RPN to show, in a lane of their own.
        ax : two matplotlib axes, default=None

        Returns
        -------
        EventsDisplay
        """
        from ..tuning.wrapped import detector_in

        steps, detector = parts_of(estimator)
        first, inner = estimator[0], detector_in(detector)
        features = steps.transform([clip])
        lanes = {"found": detector.predict(features)[0]}
        if proposals:
            best = inner.predict_proposals(features)[0][:proposals].tolist()
            lanes["proposals"] = [Event(start, end, _NO_LABEL, score) for start, end, score in best]
        if y is not None:
            lanes = {"true": check_event_lists([y])[0], **lanes}
        return cls(
            features=first.transform([clip])[0],
            frame_shift=inner.frame_shift,
            lanes=lanes,
            band_frequencies=getattr(first, "band_frequencies", None),
            clip=clip,
            sample_rate=getattr(first, "sample_rate", 44100),
        ).plot(ax=ax)

    @classmethod
    def from_predictions(
        cls,
        features: Any,
        y_true: Any,
        y_pred: Any,
        *,
        frame_shift: float = 1024 / 44100,
        ax: Any = None,
    ) -> EventsDisplay:
        """Draw true and found events of a clip.

        Parameters
        ----------
        features : array of shape (n_frames, n_bands)
        y_true, y_pred : list of (onset, offset, label)
        frame_shift : float, default=1024 / 44100
            Seconds between frames.
        ax : two matplotlib axes, default=None

        Returns
        -------
        EventsDisplay
        """
        true, found = check_event_lists([y_true, y_pred])
        lanes = {"true": true, "found": found}
        return cls(features=features, frame_shift=frame_shift, lanes=lanes).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> EventsDisplay:
        """Draw.

        Parameters
        ----------
        ax : two matplotlib axes, default=None

        Returns
        -------
        EventsDisplay
        """
        height = 3 + 0.5 * len(self.lanes)
        ratios = (3, 0.5 * len(self.lanes) + 0.2)
        (top, bottom), figure = new_axes(
            ax, 2, figsize=(9, height), sharex=True, height_ratios=ratios
        )
        end = len(self.features) * self.frame_shift
        extent = (0, end, 0, self.features.shape[1])
        top.imshow(self.features.T, origin="lower", aspect="auto", extent=extent)
        if self.band_frequencies is None:
            top.set(ylabel="band")
        else:
            ticks = hertz_ticks(self.band_frequencies)
            top.set(yticks=[at for at, _ in ticks], yticklabels=[name for _, name in ticks])
        labels = labels_of(
            [[e for e in events if e.label != _NO_LABEL] for events in self.lanes.values()]
        )
        colors = {**colors_of(labels), _NO_LABEL: "tab:gray"}
        lane_names = list(self.lanes)[::-1]
        for row, name in enumerate(lane_names):
            # Where events overlap, the one with the highest score lies on top.
            events = sorted(self.lanes[name], key=lambda event: event.score)
            bottom.barh(
                [row] * len(events),
                [event.offset - event.onset for event in events],
                left=[event.onset for event in events],
                height=0.7,
                color=[_shade(event, colors[event.label]) for event in events],
            )
            _write_scores(bottom, row, events, end)
        bottom.set(
            yticks=range(len(lane_names)),
            yticklabels=lane_names,
            xlim=(0, end),
            ylim=(-0.5, len(lane_names) - 0.5),
            xlabel="time (s)",
        )
        _add_legend(top, colors, labels)
        self.figure_, self.ax_ = figure, np.array([top, bottom])
        return self

    def _repr_html_(self) -> str:
        """Return the picture, a player and the list of events as HTML for a notebook."""
        import matplotlib.pyplot as plt

        if not hasattr(self, "figure_"):
            self.plot()
        buffer = io.BytesIO()
        self.figure_.savefig(buffer, format="png")
        # Without this the notebook would show the figure a second time.
        plt.close(self.figure_)
        picture = base64.b64encode(buffer.getvalue()).decode()
        parts = [f'<img alt="Spectrogram and events" src="data:image/png;base64,{picture}">']
        if self.clip is not None:
            samples = load_clip(self.clip, self.sample_rate, "the clip")
            sound = mp3_text(samples, self.sample_rate)
            parts.append(f'<br><audio controls src="data:audio/mpeg;base64,{sound}"></audio>')
        for name, events in self.lanes.items():
            rows = "".join(
                f"<tr><td>{e.onset:.2f} s</td><td>{e.offset:.2f} s</td>"
                f"<td>{html.escape(str(e.label))}</td><td>{e.score:.2f}</td></tr>"
                for e in events
                if e.label != _NO_LABEL
            )
            if rows:
                head = "<tr><th>onset</th><th>offset</th><th>label</th><th>score</th></tr>"
                parts.append(f"<table><caption>{html.escape(name)}</caption>{head}{rows}</table>")
        return "".join(parts)


def _shade(event: Event, color: Any) -> Any:
    """The color of an event; proposals overlap, so those with lower scores are paler."""
    from matplotlib.colors import to_rgba

    return to_rgba(color, max(0.1, event.score) if event.label == _NO_LABEL else 1.0)


def _write_scores(ax: Any, row: int, events: Sequence[Event], end: float) -> None:
    """Write the scores of labeled events, except where one would cover the one before."""
    free_from = 0.0
    for event in sorted(events):
        if event.label == _NO_LABEL or event.score == 1 or event.onset < free_from:
            continue
        ax.text(event.onset, row, f" {event.score:.2f}", va="center", fontsize=8, clip_on=True)
        free_from = event.onset + _SCORE_WIDTH * end


def _add_legend(ax: Any, colors: Mapping[Label, Any], labels: Sequence[Label]) -> None:
    """Add a legend of labels and their colors above the axes."""
    from matplotlib.patches import Patch

    if labels:
        ax.legend(
            handles=[Patch(color=colors[label], label=str(label)) for label in labels],
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=6,
            frameon=False,
            fontsize=8,
        )
