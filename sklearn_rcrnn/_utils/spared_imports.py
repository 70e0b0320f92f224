"""PyTorch and scikit-learn, imported without the parts of them that detection never uses."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

# What the two import on their way, and use only in functions that detection does not call.
# With these PyTorch can export and compile networks: 0.4 s of processor time.
_SPARED_BY_TORCH = ("torch._meta_registrations",)
# Statistics and tables of scikit-learn's functions: 0.7 s and 80 MB.
_SPARED_BY_SKLEARN = ("scipy.stats", "pandas")

# Whether nothing runs in this process but a command of the package. A network of somebody's own
# might be compiled, for which PyTorch has to be whole.
is_command = False


class _Later(ModuleType):
    """Stand-in for a module, which is imported when an attribute is first asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__path__":  # by code that inspects modules
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(import_module(self.__name__), name)


def import_for_detection() -> None:
    """Import PyTorch, and scikit-learn's base and pipelines, without what they hardly use.

    This is for processes that detect events and do little else. scikit-learn keeps stand-ins,
    which import the modules when it uses them; other code imports the modules as ever. PyTorch
    cannot catch up on its part later, so that part is left out only in the process of a command.
    Modules that are imported already, or are not installed, are left as they are.
    """
    if is_command and "torch" not in sys.modules:
        with _standing_in(_SPARED_BY_TORCH):
            import_module("torch")
    if "sklearn" not in sys.modules:
        with _standing_in(_SPARED_BY_SKLEARN):
            import_module("sklearn.base")
        _import_pipeline()


def _import_pipeline() -> None:
    """Import scikit-learn's pipelines with the only class of its preprocessing that they use.

    The other classes import the splines and optimizers of SciPy: 0.2 s of processor time.
    """
    package = find_spec("sklearn.preprocessing")
    assert package is not None
    with _standing_in(["sklearn.preprocessing"]) as (stand_in,):
        stand_in.__path__ = list(package.submodule_search_locations or ())
        module = import_module("sklearn.preprocessing._function_transformer")
        stand_in.FunctionTransformer = module.FunctionTransformer  # type: ignore[attr-defined]
        import_module("sklearn.pipeline")


@contextmanager
def _standing_in(names: Sequence[str]) -> Iterator[Sequence[ModuleType]]:
    """A context in which stand-ins are what is imported for modules that are not there yet."""
    stand_ins = [
        _Later(name) for name in names if name not in sys.modules and find_spec(name.split(".")[0])
    ]
    sys.modules.update({stand_in.__name__: stand_in for stand_in in stand_ins})
    try:
        yield stand_ins
    finally:
        for stand_in in stand_ins:
            if sys.modules.get(stand_in.__name__) is stand_in:
                del sys.modules[stand_in.__name__]
