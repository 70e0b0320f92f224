"""The device and the precision in which a network computes."""

from __future__ import annotations

import torch

from .parameters import Precision


def resolve_device(device: str) -> str:
    """The name of the device that `device` stands for: ``"auto"`` is CUDA if available, or CPU."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise ValueError(
            f'device must be "auto" or a name of PyTorch\'s; got {device!r}'
        ) from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise ValueError(f'device={device!r}, but PyTorch finds no CUDA here: use device="auto"')
    return device


def bfloat16_supported(device: str) -> bool:
    """Whether the device has instructions for bfloat16, so that it is faster than float32."""
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if kind == "cpu":
        return "AVX512" in torch.backends.cpu.get_cpu_capability() and _cpu_flag("avx512_bf16")
    return False


def use_bfloat16(precision: Precision, device: str, training: bool) -> bool:
    """Whether to compute in bfloat16.

    ``"auto"`` trains in bfloat16 where that is faster, and always predicts in float32, so that
    the events are the same on every machine and in every batch.
    """
    if precision == "auto":
        return training and bfloat16_supported(device)
    return precision == "bfloat16"


def prediction_threads(device: str) -> int:
    """Number of threads that predict side by side: PyTorch's on the CPU, one on other devices."""
    return torch.get_num_threads() if torch.device(device).type == "cpu" else 1


def _cpu_flag(flag: str) -> bool:
    try:
        with open("/proc/cpuinfo") as info:
            return any(flag in line.split() for line in info if line.startswith("flags"))
    except OSError:  # not Linux
        return False
