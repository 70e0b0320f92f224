"""The network as one ONNX graph, from features to events, non-maximum suppression included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .nms import nms
from .rcrnn import RCRNN

# Intervals with a lower score take no part in the suppression.
_NEVER = -1e30


@torch.library.custom_op("sklearn_rcrnn::survivors", mutates_args=())
def survivors(intervals: Tensor, scores: Tensor, threshold: float, most: int) -> Tensor:
    """Which intervals (n_rows, n, 2) suppression keeps, at most `most` of each row."""
    indices, kept = nms(intervals, scores, threshold, most, scores > _NEVER)
    return torch.zeros_like(scores, dtype=torch.bool).scatter_(1, indices, kept)


@survivors.register_fake
def _(intervals: Tensor, scores: Tensor, threshold: float, most: int) -> Tensor:
    return torch.empty_like(scores, dtype=torch.bool)


def onnx_survivors(intervals: Any, scores: Any, threshold: float, most: int) -> Any:
    """:func:`survivors` in operators of ONNX, for ``custom_translation_table``."""
    import onnxscript

    op: Any = onnxscript.opset18
    start, end = op.Split(intervals, axis=-1, num_outputs=2)
    zeros = op.Sub(start, start)
    # Intervals become boxes of height one, whose IoU is that of the intervals.
    boxes = op.Concat(zeros, start, op.Add(zeros, op.Constant(value_float=1.0)), end, axis=-1)
    chosen = op.NonMaxSuppression(
        boxes,
        op.Unsqueeze(scores, op.Constant(value_ints=[1])),
        op.Constant(value_ints=[most]),
        op.Constant(value_floats=[threshold]),
        op.Constant(value_floats=[_NEVER]),
    )
    row_and_place = op.Gather(chosen, op.Constant(value_ints=[0, 2]), axis=1)
    ones = op.Expand(
        op.Constant(value_float=1.0),
        op.Slice(
            op.Shape(chosen),
            op.Constant(value_ints=[0]),
            op.Constant(value_ints=[1]),
        ),
    )
    return op.Greater(
        op.ScatterND(op.Sub(scores, scores), row_and_place, ones), op.Constant(value_float=0.5)
    )


@torch.library.custom_op("sklearn_rcrnn::recurrence", mutates_args=())
def recurrence(x: Tensor, weights: list[Tensor]) -> Tensor:
    """A GRU that starts from zero, on (1, n_steps, n), with four weights for each direction."""
    both = len(weights) == 8
    state = x.new_zeros(len(weights) // 4, 1, weights[1].shape[1])
    return torch._VF.gru(x, state, weights, True, 1, 0.0, False, both, True)[0]  # type: ignore[attr-defined]


@recurrence.register_fake
def _(x: Tensor, weights: list[Tensor]) -> Tensor:
    return x.new_empty(1, x.shape[1], len(weights) // 4 * weights[1].shape[1])


def onnx_recurrence(x: Any, weights: Any) -> Any:
    """:func:`recurrence` in operators of ONNX, where the gates have another order."""
    import onnxscript

    op: Any = onnxscript.opset18

    def gates(weight: Any) -> Any:
        reset, update, new = op.Split(weight, num_outputs=3)
        return op.Concat(update, reset, new, axis=0)

    def directions(arrays: list[Any]) -> Any:
        zero = op.Constant(value_ints=[0])
        return op.Concat(*(op.Unsqueeze(array, zero) for array in arrays), axis=0)

    ordered = [gates(weight) for weight in weights]
    biases = [op.Concat(*pair, axis=0) for pair in zip(ordered[2::4], ordered[3::4], strict=True)]
    out, _ = op.GRU(
        op.Transpose(x, perm=[1, 0, 2]),
        directions(ordered[0::4]),
        directions(ordered[1::4]),
        directions(biases),
        hidden_size=weights[1].shape[1],
        direction="bidirectional" if len(weights) == 8 else "forward",
        linear_before_reset=1,
    )
    # (steps, directions, 1, units) to (1, steps, directions * units)
    return op.Reshape(op.Transpose(out, perm=[2, 0, 1, 3]), op.Constant(value_ints=[0, 0, -1]))


class _Recurrence(nn.Module):
    """Replacement for a GRU, which the exporter can only export for a fixed length."""

    def __init__(self, gru: nn.GRU):
        super().__init__()
        self.weights = nn.ParameterList(gru._flat_weights)

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        return recurrence(x, list(self.weights)), None


TRANSLATIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.ops.sklearn_rcrnn.survivors.default: onnx_survivors,
    torch.ops.sklearn_rcrnn.recurrence.default: onnx_recurrence,
}


def _suppress(
    intervals: Tensor, scores: Tensor, threshold: float, most: int, valid: Tensor
) -> tuple[Tensor, Tensor]:
    """:func:`~sklearn_rcrnn.nn.nms.nms`, with always `most` places in its result."""
    # In a graph, shapes cannot depend on values, so clips with fewer intervals are padded.
    intervals = F.pad(intervals, (0, 0, 0, most))
    scores = F.pad(scores.masked_fill(~valid, 10 * _NEVER), (0, most), value=10 * _NEVER)
    kept = survivors(intervals, scores, threshold, most)
    values, places = torch.topk(scores.masked_fill(~kept, 10 * _NEVER), most, dim=1)
    found = values > _NEVER
    return torch.where(found, places, 0), found


class ExportedRCRNN(nn.Module):
    """A network that turns the features of a clip into its scored intervals.

    Parameters
    ----------
    network : RCRNN
        It is changed here, so give a copy.
    step : float
        Seconds in a step of the feature map.
    nms_threshold : float or None
        IoU of two intervals of one label above which the one of lower score is dropped.
        None keeps all.
    """

    def __init__(self, network: RCRNN, step: float, nms_threshold: float | None):
        super().__init__()
        self.network = network.eval()
        if isinstance(gru := getattr(network.extractor, "gru", None), nn.GRU):
            network.extractor.gru = _Recurrence(gru)
        self.step = step
        self.nms_threshold = nms_threshold

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Intervals (n, 2) in seconds, their labels (n,) and scores (n,), by falling score.

        All three are 0 in places that hold no interval.

        Parameters
        ----------
        features : float32 Tensor of shape (n_frames, n_bands)
        """
        found = self.network(features[None], suppress=_suppress)
        intervals = found.intervals[0].transpose(0, 1)
        wide = intervals[..., 1] > intervals[..., 0]
        scores = found.scores[0].T * (found.valid & wide)
        n_labels, n = scores.shape
        if self.nms_threshold is not None:
            # Each label is a row of its own, since suppression is within a label.
            masked = scores.masked_fill(scores <= 0, 10 * _NEVER)
            scores = scores * survivors(intervals, masked, self.nms_threshold, n)
        ordered, places = torch.topk(scores.flatten(), n_labels * n)
        there = ordered > 0
        seconds = intervals.reshape(-1, 2)[places] * self.step
        return seconds * there[:, None], places // n * there, ordered
