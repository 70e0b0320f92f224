"""The arguments of ``fit``: the checks on them, and the data sets that are made of them."""

from __future__ import annotations

import math
import os
from functools import partial
from numbers import Integral
from typing import TYPE_CHECKING, Any, NamedTuple

import joblib
import numpy as np
from numpy.typing import NDArray

from .._utils.clock import (
    as_in_fit,
    changed_recordings,
    check_settings,
    clocks_of,
    settings_of,
    unknown_settings,
)
from .._utils.text import some
from ..annotations.named_clips import lists_of_clips
from ..clip_stream import ClipStream
from ..events import Event, Label, check_event_lists, labels_of
from ..nn.processes import n_processes, of_all_processes
from .inputs import Clips, check_features, check_weights, label_weights, n_bands
from .parameters import TrainingParameters
from .targets import check_known_labels, stream_target, to_target

# Both modules import skorch, which detecting events does not need.
if TYPE_CHECKING:
    from .checkpoints import TrainingCheckpoint
    from .data import ClipDataset, StreamDataset

# Number of clips of a stream on which the mean and deviation of the bands are measured.
_MEASURED = 64


class TrainingData(NamedTuple):
    """The checked arguments of ``fit``, and the data sets that are made of them.

    Attributes
    ----------
    arguments : dict
        Arguments of ``fit`` after the checks: `X`, `y`, `X_val`, `y_val`, `sample_weight`.
    clips : Clips
        The clips that the normalization is measured on: `X`, or some clips of the stream.
    train_set, valid_set : data sets of clips with their targets
        The second is None without validation clips.
    label_weights : list of float, or None
        Weight of the events of each label in the losses; None if neither clips nor labels are
        weighted.
    seed : int
        Seed of the first weights, the order of clips, and all else that is random.
    checkpoint : TrainingCheckpoint or None
    """

    arguments: dict[str, Any]
    clips: Clips
    train_set: ClipDataset | StreamDataset
    valid_set: ClipDataset | None
    label_weights: list[float] | None
    seed: int
    checkpoint: TrainingCheckpoint | None

    @property
    def start_share(self) -> float:
        """The share of the start in the final weights, as a stream gives it; 0 for clips."""
        stream = getattr(self.train_set, "stream", None)
        return 0.0 if stream is None else stream.start_share


class CheckedArguments(TrainingParameters):
    """Turns the arguments of ``fit`` into data sets.

    Subclasses say how many seconds a frame of `X` has, and a unit of the network's targets.
    """

    classes_: NDArray[Any]
    n_features_in_: int
    # What decides on the features that the estimator was fitted to, as far as that is known.
    _feature_settings: dict[str, Any] | None = None

    def _training_data(
        self,
        given: dict[str, Any],
        rng: np.random.RandomState,
        folder: str | os.PathLike[str] | None,
    ) -> TrainingData:
        """Check the arguments of ``fit``, set ``classes_``, and split off validation clips."""
        from .checkpoints import TrainingCheckpoint, training_key

        X, events, drawn_events, weights = given["X"], None, None, given["sample_weight"]
        _check_unchanged(X, "X")
        _check_unchanged(given["X_val"], "X_val")
        if isinstance(X, ClipStream):
            clips, drawn_events, labels = self._check_stream(X, given["y"])
            if weights is not None:
                raise ValueError(
                    "sample_weight weights the clips of X, and a ClipStream has no fixed clips"
                )
        else:
            X, events, weights = self._training_clips(X, given["y"], weights)
            clips, labels = X, labels_of(events)
        if not labels:
            raise ValueError("y has no event in any clip: there is nothing to learn")
        self.classes_ = np.asarray(labels)
        by_label = label_weights(self.class_weight, labels, events)
        if by_label is None and weights is not None:
            by_label = [1.0] * len(labels)
        clips_val, events_val = self._validation_clips(given["X_val"], given["y_val"], labels)
        checked = {
            "X": X,
            "y": events,
            "X_val": clips_val,
            "y_val": events_val,
            "sample_weight": weights,
        }
        checkpoint = None
        if folder is not None:
            # A stream is identified by its first clips and their events, and by its own identity.
            data = {**checked, "X": clips, "labels": labels, "n_clips": len(X)}
            if drawn_events is not None:
                data["y"] = drawn_events
                data["stream"] = X._identity()
            if n_processes() > 1:
                data["n_processes"] = n_processes()
            checkpoint = TrainingCheckpoint(folder, training_key(self, data))
            if not isinstance(self.random_state, Integral):
                rng = checkpoint.random_state(rng)
        sets = self._data_sets(checked, labels, rng)
        seed = int(rng.randint(np.iinfo(np.int32).max))
        if n_processes() > 1:
            _check_shared(
                len(sets[0]),
                (len(X), self.n_features_in_, labels, events, events_val),
                (self.batch_size, self.max_epochs, seed),
            )
        return TrainingData(checked, clips, *sets, by_label, seed, checkpoint)

    def _training_clips(
        self, X: Any, y: Any, weights: Any
    ) -> tuple[Clips, list[list[Event]], NDArray[np.float64] | None]:
        """Check clips, their events and their weights; clips of weight 0 are left out."""
        clips = self._check_features(X, reset=True)
        events = self._check_events(lists_of_clips(y, X), clips, "y")
        if weights is None:
            return clips, events, None
        weights = check_weights(weights, len(clips))
        # Otherwise they would be measured, or split off, and make up all of the validation.
        places = np.flatnonzero(weights)
        if len(places) < len(clips):
            clips = [clips[i] for i in places]  # no copy, as an array may be larger than memory
        return clips, [events[i] for i in places], weights[places]

    def _validation_clips(
        self, X_val: Any, y_val: Any, labels: list[Label]
    ) -> tuple[Clips | None, list[list[Event]] | None]:
        if X_val is None:
            if y_val is not None:
                raise ValueError("y_val was given without X_val: give both or neither")
            return None, None
        clips = self._check_features(X_val, reset=False, name="X_val")
        lists = lists_of_clips(y_val, X_val, "y_val")
        events = self._check_events(lists, clips, "y_val")
        check_known_labels(events, labels, "y_val")
        return clips, events

    def _data_sets(
        self, checked: dict[str, Any], labels: list[Label], rng: np.random.RandomState
    ) -> tuple[ClipDataset | StreamDataset, ClipDataset | None]:
        """Make the training and the validation set from the checked arguments of ``fit``."""
        from .data import ClipDataset, StreamDataset, stratified_split, with_every_label

        convert = partial(to_target, labels=labels, step=self._target_seconds())
        X, events, weights = checked["X"], checked["y"], checked["sample_weight"]
        valid_set = None
        if checked["X_val"] is not None:
            valid_set = ClipDataset(checked["X_val"], checked["y_val"], convert)
        if events is None:
            target = partial(
                stream_target, labels=labels, frame=self._frame_seconds(), convert=convert
            )
            return StreamDataset(X, self.n_features_in_, target), valid_set
        if valid_set is not None or self.validation_fraction is None:
            return ClipDataset(X, events, convert, weights=weights), valid_set
        # Clips without an event come before all labels.
        strata = [(bool(clip), str(clip[0].label) if clip else "") for clip in events]
        parts = with_every_label(*stratified_split(strata, self.validation_fraction, rng), events)
        train_set, valid_set = (
            ClipDataset(X, events, convert, part, weights=weights) for part in parts
        )
        return train_set, valid_set

    def _check_stream(
        self, stream: ClipStream, y: Any
    ) -> tuple[Clips, list[list[Event]], list[Label]]:
        """Draw some clips of a stream, on which features are measured; their events; all labels."""
        if y is not None:
            raise ValueError("A ClipStream brings the events of its clips: give no y with it")
        labels = list(stream.labels)
        if not len(stream) or not labels:
            raise ValueError(
                f"The stream has {len(stream)} clips an epoch and the labels {labels}: at "
                "least one of each is needed"
            )
        drawn = [stream.draw(0, i) for i in range(min(len(stream), _MEASURED))]
        clips = self._check_features([clip for clip, _ in drawn], reset=True)
        events = self._check_events([own for _, own in drawn], clips, "stream")
        # Labels are sorted as those of events are, and must be all strings or all integers.
        probes = [[Event(0.0, 1.0, label)] for label in labels]
        return clips, events, labels_of(check_event_lists(probes))

    def _check_features(self, X: Any, *, reset: bool, name: str = "X") -> Clips:
        """Check features; return an (n_clips, n_frames, n_bands) array or a list of such clips."""
        estimator = type(self).__name__
        theirs = None if reset else unknown_settings(X, self._feature_settings)
        self._check_clock(X, name, theirs)
        check_settings(theirs, self._feature_settings, f"{name} has", f"this {estimator}")
        clips = check_features(X, estimator, name)
        n = n_bands(clips)
        if reset:
            if n < self._min_bands():
                raise ValueError(f"At least {self._min_bands()} bands are needed; got {n}")
            self.n_features_in_ = n
            self._feature_settings = settings_of(X)
        elif n != self.n_features_in_:
            raise ValueError(
                f"{name} has {n} features (bands), but {estimator} is expecting "
                f"{self.n_features_in_} features as input, as in fit"
            )
        return clips

    def _check_clock(self, X: Any, name: str, settings: dict[str, Any] | None = None) -> None:
        """Raise ValueError if the features state another time between their frames.

        Where their settings are others than those of ``fit``, another clock would not mend it.
        """
        ours = self._frame_seconds()
        for theirs in clocks_of(X):
            if not math.isclose(theirs, ours, rel_tol=1e-6):
                advice = as_in_fit(self._feature_settings, settings) or (
                    "Build pipelines with make_rcrnn_pipeline, or set the estimator's "
                    f"frame_shift to {self.frame_shift * theirs / ours:.9g}"
                )
                raise ValueError(
                    f"The frames of {name} are {theirs:.6g} s apart, but with frame_shift="
                    f"{self.frame_shift:.6g} s {type(self).__name__} takes them to be "
                    f"{ours:.6g} s apart: times would be wrong. {advice}"
                )

    def _check_events(self, y: Any, clips: Clips, name: str) -> list[list[Event]]:
        durations = [len(clip) * self._frame_seconds() for clip in clips]
        return check_event_lists(y, n_clips=len(clips), durations=durations, name=name)

    def _min_bands(self) -> int:
        """The smallest number of bands that the network accepts."""
        return 1

    def _frame_seconds(self) -> float:
        """Seconds in a frame of `X`."""
        return self.frame_shift

    def _target_seconds(self) -> float:
        """Seconds in a unit of time of the network's targets."""
        return self.frame_shift


def _check_shared(n_clips: int, *given: Any) -> None:
    """Raise ValueError if processes cannot train together.

    That is so if they were given different things to learn, or fewer clips than they are.
    """
    hashes = of_all_processes(joblib.hash(given))
    if len(set(hashes)) > 1:
        raise ValueError(
            "The processes that train together were given different clips, events or parameters. "
            "Each must call fit with all clips and the same parameters: fit divides them itself"
        )
    if n_clips < n_processes():
        raise ValueError(
            f"{n_processes()} processes cannot share {n_clips} training clips: start fewer of them"
        )


def _check_unchanged(X: Any, name: str) -> None:
    """Raise ValueError for cached features whose recordings have changed since."""
    if changed := changed_recordings(X):
        raise ValueError(
            f"{name} holds features of {some(changed)} as it was before the file changed: they "
            "come from a cache, such as that of Pipeline(memory=...), which knows recordings by "
            "their names alone. Give memory=sklearn_rcrnn.FileMemory(folder) instead, which "
            f"notices changes. If you know that the features are right, give np.asarray({name})"
        )
