"""Tell one training from another, in this process and in a later one."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType, MethodType
from typing import Any

import joblib
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from torch import Tensor, nn

# Parameters that may differ without the training counting as another one.
_FREE = ("memory", "verbose")
# Kinds of values that a module gives names to, for its functions to use.
_CONSTANTS = (bool, int, float, complex, str, bytes, tuple, list, dict, np.ndarray, Tensor)
# Attributes that every module has, whatever its class.
_OF_ALL_MODULES = frozenset(vars(nn.Module()))


def identity(value: Any, within: tuple[int, ...] = ()) -> Any:
    """A structure of plain values and arrays that stands for a parameter.

    Its ``joblib.hash`` is the same in all processes, and differs where a training would: by
    the class and parameters of an estimator; by the weights and attributes of a module; by the
    code of a function, its defaults, the variables of its closure, and the constants and functions
    of its own module that it names; by the methods and constants of a class, unless it comes from
    an installed package; by what pickle would keep of any other object. What cannot be pickled,
    such as a lock, counts by its class.

    Parameters
    ----------
    value : any
    within : tuple of int, default=()
        Identities of the objects that hold the value, as one may hold itself.
    """
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Tensor):
        return value.detach().cpu().float().numpy()
    if isinstance(value, np.ndarray) and value.dtype != object:
        return np.asarray(value)
    if id(value) in within:
        return "itself", len(within)
    within = (*within, id(value))

    def of(part: Any) -> Any:
        return identity(part, within)

    if isinstance(value, Mapping):
        return {key: of(own) for key, own in value.items()}
    if isinstance(value, (list, tuple)):
        return [of(own) for own in value]
    if isinstance(value, (set, frozenset)):
        return sorted(joblib.hash(of(own)) for own in value)
    if isinstance(value, FrozenEstimator):
        return _learnt(value.estimator, within)
    if isinstance(value, BaseEstimator):
        return of(type(value)), of(_params_that_count(value))
    if isinstance(value, nn.Module):
        parts = list(value.named_modules())
        return [(name, of(type(part)), of(_state_of(part))) for name, part in parts]
    return _code_or_object(value, of)


def _learnt(fitted: Any, within: tuple[int, ...]) -> Any:
    """What stands for a frozen estimator, of this package or of any other, fitted or not."""

    def of(part: Any) -> Any:
        return identity(part, within)

    network = getattr(getattr(fitted, "net_", None), "module_", None)
    if isinstance(network, nn.Module):
        return of(fitted), fitted.classes_.tolist(), of(dict(network.state_dict()))

    def with_state(part: Any) -> Any:  # also of the steps of a pipeline
        if isinstance(part, BaseEstimator):
            return of(type(part)), _code_or_object(part, with_state)
        if isinstance(part, Mapping):
            return {key: with_state(own) for key, own in part.items()}
        return [with_state(own) for own in part] if isinstance(part, (list, tuple)) else of(part)

    return with_state(fitted)


def _code_or_object(value: Any, of: Any) -> Any:
    if isinstance(value, partial):
        return "partial", of(value.func), of(value.args), of(value.keywords)
    if isinstance(value, MethodType):
        return value.__func__.__qualname__, of(value.__self__), of(value.__func__)
    if isinstance(value, FunctionType):
        around = [_content(cell) for cell in value.__closure__ or ()]
        given = [value.__defaults__, value.__kwdefaults__, around, _named_by(value)]
        return name_of(value), of(value.__code__), of(given)
    if isinstance(value, CodeType):
        return value.co_code, value.co_names, of(value.co_consts)
    if isinstance(value, type):
        return name_of(value), of(_code_of(value))
    if hasattr(value, "__qualname__"):  # a function of a library in C
        return name_of(value)
    try:
        made = value.__reduce_ex__(4)
    except (TypeError, AttributeError, RuntimeError, pickle.PicklingError):
        return of(type(value))
    if isinstance(made, str):
        return of(type(value)), made
    make, arguments, *state = made
    return of(make), of(arguments), [of(_listed(part)) for part in state[:3]]


def name_of(code: Any) -> str:
    """The name of a function or class, and of its module."""
    return f"{code.__module__}.{code.__qualname__}"


def _code_of(kind: type) -> dict[str, Any]:
    """The methods and constants of a class of the user's own, and of those that it is made from."""
    code: dict[str, Any] = {}
    for own in filter(_is_own, kind.__mro__):
        for name, member in vars(own).items():
            function = member.fget if isinstance(member, property) else member
            function = getattr(function, "__func__", function)
            constant = isinstance(function, _CONSTANTS) and not name.startswith("__")
            if constant or isinstance(function, FunctionType):
                code[f"{name_of(own)}.{name}"] = function
    return code


def _is_own(kind: type) -> bool:
    """Whether a class is the user's, and not one of Python or of an installed package."""
    name = kind.__module__
    top = name.partition(".")[0]
    if top == __name__.partition(".")[0] or (top in sys.stdlib_module_names and top != "__main__"):
        return False
    file = getattr(sys.modules.get(name), "__file__", None) or ""
    return not {"site-packages", "dist-packages"} & {*Path(file).parts}


def _params_that_count(estimator: BaseEstimator) -> dict[str, Any]:
    params = {k: v for k, v in estimator.get_params(deep=False).items() if k not in _FREE}
    if callbacks := params.pop("callbacks", None):
        params["callbacks"] = [_callback(own) for own in callbacks]
    return params


def _callback(callback: Any) -> Any:
    """Describe a callback by its class and its plain parameters, as others are loggers and such."""
    if isinstance(callback, tuple):
        return [callback[0], _callback(callback[1])]
    if isinstance(callback, type):
        return name_of(callback)
    params = callback.get_params(deep=False) if hasattr(callback, "get_params") else {}
    code = (type, FunctionType, MethodType, partial)
    plain = (bool, int, float, str, list, tuple, dict, type(None), np.generic, *code)
    return type(callback), {k: v for k, v in params.items() if isinstance(v, plain)}


def _state_of(module: nn.Module) -> dict[str, Any]:
    """Weights and attributes of a module itself, without those of the modules in it."""
    own = {name: value for name, value in vars(module).items() if name not in _OF_ALL_MODULES}
    weights = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
    return {**own, **dict(weights)}


def _named_by(function: FunctionType) -> dict[str, Any]:
    """The constants, and the functions of the same module, that the code of a function names."""
    names: set[str] = set()
    codes = [function.__code__]
    while codes:
        code = codes.pop()
        names.update(code.co_names)
        codes += [own for own in code.co_consts if isinstance(own, CodeType)]
    known = function.__globals__
    values = {name: known[name] for name in sorted(names) if name in known}
    return {
        name: value
        for name, value in values.items()
        if isinstance(value, _CONSTANTS)
        or (isinstance(value, FunctionType) and value.__module__ == function.__module__)
    }


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a name that has no value yet
        return None


def _listed(part: Any) -> Any:
    return list(part) if isinstance(part, Iterator) else part
