"""Parameters that several classes share: written in each signature, stored in one place."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

_Init = TypeVar("_Init", bound=Callable[..., None])


def stores_parameters_of(base: type) -> Callable[[_Init], _Init]:
    """Decorate the ``__init__`` of a subclass that deals only with its own parameters.

    Those of its signature that ``base.__init__`` has, too, are handed to that one first. The
    signature stays as it is written: it is where scikit-learn, and people, read the names and
    defaults of parameters.

    Parameters
    ----------
    base : type
        The class whose ``__init__`` takes the shared parameters, by keyword.

    Examples
    --------
    >>> class Shape:
    ...     def __init__(self, *, color):
    ...         self.color = color
    >>> class Circle(Shape):
    ...     @stores_parameters_of(Shape)
    ...     def __init__(self, radius, *, color="red"):
    ...         self.radius = radius
    >>> vars(Circle(2.0))
    {'color': 'red', 'radius': 2.0}
    """
    shared = list(inspect.signature(base.__init__).parameters)[1:]  # type: ignore[misc]

    def decorate(init: _Init) -> _Init:
        signature = inspect.signature(init)

        @wraps(init)
        def store(self: Any, *args: Any, **kwargs: Any) -> None:
            try:
                given = signature.bind(self, *args, **kwargs)
            except TypeError as error:
                raise TypeError(f"{type(self).__name__}.__init__() {error}") from None
            given.apply_defaults()
            base.__init__(self, **{name: given.arguments[name] for name in shared})  # type: ignore[misc]
            init(self, *args, **kwargs)

        return store  # type: ignore[return-value]

    return decorate
