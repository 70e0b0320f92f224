"""Data frames of pandas, and similar ones, that are given in place of lists."""

from __future__ import annotations

from typing import Any


def one_column(values: Any, name: str) -> Any:
    """The list in a frame of one column, or in a column; anything else as it is.

    Parameters
    ----------
    values : pandas.DataFrame, pandas.Series, or anything else
    name : str
        What to call it in errors.

    Raises
    ------
    ValueError
        For a frame of several columns that are not all numbers: nobody knows which is meant.
    """
    if not hasattr(values, "iloc"):
        return values
    if values.ndim == 1:
        return values.tolist()
    if values.shape[1] == 1:
        return values.iloc[:, 0].tolist()
    if all(kind.kind in "fiu" for kind in values.dtypes):
        return values.to_numpy()
    columns = ", ".join(map(repr, values.columns))
    raise ValueError(
        f"{name} is a frame with the columns {columns}: give the one with the paths, "
        f"{name}[{values.columns[0]!r}] for example"
    )
