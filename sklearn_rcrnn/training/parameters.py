"""The parameters that all estimators with a trained network share."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, Literal, get_args

from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, StrOptions

from ..events import Label
from ..nn.crnn import check_extractor
from .augmentation import Augmentation

# Types of parameters in the signatures of the estimators. The schedules are defined in
# :mod:`.callbacks`.
LRSchedule = Literal["constant", "one_cycle"]
Precision = Literal["auto", "float32", "bfloat16"]
ClassWeight = dict[Label, float] | Literal["balanced"] | None
NormalizedBy = float | Literal["auto", "training"]


class TrainingParameters(BaseEstimator):
    """Stores the parameters of a training.

    Subclasses repeat them in the signature of their ``__init__``, where scikit-learn reads
    names and defaults, and store only their own there: the decorator
    :func:`~sklearn_rcrnn._utils.shared_parameters.stores_parameters_of` stores these.
    """

    _training_constraints: dict = {
        "normalization": [
            StrOptions({"auto", "training"}),
            Interval(Real, 0, None, closed="neither"),
        ],
        "frame_shift": [Interval(Real, 0, None, closed="neither")],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "lr_schedule": [StrOptions(set(get_args(LRSchedule)))],
        "augmentation": [callable, None],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "patience": [Interval(Integral, 1, None, closed="left"), None],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither"), None],
        "gradient_clip": [Interval(Real, 0, None, closed="neither"), None],
        "callbacks": [list, tuple, None],
        "net_params": [dict, None],
        "device": [str],
        "precision": [StrOptions(set(get_args(Precision)))],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        *,
        normalization: NormalizedBy,
        frame_shift: float,
        max_epochs: int,
        lr: float,
        lr_schedule: LRSchedule,
        augmentation: Augmentation | None,
        class_weight: ClassWeight,
        batch_size: int,
        patience: int | None,
        validation_fraction: float | None,
        gradient_clip: float | None,
        callbacks: Sequence[Any] | None,
        net_params: dict[str, Any] | None,
        device: str,
        precision: Precision,
        random_state: Any,
        verbose: int,
    ):
        self.normalization = normalization
        self.frame_shift = frame_shift
        self.max_epochs = max_epochs
        self.lr = lr
        self.lr_schedule = lr_schedule
        self.augmentation = augmentation
        self.class_weight = class_weight
        self.batch_size = batch_size
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.gradient_clip = gradient_clip
        self.callbacks = callbacks
        self.net_params = net_params
        self.device = device
        self.precision = precision
        self.random_state = random_state
        self.verbose = verbose


# Parameters of skorch's net that have no effect here, or that a saved model would not know, and
# what to do instead.
_NOT_OF_THE_NET = {
    "module": "the parameters of the estimator make the network",
    "criterion": "the network computes its losses itself",
    "train_split": "give validation_fraction, or fit's X_val and y_val",
    "warm_start": "fit begins anew; a warm start is pretrainer=FrozenEstimator(fitted)",
    "predict_nonlinearity": "predict gives events",
    "dataset": "fit makes the data set",
}


def check_net_params(net_params: dict[str, Any] | None, callbacks: Sequence[Any] | None) -> None:
    """Raise ValueError for parameters of the net that would have no effect, or be lost."""
    given = net_params or {}
    for name in given:
        own = name.partition("__")[0]
        if own in _NOT_OF_THE_NET:
            raise ValueError(f"net_params has {name}, but {_NOT_OF_THE_NET[own]}")
    if callbacks and "callbacks" in given:
        raise ValueError(
            "net_params has callbacks, which take the place of all others, also of those in the "
            "parameter callbacks: give all in one of the two"
        )


def check_own_extractor(extractor: Any, normalization: NormalizedBy) -> None:
    """Check a module as `extractor`, which normalizes features itself; names always pass.

    Raises
    ------
    TypeError
        If the module lacks a required attribute.
    ValueError
        If `normalization` is given for it.
    """
    if isinstance(extractor, str):
        return
    check_extractor(extractor)
    if normalization != "auto":
        raise ValueError(
            f"normalization={normalization!r} is for the extractors of this package; a module "
            "receives the features as they are, and normalizes them itself if it needs to: leave "
            'normalization="auto"'
        )
