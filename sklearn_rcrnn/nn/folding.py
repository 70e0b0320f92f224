"""Networks for prediction, with batch-norms folded into the convolutions before them."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import nn
from torch.nn.utils import fuse_conv_bn_weights

from .crnn import CRNN

Module = TypeVar("Module", bound=nn.Module)


def folded(network: Module) -> Module:
    """The network for prediction: it gives the same and is quicker.

    A batch-norm that follows a convolution scales and shifts each of its channels by
    constants at prediction, which the weights of the convolution can do as well. Batch-norms
    that follow a sum stay as they are. To fold takes about a millisecond, so that it is done
    anew for each call, and later changes of the weights are never missed.

    Parameters
    ----------
    network : Module
        In evaluation mode, perhaps with a :class:`CRNN` in it. It is left as it is.

    Returns
    -------
    Module
        It shares with `network` all weights that are not folded.
    """
    if not any(isinstance(part, CRNN) for part in network.modules()):
        return network
    twin = _shallow_copy(network)
    if isinstance(twin, CRNN):
        twin.stem = _fold(twin.stem, twin.stem_norm)
        twin.stem_norm = nn.Identity()  # type: ignore[assignment]
        twin.blocks = nn.ModuleList(_shallow_copy(block) for block in twin.blocks).eval()
        for block in twin.blocks:
            block.conv1 = _fold(block.conv1, block.norm2)  # type: ignore[arg-type]
            block.norm2 = nn.Identity()
        return twin
    for name, part in network.named_children():
        setattr(twin, name, folded(part))
    return twin


def _fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    twin = _shallow_copy(convolution)
    twin.weight, twin.bias = fuse_conv_bn_weights(
        convolution.weight,
        convolution.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
    )
    return twin


def _shallow_copy(module: Module) -> Module:
    """Copy a module but not its parameters, so that its parts can be exchanged."""
    twin = copy.copy(module)
    for held in ("_parameters", "_buffers", "_modules"):
        twin.__dict__[held] = dict(module.__dict__[held])
    return twin
