"""Networks restored from saved weights, which are checked first; for prediction only."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
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


class LoadedNetwork:
    """What a loaded estimator has in the place of a skorch net, as long as nobody asks for one.

    Attributes
    ----------
    module_ : torch.nn.Module
        The network.
    device : str
        Where it lies.
    history : list of dict
        Losses of each epoch of the training.
    """

    def __init__(self, module_: nn.Module, device: str):
        self.module_ = module_
        self.device = device
        self.history: list[dict[str, Any]] = []

    def __getstate__(self) -> dict[str, Any]:
        """With the network on the processor, since not every machine has the device."""
        module = self.module_
        if torch.device(self.device).type != "cpu":
            module = copy.deepcopy(module).cpu()
        return {"module_": module, "device": "cpu", "history": self.history}


def restore(
    kind: Callable[..., nn.Module],
    settings: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    device: str,
) -> LoadedNetwork:
    """A network with weights that were saved, for prediction.

    Parameters
    ----------
    kind : class of torch.nn.Module
    settings : mapping
        Its arguments.
    weights : dict of str to Tensor
        Its ``state_dict``.
    device : str
        Where it shall lie.

    Returns
    -------
    LoadedNetwork

    Raises
    ------
    ValueError
        If the weights do not belong to such a module, or are not finite. The module is not
        built then, so that absurd sizes cost no memory.
    """
    weights = with_prior(weights)
    _check_sizes(kind, settings, weights)
    extractor = settings.get("extractor")
    constants: dict[str, Tensor] = {}
    if isinstance(extractor, nn.Module):
        constants = {f"extractor.{name}": value for name, value in extractor.named_buffers()}
    for name, values in weights.items():
        # What the user's module has as well, such as a mask of minus infinity, is as it should be.
        if name not in constants or not torch.equal(values, constants[name].cpu().to(values)):
            _check_values(name, values)
    with torch.random.fork_rng(devices=[]):  # initial values are drawn, and then replaced
        network = kind(**settings)
    network.load_state_dict(weights)
    return LoadedNetwork(network.to(device).eval(), device)


def _check_sizes(
    kind: Callable[..., nn.Module], settings: Mapping[str, Any], weights: Mapping[str, Tensor]
) -> None:
    try:
        with torch.device("meta"), _NoRandomNumbers():  # computes sizes without allocating memory
            network = kind(**settings)
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
    """Format the parameters that determine the sizes of a network, for error messages."""
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
        # An impossible variance or scale would turn all results into NaN.
        if name.endswith("running_var") and (values < 0).any():
            raise ValueError(f"the variances {name} must not be negative")
        if name.endswith("normalization.scale") and (values <= 0).any():
            raise ValueError(f"the scales {name} must be positive")
    elif (values < (1 if name.endswith("context") else 0)).any():
        raise ValueError(f"{name} must not be negative")
