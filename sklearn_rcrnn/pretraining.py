"""Pre-training of the feature extractor on presence in a clip (section 3.2 of the paper)."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import TransformerMixin
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from ._base import NetworkEstimator
from ._utils.clock import origins_of, with_clock
from ._utils.shared_parameters import stores_parameters_of
from .annotations.named_clips import lists_of_clips
from .clip_stream import ClipStream
from .events import check_event_lists
from .inference.trained_network import mapped_stream, stacked
from .nn.crnn import EXTRACTORS, MIN_BANDS, extract, frames_per_step
from .nn.presence import PresenceNetwork
from .training.augmentation import Augmentation
from .training.inputs import check_weights
from .training.parameters import (
    ClassWeight,
    LRSchedule,
    NormalizedBy,
    Precision,
    TrainingParameters,
    check_own_extractor,
)
from .training.targets import to_presence


class CRNNPretrainer(
    TransformerMixin,
    NetworkEstimator,
    auto_wrap_output_keys=None,  # type: ignore[call-arg]  # feature maps are no table
):
    """Train the CRNN to tell which events are present in a clip.

    The trained network can be the start of a detector
    (``RCRNNDetector(pretrainer=CRNNPretrainer())``). Or it is a transformer that computes
    fixed feature maps, in front of ``RCRNNDetector(extractor="precomputed")``. These are the
    settings of the paper's Table 3.

    Parameters
    ----------
    gru_units : int, default=50
        The paper's U: units of the recurrent layer in each direction.
    extractor : str or torch.nn.Module, default="crnn_bigru"
        An extractor as for :class:`RCRNNDetector`, other than ``"precomputed"``.
    normalization : "auto", float or "training", default="auto"
        How the features are normalized, as for :class:`RCRNNDetector`; a module as
        `extractor` receives them as they are.
    frame_shift : float, default=1024 / 44100
        Seconds between frames of the features: the hop divided by the sample rate.
    max_epochs : int, default=100
        Largest number of epochs.
    lr : float, default=1e-3
        Learning rate of Adam.
    lr_schedule : str, default="constant"
        Schedule of the learning rate, as for :class:`RCRNNDetector`; a cycle needs
        ``patience=None``.
    augmentation : callable, default=None
        How each batch of the training is changed, by chance, before the network learns from
        it: a :class:`FeatureAugmentation`, or a function of your own of (features, lengths,
        targets), whose contract is :data:`~sklearn_rcrnn.training.augmentation.Augmentation`.
    class_weight : dict of label to float, "balanced" or None, default=None
        How much the events of each label count in the losses; labels that a dict leaves out
        count 1. ``"balanced"`` weights them by ``n_events / (n_labels * n_events_of_label)``,
        so that rare labels count as much as frequent ones.
    batch_size : int, default=32
        Number of clips in a batch; the paper has 80.
    patience : int, default=10
        Stop when the validation loss has not improved for this number of epochs, and
        restore the weights of the best one. None trains for all epochs.
    validation_fraction : float, default=0.1
        Part of the clips that is set aside for validation, each label in proportion. None
        trains on all clips and watches the training loss.
    gradient_clip : float, default=5.0
        Largest norm of the gradient; a longer one is scaled down to it. None leaves
        gradients as they are.
    callbacks : list of skorch callbacks, default=None
        Added to the estimator's own.
    net_params : dict, default=None
        Parameters of :class:`skorch.NeuralNet`, but not of its module, criterion and data;
        they take precedence over those that the estimator sets.
    device : str, default="auto"
        Name of a PyTorch device; ``"auto"`` is CUDA where there is one, and the CPU
        elsewhere. May be changed after ``fit``: the network goes there when it next
        predicts.
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        Number format of the convolutions. ``"auto"`` trains in bfloat16 where the
        processor has instructions for it, and predicts in float32; ``"bfloat16"`` trains
        and predicts in bfloat16.
    random_state : int, RandomState instance or None, default=None
        Seed of the first weights, the split, the order of clips and the dropout. An integer
        makes trainings repeatable.
    verbose : int, default=0
        1 prints the losses of each epoch and how long the training will take.

    Attributes
    ----------
    classes_ : ndarray of shape (n_labels,)
        Labels, sorted.
    net_ : skorch.NeuralNet
        The trained net.
    history_ : skorch.history.History
        Losses of each epoch, ``train_loss`` and ``valid_loss``.
    n_parameters_ : int
        Number of parameters, counted as in the paper's Table 2.
    n_features_in_ : int
        Number of bands of the features.

    See Also
    --------
    RCRNNDetector : Detects the events.

    References
    ----------
    Kao, Wang, Sun, Wang: R-CRNN, Interspeech 2018, section 3.2 and Table 3.

    Examples
    --------
    >>> from sklearn_rcrnn import CRNNPretrainer, LFBETransformer
    >>> from sklearn_rcrnn.datasets import make_rare_events
    >>> X, y = make_rare_events(6, duration=4.0, random_state=0)
    >>> features = LFBETransformer().transform(X)
    >>> pretrainer = CRNNPretrainer(gru_units=8, max_epochs=1, random_state=0)
    >>> pretrainer.fit_transform(features, y).shape
    (6, 22, 16)
    """

    _parameter_constraints: dict = {
        **NetworkEstimator._training_constraints,
        "gru_units": [Interval(Integral, 1, None, closed="left")],
        "extractor": [StrOptions(set(EXTRACTORS)), torch.nn.Module],
    }

    _of_network = ("gru_units", "extractor", "normalization")

    @stores_parameters_of(TrainingParameters)
    def __init__(
        self,
        gru_units: int = 50,
        extractor: str | torch.nn.Module = "crnn_bigru",
        *,
        normalization: NormalizedBy = "auto",
        frame_shift: float = 1024 / 44100,
        max_epochs: int = 100,
        lr: float = 1e-3,
        lr_schedule: LRSchedule = "constant",
        augmentation: Augmentation | None = None,
        class_weight: ClassWeight = None,
        batch_size: int = 32,
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
        self.gru_units = gru_units
        self.extractor = extractor

    def transform(self, X: Any) -> NDArray[np.float32] | list[NDArray[np.float32]] | ClipStream:
        """Compute the feature maps.

        Clips of more than a minute go through the network in overlapping windows.

        Parameters
        ----------
        X : array of shape (n_clips, n_frames, n_bands) or list of (n_frames_i, n_bands)
            Or a :class:`ClipStream` of features.

        Returns
        -------
        float32 array of shape (n_clips, ceil(n_frames / 8), n_channels), or list of such rows
            ``n_channels`` is 2U for ``"crnn_bigru"``; (162, 100) for 30 s by default. Of a
            stream, the stream of its feature maps.
        """
        check_is_fitted(self)
        if isinstance(X, ClipStream):
            return mapped_stream(self, X)
        clips = self._check_features(X, reset=False)
        per_step = frames_per_step(self._extractor_in_use())
        maps = self._rows(clips, _feature_map, per_step)
        return with_clock(stacked(maps), per_step * self.frame_shift, origins_of(X))

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """Probability of presence of each label in each clip.

        Parameters
        ----------
        X : as for :meth:`transform`

        Returns
        -------
        float32 array of shape (n_clips, n_labels)
            Columns in the order of ``classes_``; rows need not sum to 1.
        """
        check_is_fitted(self)
        clips = self._check_features(X, reset=False)
        probabilities = np.empty((len(clips), len(self.classes_)), np.float32)
        with self._inference() as network:
            for places, batch in self._batches(clips):
                probabilities[places] = network(**batch).float().sigmoid().cpu().numpy()
        return probabilities

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy: the part of the (clip, label) pairs whose presence is predicted correctly.

        Parameters
        ----------
        X : as for :meth:`transform`
        y : list of lists of (onset, offset, label)
        sample_weight : array of shape (n_clips,), default=None
            Weight of each clip.

        Returns
        -------
        float
        """
        probabilities = self.predict_proba(X)
        events = check_event_lists(lists_of_clips(y, X), n_clips=len(probabilities))
        present = np.stack([to_presence(clip, self.classes_.tolist()) for clip in events])
        right = ((probabilities > 0.5) == present).mean(1)
        weights = None if sample_weight is None else check_weights(sample_weight, len(right))
        return float(np.average(right, weights=weights))

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Names of the channels of the feature map.

        Parameters
        ----------
        input_features : ignored

        Returns
        -------
        object array of shape (n_channels,)
        """
        check_is_fitted(self)
        return np.asarray(
            [f"crnn{i}" for i in range(self._net.module_.extractor.n_channels)], dtype=object
        )

    def _check_together(self) -> None:
        check_own_extractor(self.extractor, self.normalization)

    def _min_bands(self) -> int:
        return MIN_BANDS if isinstance(self.extractor, str) else 1

    def _network_params(self) -> dict[str, Any]:
        return {
            "module": PresenceNetwork,
            "module__n_bands": self.n_features_in_,
            "module__n_labels": len(self.classes_),
            "module__extractor": self.extractor,
            "module__gru_units": self.gru_units,
            "module__context": self._context(),
        }

    def _scored_predictions(self, X: Any) -> NDArray[np.float32]:
        return self.predict_proba(X)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags


def _feature_map(network: PresenceNetwork, **batch: torch.Tensor) -> torch.Tensor:
    return extract(network.extractor, **batch)
