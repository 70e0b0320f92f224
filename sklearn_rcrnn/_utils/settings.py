"""Values that belong together and that a grid search may reach one by one."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator


class Settings(BaseEstimator):
    """A group of values that is itself a parameter of an estimator.

    It has scikit-learn's ``get_params`` and ``set_params``, so that a search reaches each
    value under the name ``<parameter>__<value>``. Subclasses store their arguments in
    ``__init__`` and list what is allowed in ``_parameter_constraints``; nothing is checked
    before :meth:`check`, which whoever uses the values calls. Two groups are equal when
    they are of one class and all their values are equal.
    """

    def check(self) -> None:
        """Raise sklearn.utils.InvalidParameterError, a ValueError, where a value cannot be."""
        self._validate_params()

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._key() == other._key()  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash((type(self), self._key()))

    def _key(self) -> tuple[Any, ...]:
        params = self.get_params(deep=False)
        # Lists become tuples, which compare in the same way and can be hashed.
        return tuple(
            (name, tuple(value) if isinstance(value, list) else value)
            for name, value in sorted(params.items())
        )
