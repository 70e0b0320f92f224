"""scikit-learn, imported without what detection never uses of its dependencies."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

# What scikit-learn imports on the way to its estimators and pipelines, and only uses in functions
# that detection does not call: 0.7 s of processor time and 80 MB.
_SPARED = ("scipy.stats", "pandas")


class _Later(ModuleType):
    """Stands for a module that is imported when something in it is first asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__path__":  # who looks through all modules
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(import_module(self.__name__), name)


def import_sklearn() -> None:
    """Import scikit-learn's base and pipelines without large modules that they hardly use.

    scikit-learn keeps stand-ins, which import the modules when it uses them. For everybody
    else nothing has changed afterwards: the modules are imported as ever. It is for processes
    that detect events and do little else. Where scikit-learn or one of the modules is there
    already, or pandas is not installed, nothing is done about it.
    """
    if "sklearn" in sys.modules:
        return
    stand_ins = {
        name: _Later(name) for name in _SPARED if name not in sys.modules and find_spec(name)
    }
    sys.modules.update(stand_ins)
    try:
        import_module("sklearn.base")
        import_module("sklearn.pipeline")
    finally:
        for name, stand_in in stand_ins.items():
            if sys.modules.get(name) is stand_in:
                del sys.modules[name]
