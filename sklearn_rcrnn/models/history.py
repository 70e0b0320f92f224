"""The losses of a training in the description of a model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

# This package never writes a description with more epochs or values than these.
_MOST_EPOCHS = 100_000
_MOST_VALUES = 200


def describe_history(history: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows of a skorch history, without those of single batches, as JSON has them."""
    return [
        {
            name: value if isinstance(value, (bool, int)) else round(float(value), 6)
            for name, value in row.items()
            if isinstance(value, (bool, int, float)) and math.isfinite(value)
        }
        for row in history
    ]


def check_history(rows: Any) -> list[dict[str, Any]]:
    """The rows of a history from a file; ValueError where they cannot be that."""
    if not isinstance(rows, list) or len(rows) > _MOST_EPOCHS:
        raise ValueError(f"history must be a list of at most {_MOST_EPOCHS} epochs")
    for i, row in enumerate(rows):
        if not isinstance(row, dict) or len(row) > _MOST_VALUES:
            raise ValueError(f"history[{i}] must be an object of at most {_MOST_VALUES} values")
        for name, value in row.items():
            if not isinstance(value, (bool, int, float)) or not math.isfinite(value):
                raise ValueError(f"history[{i}].{name} must be a finite number; got {value!r:.40}")
        if not isinstance(row.get("epoch"), int):
            raise ValueError(f"history[{i}].epoch must be an integer")
    return rows
