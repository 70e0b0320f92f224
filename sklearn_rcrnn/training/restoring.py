"""Networks restored from saved weights, which are checked first; for prediction only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ..nn.normalization import with_prior


class NoOptimizer:
    """Takes the place of the optimizer in a net that only predicts.

    Building a real one imports PyTorch's compiler, which takes longer than everything else.
    """

    def __init__(self, parameters: Any, **settings: Any):
        pass


class _NoRandomNumbers(TorchFunctionMode):
    """Skips the initialization of weights, which imports the compiler on the meta device."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func.__name__ in ("normal_", "uniform_"):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def restore(net: Any, weights: Mapping[str, Tensor]) -> Any:
    """Initialize a skorch net with weights, for prediction alone.

    Parameters
    ----------
    net : skorch.NeuralNet
        Not initialized yet.
    weights : dict of str to Tensor
        The ``state_dict`` of its module.

    Returns
    -------
    skorch.NeuralNet
        `net`. It cannot be trained, as after ``net.trim_for_prediction()``.

    Raises
    ------
    ValueError
        If the weights do not belong to such a module, or are not finite. The module is not
        built then, so that absurd sizes cost no memory.
    """
    weights = with_prior(weights)
    _check_sizes(net, weights)
    for name, values in weights.items():
        _check_values(name, values)
    net.optimizer = NoOptimizer
    with torch.random.fork_rng(devices=[]):  # first values are drawn, and written over
        net.initialize()
    net.module_.load_state_dict(weights)
    net.trim_for_prediction()
    return net


def _check_sizes(net: Any, weights: Mapping[str, Tensor]) -> None:
    settings = net.get_params_for("module")
    try:
        with torch.device("meta"), _NoRandomNumbers():  # sizes without memory
            network = net.module(**settings)
        needed = network.state_dict()
    except (RuntimeError, TypeError, OverflowError, MemoryError, ZeroDivisionError) as error:
        raise ValueError(
            f"no network can have these sizes: {_sizes(settings)} ({error})"
        ) from error
    may_lack = {
        f"{place}.{name}".removeprefix(".")
        for place, module in network.named_modules()
        for name in getattr(module, "later_buffers", ())
    }
    for name in sorted({*needed, *weights} - (may_lack - {*weights})):
        if name not in weights or name not in needed:
            where = "the weights" if name not in weights else "such a network"
            raise ValueError(
                f"{where} have no {name}: {_sizes(settings)} do not go with the weights"
            )
        ours, theirs = needed[name], weights[name]
        if ours.shape != theirs.shape or ours.is_floating_point() != theirs.is_floating_point():
            raise ValueError(
                f"{_sizes(settings)} do not go with the weights: {name} should be {_kind(ours)}, "
                f"and is {_kind(theirs)}"
            )


def _sizes(settings: Mapping[str, Any]) -> str:
    """The parameters that the sizes of a network follow from, for error messages."""
    return ", ".join(
        f"{name}={value!r}"
        for name, value in settings.items()
        if isinstance(value, (int, str, tuple)) and not isinstance(value, bool)
    )


def _kind(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} of shape {tuple(tensor.shape)}"


def _check_values(name: str, values: Tensor) -> None:
    if values.is_floating_point():
        if not torch.isfinite(values).all():
            raise ValueError(f"the weights {name} contain NaN or infinity")
        # A variance or scale that cannot be would make all that follows NaN.
        if name.endswith("running_var") and (values < 0).any():
            raise ValueError(f"the variances {name} must not be negative")
        if name.endswith("normalization.scale") and (values <= 0).any():
            raise ValueError(f"the scales {name} must be positive")
    elif (values < (1 if name.endswith("context") else 0)).any():
        raise ValueError(f"{name} must not be negative")
