"""The predictions of a region detector: events, candidates, proposals, maps and vectors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import TransformerTags
from sklearn.utils.validation import check_is_fitted

from .._utils.clock import origins_of, with_clock
from .._utils.threads import in_order
from ..clip_stream import ClipStream
from ..events import (
    Event,
    EventLists,
    Label,
    check_event_lists,
    resolve_threshold,
    select_events,
)
from ..nn.crnn import CRNN, FRAMES_PER_STEP, frames_per_step, takes_feature_maps
from ..nn.rcrnn import RCRNN
from ..postprocessing import EventRules, Seconds, apply_rules
from ..training.device import prediction_threads
from ..training.fit_arguments import CheckedArguments
from ..training.inputs import Clips
from .merging import merge
from .networks import SharedConvolutions, WindowedNetwork
from .recordings import detect_recording
from .trained_network import TrainedNetwork, mapped_stream, stacked
from .windows import MARGIN, WINDOW, Window, Windows

# A processor gains nothing by more windows at once, and each takes memory.
_WINDOWS_ON_PROCESSOR = 4


class RegionPredictions(CheckedArguments, TrainedNetwork):
    """Predictions of :class:`RCRNNDetector`, which declares and stores the parameters."""

    score_threshold: float | str | dict[Label, float]
    nms_threshold: float
    merge_gap: Seconds
    min_duration: Seconds
    max_duration: Seconds
    max_events_per_clip: int | None

    def predict(self, X: Any) -> EventLists:
        """Detect the events of every clip.

        Clips of more than a minute go through the network in overlapping windows.

        Parameters
        ----------
        X : array of shape (n_clips, n_frames, n_bands) or list of (n_frames_i, n_bands)

        Returns
        -------
        list of n_clips lists of Event
            ``(onset, offset, label, score)``, by onset, in seconds, inside the clip.
        """
        check_is_fitted(self)
        self._rules()  # raises now if they are wrong, and not after hours of work
        thresholds = self._thresholds()
        chosen = select_events(self._candidates(X), thresholds)
        return EventLists(self._finished(chosen))

    def predict_candidates(self, X: Any) -> list[list[Event]]:
        """Predict all scored events of every clip, whatever their scores.

        Non-maximum suppression has been applied, but no threshold.

        Parameters
        ----------
        X : as for :meth:`predict`

        Returns
        -------
        list of n_clips lists of Event, by onset
        """
        return [sorted(clip) for clip in self._candidates(X)]

    def predict_proposals(self, X: Any) -> list[NDArray[np.float32]]:
        """Predict the intervals that the region proposal network passes to the classifier.

        Clips of more than a minute go through the network in overlapping windows, each of which
        has up to `n_proposals` of them.

        Parameters
        ----------
        X : as for :meth:`predict`

        Returns
        -------
        list of n_clips float32 arrays of shape (n_proposals_i, 3)
            Onset and offset in seconds, and objectness; sorted by falling objectness.
        """
        clips = self._check_clips(X)
        windows = self._windows()
        cuts = [list(windows.of_recording(len(clip))) for clip in clips]
        parts = [
            clip[window.start : window.stop]
            for clip, own in zip(clips, cuts, strict=True)
            for window in own
        ]
        rows = iter(self._proposals_of(parts))
        return [
            next(rows) if len(own) == 1 else self._joined_proposals(windows, own, rows)
            for own in cuts
        ]

    def _proposals_of(self, clips: Clips) -> list[NDArray[np.float32]]:
        """The proposals of clips that go through the network in one piece."""
        proposals: dict[int, NDArray[np.float32]] = {}
        for places, found in self._detect(clips):
            times = found.proposals * self._step_seconds()
            rows = torch.cat([times, found.objectness[..., None]], -1).cpu()
            for place, row, valid in zip(places, rows, found.valid.cpu(), strict=True):
                proposals[place] = row[valid].numpy()
        return [proposals[i] for i in range(len(proposals))]

    def _joined_proposals(
        self, windows: Windows, cut: Sequence[Window], rows: Iterator[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """The proposals of a clip, each once, from those of the windows that it was cut into."""
        found = [
            event
            for window in cut
            for event in windows.own_events(
                window,
                [Event(onset, offset, "", score) for onset, offset, score in next(rows).tolist()],
            )
        ]
        kept = merge(found, self.proposal_nms_threshold)
        table = [(e.onset, e.offset, e.score) for e in sorted(kept, key=lambda e: -e.score)]
        return np.array(table, np.float32).reshape(-1, 3)

    def transform(self, X: Any) -> NDArray[np.float32] | list[NDArray[np.float32]] | ClipStream:
        """Compute the feature map of every clip.

        Clips of more than a minute go through the network in overlapping windows.

        Parameters
        ----------
        X : as for :meth:`predict`, or a :class:`ClipStream` of features

        Returns
        -------
        float32 array of shape (n_clips, n_steps, n_channels), or list of (n_steps_i, n_channels)
            A list where the clips have different numbers of steps. A step is 8 frames of
            the features, or the ``frames_per_step`` of an extractor of your own. Of a stream,
            the stream of its feature maps.
        """
        check_is_fitted(self)
        if isinstance(X, ClipStream):
            return mapped_stream(self, X)
        maps = self._feature_maps(self._check_clips(X))
        return with_clock(stacked(maps), self._step_seconds(), origins_of(X))

    def event_embeddings(self, X: Any, events: Any) -> list[NDArray[np.float32]]:
        """Compute a vector for each event: the input of the class layer.

        Events that sound alike to the network have vectors that are close to each other,
        whatever their labels: use them to cluster, to search or to review events.

        Parameters
        ----------
        X : as for :meth:`predict`
        events : list of n_clips lists of (onset, offset, label)
            In seconds, for example what :meth:`predict` returns. Labels do not matter and
            need not be known to the detector.

        Returns
        -------
        list of n_clips float32 arrays of shape (n_events_i, n_units)
            In the order of `events`. ``n_units`` is `dense_units`, or 7 times the channels
            of the feature map with ``head="position_sensitive"``.

        See Also
        --------
        sklearn_rcrnn.event_embeddings : The same from recordings.
        """
        clips = self._check_clips(X)
        frame = self._frame_seconds()
        durations = [len(clip) * frame for clip in clips]
        checked = check_event_lists(events, n_clips=len(clips), durations=durations, name="events")
        vectors = []
        maps = self._feature_maps(clips)
        with self._inference() as network:
            device = self._net.device
            for rows, own in zip(maps, checked, strict=True):
                times = np.array([event[:2] for event in own], np.float64).reshape(-1, 2)
                rois = torch.tensor(times / self._step_seconds(), dtype=torch.float32)
                steps = torch.tensor([len(rows)])
                feature_map = torch.tensor(rows)[None]
                inputs = (part.to(device) for part in (feature_map, rois[None], steps))
                vectors.append(network.head.embed(*inputs)[0].float().cpu().numpy())
        return vectors

    def _frame_seconds(self) -> float:
        """Seconds from one row of a clip of `X` to the next."""
        # The frames of a feature map are the steps of the extractor that made it.
        frames = FRAMES_PER_STEP if takes_feature_maps(self._extractor_in_use()) else 1
        return frames * self.frame_shift

    def _step_seconds(self) -> float:
        """Seconds in a step of the feature map."""
        return self._frame_seconds() * frames_per_step(self._extractor_in_use())

    def _detect(self, clips: Clips) -> Any:
        """Yield the indices in `clips` and the network output of each batch."""
        with self._inference() as network:
            for places, batch in self._batches(clips):
                yield places, network(**batch)

    def _check_clips(self, X: Any) -> Clips:
        check_is_fitted(self)
        self._validate_params()
        return self._check_features(X, reset=False)

    def _candidates(self, X: Any) -> list[list[Event]]:
        """Detect scored events in each clip; long clips go through the network in windows."""
        clips = self._check_clips(X)
        windows = self._windows()
        network = self._network(windows.length)
        short = [i for i, clip in enumerate(clips) if len(clip) <= windows.length]
        found: list[list[Event]] = [[]] * len(clips)
        if short:
            scored = self._candidates_of([clips[i] for i in short], network)
            for i, events in zip(short, scored, strict=True):
                found[i] = events
        for i in set(range(len(clips))) - set(short):
            parts = detect_recording([clips[i]], windows, network)
            found[i] = merge([e for _, events in parts for e in events], self.nms_threshold)
        return found

    def _candidates_of(self, clips: Clips, network: WindowedNetwork) -> list[list[Event]]:
        found: dict[int, list[Event]] = {}
        batches = list(self._places_of_batches(clips))
        # All cores compute a single batch together, but of several batches each core computes one.
        n_threads = network.n_threads if len(batches) >= network.n_threads else 1

        def work(places: NDArray[np.int64]) -> list[list[Event]]:
            return network.events_of_batch(self._batch(clips, places))

        for places, events in zip(batches, in_order(work, batches, n_threads), strict=True):
            found.update(zip(places, events, strict=True))
        return [found[i] for i in range(len(found))]

    def _windows(self, window: float = WINDOW, margin: float = MARGIN) -> Windows:
        per_step = frames_per_step(self._extractor_in_use())
        return Windows(self._frame_seconds(), window, margin, per_step)

    def _network(self, longest: int = 1, side_by_side: bool = True) -> WindowedNetwork:
        """The network, ready to predict on up to `longest` frames in one piece.

        With `side_by_side`, several threads compute and several windows go through together.
        """
        device = self._prediction_device()
        with self._inference() as network:
            params: dict[str, Any] = {
                "inference": self._precision,
                "device": device,
                "labels": self.classes_.tolist(),
                "step": self._step_seconds(),
                "nms_threshold": self.nms_threshold,
                "n_threads": prediction_threads(device) if side_by_side else 1,
                "at_once": self._windows_at_once(device, longest) if side_by_side else 1,
            }
            if type(network.extractor).forward is CRNN.forward:
                return SharedConvolutions(network, longest, **params)
            return WindowedNetwork(network, **params)

    def _windows_at_once(self, device: str, length: int) -> int:
        """Number of windows of `length` frames that go through the network in a batch."""
        size = self._batch_size(length)
        return size if torch.device(device).type != "cpu" else min(size, _WINDOWS_ON_PROCESSOR)

    def _feature_maps(self, clips: Clips) -> list[NDArray[np.float32]]:
        extractor = self._extractor_in_use()
        if takes_feature_maps(extractor):
            return list(clips)
        return self._rows(clips, _feature_map, frames_per_step(extractor))

    def _scored_predictions(self, X: Any) -> EventLists:
        threshold: Any = self.score_threshold
        # Thresholds by name, or by other labels, belong to an earlier fit. Rules may, too, but one
        # for a label that is not there has no effect.
        by_label = threshold if isinstance(threshold, Mapping) else ()
        if not isinstance(threshold, Real) and set(self.classes_.tolist()) - set(by_label):
            threshold = 0.5
        chosen = select_events(self._candidates(X), threshold)
        rules = EventRules(self.merge_gap, self.min_duration, self.max_duration)
        return EventLists(self._finished(chosen, rules))

    def _rules(self, labels: Sequence[Label] | None = None) -> EventRules:
        """Check and return the rules by which events are joined and kept.

        `labels` are those that they may name, by default those of the detector.
        """
        rules = EventRules(self.merge_gap, self.min_duration, self.max_duration)
        rules.check(self.classes_.tolist() if labels is None else labels)
        return rules

    def _finished(
        self, chosen: list[list[Event]], rules: EventRules | None = None
    ) -> list[list[Event]]:
        """Join events above the thresholds; keep those of allowed length, and of these the best.

        The rules are by default those of the detector, after a check of their labels.
        """
        joined = apply_rules(chosen, self._rules() if rules is None else rules)
        return select_events(joined, 0.0, self.max_events_per_clip)

    def _thresholds(self) -> float | Mapping[Label, float]:
        """Look up the numbers that `score_threshold` stands for."""
        named = getattr(self, "thresholds_", None)
        return resolve_threshold(self.score_threshold, named, self.classes_.tolist())

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        # The detector is a transformer, too: its `transform` gives feature maps.
        tags.transformer_tags = TransformerTags(preserves_dtype=[])
        return tags


def _feature_map(network: RCRNN, **batch: torch.Tensor) -> torch.Tensor:
    return network.feature_map(**batch)
