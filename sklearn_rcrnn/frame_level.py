"""Detectors that judge frame by frame: the rivals of R-CRNN, with the same interface."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from ._base import EventDetector
from ._utils.shared_parameters import stores_parameters_of
from .events import Event, EventLists, Label, select_events
from .inference.trained_network import stacked
from .nn.frame_networks import NETWORKS, FrameNetwork
from .nn.normalization import Normalization
from .training.augmentation import Augmentation
from .training.parameters import (
    ClassWeight,
    LRSchedule,
    NormalizedBy,
    Precision,
    TrainingParameters,
)

# Seconds by which products of whole numbers and `frame_shift` may be off.
_ROUNDING = 1e-9


def frames_to_events(
    probabilities: NDArray[np.floating],
    labels: Sequence[Label],
    *,
    frame_shift: float,
    threshold: float = 0.5,
    median_filter: float = 0.54,
    min_duration: float = 0.0,
    min_gap: float = 0.0,
) -> list[Event]:
    """Turn the probabilities of the frames of a clip into events.

    Frames that reach the threshold are smoothed by a median filter. Each run of them is an
    event; events of a label are joined over gaps up to `min_gap`, and short ones dropped.

    Parameters
    ----------
    probabilities : array of shape (n_frames, n_labels)
    labels : sequence of str or int
        Labels of the columns.
    frame_shift : float
        Seconds between frames; frame ``i`` is centered at ``i * frame_shift``.
    threshold : float, default=0.5
        Lowest probability of a frame with an event.
    median_filter : float, default=0.54
        Length of the median filter in seconds; 0 leaves it out.
    min_duration, min_gap : float, default=0
        Shortest event, and the longest gap over which two events of a label are joined, in
        seconds. Whole frames count, also the first and the last one of a clip, half of which
        lies outside it: an event there may be half a frame shorter than `min_duration`.

    Returns
    -------
    list of Event
        By onset; the score is the highest probability in the event.

    Examples
    --------
    >>> frames = np.array([[0.1], [0.9], [0.8], [0.2]])
    >>> frames_to_events(frames, ["dog"], frame_shift=1.0, median_filter=0)
    [Event(onset=0.5, offset=2.5, label='dog', score=0.9)]
    """
    from scipy.ndimage import median_filter as median

    width = round(median_filter / frame_shift) // 2 * 2 + 1
    end = (len(probabilities) - 1) * frame_shift
    events = []
    for label, own in zip(labels, probabilities.T, strict=True):
        active = median((own >= threshold).astype(np.uint8), width, mode="constant")
        edges = np.flatnonzero(np.diff(active, prepend=0, append=0)).reshape(-1, 2)
        if len(edges):
            apart = (edges[1:, 0] - edges[:-1, 1]) * frame_shift > min_gap + _ROUNDING
            starts = edges[np.r_[True, apart], 0]
            ends = edges[np.r_[apart, True], 1]
            for start, stop in zip(starts.tolist(), ends.tolist(), strict=True):
                if (stop - start) * frame_shift >= min_duration - _ROUNDING:
                    onset = max(0.0, (start - 0.5) * frame_shift)
                    offset = min(end, (stop - 0.5) * frame_shift)
                    if offset > onset:
                        events.append(Event(onset, offset, label, float(own[start:stop].max())))
    return sorted(events)


class FrameDetector(EventDetector):
    """Detect sound events frame by frame, as the systems that R-CRNN was compared with do.

    It takes the same `X` and `y` as :class:`RCRNNDetector`, and returns events of the same
    kind. Unlike there, the threshold moves the boundaries of the events.

    Parameters
    ----------
    network : {"crnn", "crnn_1d", "cnn", "dnn", "mlp"}, default="crnn"
        ``"crnn"``: Çakır and Virtanen; ``"crnn_1d"``: Lim et al.; ``"cnn"`` and ``"dnn"``:
        Phan et al.; ``"mlp"``: the baseline of the challenge. See Notes.
    n_members : int, default=1
        Number of networks whose probabilities are averaged; Lim et al. used up to five.
    foreground_weight : float, default=None
        Weight of the loss at frames with an event. None takes 3 for ``"cnn"`` and
        ``"dnn"``, whose authors have a weighted loss, and 1 otherwise.
    distance_weight : float, default=None
        Weight of a second task, which is to predict the distances to onset and offset. None
        takes 1 for ``"cnn"`` and ``"dnn"``, and 0 otherwise, which leaves the task out.
    frame_threshold : float, default=0.5
        Lowest probability of a frame with an event. This parameter and the next four may
        be changed after ``fit``.
    median_filter : float, default=0.54
        Length of the median filter over frames, in seconds; 0 leaves it out.
    min_duration, min_gap : float, default=0.1
        In seconds: shorter events are dropped, and events of a label that are no further apart
        are joined.
    max_events_per_clip : int, default=None
        Largest number of events that are returned for a clip: those with the highest
        scores. 1 is the rule of DCASE 2017.
    normalization : "auto", float or "training", default="auto"
        How the features are normalized, as for :class:`RCRNNDetector`.
    frame_shift : float, default=1024 / 44100
        Seconds between frames of the features: the hop divided by the sample rate.
    max_epochs, lr, lr_schedule, augmentation, class_weight, \
batch_size, patience, validation_fraction, \
gradient_clip, callbacks, net_params, device, precision, random_state, verbose
        These are the same as for :class:`RCRNNDetector`, except for some defaults: at most 100
        epochs at a constant learning rate of 1e-3, with a `patience` of 10.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    net_ : skorch.NeuralNet
    n_parameters_ : int
    history_ : skorch.history.History

    See Also
    --------
    RCRNNDetector : Judges intervals. ``RCRNNDetector(extractor="cnn",
        head="position_sensitive")`` is the R-FCN of Table 4.

    Notes
    -----
    The reports leave details open: sizes of layers are those that systems of each family
    had. ``"mlp"``: 5 frames, two dense layers of 50, dropout 0.2. ``"dnn"``: three of 512.
    ``"cnn"``: filters of 3, 5 and 7 frames over all bands, their maximum over 41 frames, a
    dense layer of 512. ``"crnn"``: three 3 x 3 convolutions of 64 filters pooled along
    frequency, a forward GRU of 64. ``"crnn_1d"``: 128 filters of 32 bands within each
    frame, two forward LSTM layers of 128. Phan et al. let the distances vote for onsets;
    here they only help to train.

    References
    ----------
    [10], [11], [12] of the paper, and Mesaros et al., DCASE 2017 challenge setup.

    Examples
    --------
    >>> from sklearn_rcrnn import FrameDetector, LFBETransformer
    >>> from sklearn_rcrnn.datasets import make_rare_events
    >>> X, y = make_rare_events(6, duration=4.0, random_state=0)
    >>> features = LFBETransformer().transform(X)
    >>> detector = FrameDetector("mlp", max_epochs=1, random_state=0).fit(features, y)
    >>> detector.predict_frame_proba(features).shape
    (6, 173, 3)
    """

    _parameter_constraints: dict = {
        **EventDetector._training_constraints,
        "network": [StrOptions(set(NETWORKS))],
        "n_members": [Interval(Integral, 1, None, closed="left")],
        "foreground_weight": [Interval(Real, 0, None, closed="neither"), None],
        "distance_weight": [Interval(Real, 0, None, closed="left"), None],
        "frame_threshold": [Interval(Real, 0, 1, closed="both")],
        "median_filter": [Interval(Real, 0, None, closed="left")],
        "min_duration": [Interval(Real, 0, None, closed="left")],
        "min_gap": [Interval(Real, 0, None, closed="left")],
        "max_events_per_clip": [Interval(Integral, 1, None, closed="left"), None],
    }

    _of_network = (
        "network",
        "n_members",
        "foreground_weight",
        "distance_weight",
        "normalization",
    )

    @stores_parameters_of(TrainingParameters)
    def __init__(
        self,
        network: str = "crnn",
        *,
        n_members: int = 1,
        foreground_weight: float | None = None,
        distance_weight: float | None = None,
        frame_threshold: float = 0.5,
        median_filter: float = 0.54,
        min_duration: float = 0.1,
        min_gap: float = 0.1,
        max_events_per_clip: int | None = None,
        normalization: NormalizedBy = "auto",
        frame_shift: float = 1024 / 44100,
        max_epochs: int = 100,
        lr: float = 1e-3,
        lr_schedule: LRSchedule = "constant",
        augmentation: Augmentation | None = None,
        class_weight: ClassWeight = None,
        batch_size: int = 16,
        patience: int | None = 10,
        validation_fraction: float | None = 0.1,
        gradient_clip: float | None = 5.0,
        callbacks: Sequence[Any] | None = None,
        net_params: dict[str, Any] | None = None,
        device: str = "auto",
        precision: Precision = "auto",
        random_state: Any = None,
        verbose: int = 0,
    ):
        self.network = network
        self.n_members = n_members
        self.foreground_weight = foreground_weight
        self.distance_weight = distance_weight
        self.frame_threshold = frame_threshold
        self.median_filter = median_filter
        self.min_duration = min_duration
        self.min_gap = min_gap
        self.max_events_per_clip = max_events_per_clip

    def predict(self, X: Any) -> EventLists:
        """Detect the events of every clip.

        Parameters
        ----------
        X : array of shape (n_clips, n_frames, n_bands) or list of (n_frames_i, n_bands)

        Returns
        -------
        list of n_clips lists of Event
            By onset, in seconds, inside the clip.
        """
        probabilities = self.predict_frame_proba(X)
        clips = [
            frames_to_events(
                own,
                self.classes_.tolist(),
                frame_shift=self.frame_shift,
                threshold=self.frame_threshold,
                median_filter=self.median_filter,
                min_duration=self.min_duration,
                min_gap=self.min_gap,
            )
            for own in probabilities
        ]
        return EventLists(select_events(clips, 0.0, self.max_events_per_clip))

    def predict_frame_proba(self, X: Any) -> NDArray[np.float32] | list[NDArray[np.float32]]:
        """Probability of each label in each frame.

        Parameters
        ----------
        X : as for :meth:`predict`

        Returns
        -------
        float32 array of shape (n_clips, n_frames, n_labels)
            When the clips have equal lengths, else a list of arrays (n_frames_i, n_labels).
            Labels in the order of ``classes_``; they need not sum to 1. Clips over a minute
            go through in overlapping windows.
        """
        check_is_fitted(self)
        self._validate_params()
        clips = self._check_features(X, reset=False)
        return stacked(self._rows(clips, FrameNetwork.__call__))

    def _network_params(self) -> dict[str, Any]:
        # The networks of Phan et al. weight the foreground and learn distances; the others do
        # neither.
        foreground, distance = (3.0, 1.0) if self.network in ("cnn", "dnn") else (1.0, 0.0)
        if self.foreground_weight is not None:
            foreground = self.foreground_weight
        if self.distance_weight is not None:
            distance = self.distance_weight
        return {
            "module": FrameNetwork,
            "module__n_bands": self.n_features_in_,
            "module__n_classes": len(self.classes_),
            "module__network": self.network,
            "module__n_members": self.n_members,
            "module__foreground_weight": foreground,
            "module__distance_weight": distance,
            "module__context": self._context(),
        }

    def _normalization(self, network: FrameNetwork) -> Normalization:
        return network.normalization
