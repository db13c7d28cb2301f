"""From tensors to Python and NumPy, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from scd_analysis.exact import numbers
from scd_analysis.exact.numbers import is_random, to_float
from scd_analysis.exact.numpy_draws import VariateArray, holds_objects
from scd_analysis.exact.refusals import refuse
from scd_analysis.exact.run import active, current
from scd_analysis.exact.torch.entries import write_terms
from scd_analysis.exact.torch.shadow import random_ids, read_terms, scalar_term, shadow_of, tensors_in


def _item(func: Any, args: Any, kwargs: Any) -> Any:
    term = scalar_term(args[0])
    return func(*args, **kwargs) if term is None else term


def _float(func: Any, args: Any, kwargs: Any) -> Any:
    term = scalar_term(args[0])
    return func(*args, **kwargs) if term is None else to_float(term)


def _int(func: Any, args: Any, kwargs: Any) -> Any:
    term = scalar_term(args[0])
    return func(*args, **kwargs) if term is None else int(term)


def _bool(func: Any, args: Any, kwargs: Any) -> Any:
    term = scalar_term(args[0])
    return func(*args, **kwargs) if term is None else numbers.compare("ne", term, 0)


def _nested(entries: list[Any], shape: tuple[int, ...]) -> Any:
    if not shape:
        return entries[0]
    if len(shape) == 1:
        return entries
    step = len(entries) // shape[0] if shape[0] else 0
    return [_nested(entries[k * step : (k + 1) * step], shape[1:]) for k in range(shape[0])]


def _tolist(func: Any, args: Any, kwargs: Any) -> Any:
    if random_ids(args[0]) is None:
        return func(*args, **kwargs)
    run = active()
    assert run is not None  # it has a shadow
    return _nested(read_terms(run, args[0]), tuple(args[0].shape))


def _numpy(func: Any, args: Any, kwargs: Any) -> Any:
    """Give a read-only array of objects: writing to it would not reach the tensor."""
    run = active()
    if run is None:
        return func(*args, **kwargs)
    if random_ids(args[0]) is None:
        shadow_of(run).share(args[0])
        return func(*args, **kwargs)
    array = np.empty(args[0].numel(), dtype=object)
    array[:] = read_terms(run, args[0])
    array = array.reshape(tuple(args[0].shape)).view(VariateArray)
    array.setflags(write=False)
    return array


def _any_random(data: Any) -> bool:
    if isinstance(data, np.ndarray):
        return holds_objects(data) and any(is_random(entry) for entry in data.flat)
    if isinstance(data, (list, tuple)):
        return any(_any_random(entry) for entry in data)
    return is_random(data)


_COPIES = torch.tensor


def _make(func: Any, args: Any, kwargs: Any) -> Any:
    """Make a tensor of numbers and variates."""
    data = args[0] if args else kwargs.get("data")
    run = active()
    if run is None:
        return func(*args, **kwargs)
    if not _any_random(data):
        out = func(*args, **kwargs)
        if isinstance(data, np.ndarray) and func is not _COPIES:
            shadow_of(run).share(out)
        return out
    array = np.array(data, dtype=object)
    options = {name: kwargs[name] for name in ("dtype", "device") if kwargs.get(name) is not None}
    if not options.get("dtype", torch.float64).is_floating_point:
        refuse("torch.tensor", "variates do not fit into a tensor of integers")
    flat = [entry if is_random(entry) else float(entry) for entry in array.reshape(-1)]
    from_numpy = isinstance(data, np.ndarray) and "dtype" not in options
    if from_numpy:
        options["dtype"] = torch.float64
    out = torch.zeros(array.shape, **options)
    write_terms(run, out, range(len(flat)), flat)
    return out


def _refused(func: Any, args: Any, kwargs: Any) -> Any:
    if args and isinstance(args[0], torch.Tensor) and random_ids(args[0]) is not None:
        refuse(getattr(func, "__name__", str(func)), "it looks at the value of a variate")
    return func(*args, **kwargs)


def _called_back(func: Any, args: Any, kwargs: Any) -> Any:
    """Refuse what hands the values in memory to a function of Python's, without any operation of PyTorch's."""
    if any(random_ids(value) is not None for value in tensors_in((*args, *kwargs.values()))):
        refuse(func.__name__, "it hands the values of variates to a function")
    return func(*args, **kwargs)


def _shown(func: Any, args: Any, kwargs: Any) -> Any:
    if isinstance(args[0], torch.Tensor) and random_ids(args[0]) is not None:
        refuse("formatting a tensor of variates", "their values are not decided")
    return func(*args, **kwargs)


METHODS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "item": _item,
    "__float__": _float,
    "__int__": _int,
    "__index__": _int,
    "__bool__": _bool,
    "tolist": _tolist,
    "numpy": _numpy,
    "__array__": _numpy,
    "__repr__": _shown,
    "__format__": _shown,
    "__complex__": _refused,
    "__reduce_ex__": _refused,
    "__deepcopy__": _refused,
    "data_ptr": _refused,
    "apply_": _called_back,
    "map_": _called_back,
    "map2_": _called_back,
    "__dlpack__": _refused,
}
"""Methods of tensors that never reach the dispatcher."""

FACTORIES = (torch.tensor, torch.as_tensor, torch.asarray, torch.from_numpy)
"""Functions that make tensors of numbers, arrays or variates."""


def stand_in(original: Any, handler: Callable[[Any, Any, Any], Any]) -> Callable[..., Any]:
    """Give a function that asks ``handler`` while a run is active."""

    def function(*args: Any, **kwargs: Any) -> Any:
        return original(*args, **kwargs) if current() is None else handler(original, args, kwargs)

    function.__name__ = original.__name__
    return function


def methods() -> dict[str, Callable[..., Any]]:
    """Give stand-ins for the methods of ``torch.Tensor`` that look at values."""
    return {name: stand_in(getattr(torch.Tensor, name), handler) for name, handler in METHODS.items()}


def factories() -> list[tuple[Any, Any]]:
    """Give stand-ins for the functions that make tensors."""
    return [(original, stand_in(original, _make)) for original in FACTORIES]
