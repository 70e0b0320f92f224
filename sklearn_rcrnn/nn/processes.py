"""One training in several processes, each of which learns from its share of every batch.

A process group of :mod:`torch.distributed` is all that this needs: where there is none, or one of
a single process, everything here leaves things as they are. The processes together take the steps
that one process would take with their batches put together: the sums that losses and
batch-norms are means of, and the gradients, are sums over all processes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

T = TypeVar("T")


def n_processes() -> int:
    """Number of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def process_rank() -> int:
    """Number of this process among them, from 0. Process 0 is the one that writes and prints."""
    return dist.get_rank() if n_processes() > 1 else 0


def of_first_process(value: T) -> T:
    """Give all processes the `value` of process 0."""
    if n_processes() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def of_all_processes(value: T) -> list[T]:
    """Collect the `value` of every process, in the order of their ranks."""
    values: list[Any] = [value] * n_processes()
    if n_processes() > 1:
        dist.all_gather_object(values, value)
    return values


def total(values: Tensor) -> Tensor:
    """Sum over all processes, for losses.

    The gradient is that of this process's own part: :func:`add_up_gradients` adds the parts.
    """
    return _Total.apply(values, False) if n_processes() > 1 else values


def add_up_gradients(parameters: Iterable[Tensor]) -> None:
    """Give each process the sum of the gradients of all."""
    learnt = [p for p in parameters if p.requires_grad] if n_processes() > 1 else []
    if not learnt:
        return
    for p in learnt:
        p.grad = torch.zeros_like(p) if p.grad is None else p.grad
    gradients = [p.grad for p in learnt if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    for gradient, part in zip(gradients, flat.split([p.numel() for p in learnt]), strict=True):
        gradient.copy_(part.view(gradient.shape))


@contextmanager
def trained_together(network: nn.Module) -> Iterator[None]:
    """Start from the weights of process 0, and normalize by the batches of all processes inside.

    Dropout and sampling differ from process to process from here on.
    """
    if n_processes() == 1:
        yield
        return
    for tensor in network.state_dict().values():
        first = tensor.contiguous()
        dist.broadcast(first, src=0)
        tensor.copy_(first)
    if process_rank():
        torch.manual_seed((torch.initial_seed() + process_rank()) % 2**63)
    norms = [layer for layer in network.modules() if isinstance(layer, _BatchNorm)]
    for norm in norms:
        norm.forward = partial(_normalize_by_all, norm)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for norm in norms:
            del norm.forward


class _Total(torch.autograd.Function):
    """A sum over processes; its gradient is summed too, or left as it is."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, gradients_too: bool) -> Tensor:  # type: ignore[override]
        ctx.gradients_too = gradients_too
        return _added(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return (_added(gradient) if ctx.gradients_too else gradient), None


def _added(values: Tensor) -> Tensor:
    values = values.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(values)
    return values


def _normalize_by_all(norm: _BatchNorm, x: Tensor) -> Tensor:
    """What a batch-norm makes of its input by the mean and variance over all processes.

    It takes the place of ``forward``. PyTorch's SyncBatchNorm does the same, but on graphics
    cards only.
    """
    if not norm.training:
        return type(norm).forward(norm, x)
    places = [d for d in range(x.dim()) if d != 1]
    shape = [1, -1] + [1] * (x.dim() - 2)
    n = _added(torch.tensor(x.numel() / x.shape[1], device=x.device))
    mean = _Total.apply(x.float().sum(places), True) / n
    centered = x.float() - mean.view(shape)
    variance = _Total.apply(centered.square().sum(places), True) / n
    if norm.running_mean is not None and norm.running_var is not None:
        assert norm.num_batches_tracked is not None
        norm.num_batches_tracked.add_(1)
        momentum = norm.momentum
        if momentum is None:
            momentum = 1 / float(norm.num_batches_tracked)
        with torch.no_grad():
            norm.running_mean.lerp_(mean, momentum)
            norm.running_var.lerp_(variance * n / (n - 1), momentum)
    centered = centered * (variance + norm.eps).rsqrt().view(shape)
    if norm.affine:
        centered = centered * norm.weight.view(shape) + norm.bias.view(shape)
    return centered.to(x.dtype)
