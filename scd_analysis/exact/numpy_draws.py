"""NumPy's generators, old and new, with their draws enumerated."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import numpy as np

from scd_analysis.exact import discrete
from scd_analysis.exact.arithmetic import normalised
from scd_analysis.exact.numbers import is_random, new_variate, unary
from scd_analysis.exact.refusals import refuse
from scd_analysis.exact.run import REPEATED_NOISE, Run, active

Draw = Callable[..., Any]

_SOUGHT = {"searchsorted": 1, "digitize": 0}
"""Where NumPy's functions that look values up have those values."""


_type_in_memory: Any = vars(np.ndarray)["dtype"].__get__


def holds_objects(array: Any) -> bool:
    """Tell an array of objects, whatever it says of itself."""
    return bool(_type_in_memory(array).kind == "O")


class VariateArray(np.ndarray[Any, Any]):
    """An array of variates; converting it to another float type leaves them as they are.

    In memory its entries are objects. It says that they are floats, since code that asks chooses a path in silence.
    """

    @property
    def dtype(self) -> Any:
        """The type that the entries stand for."""
        return np.dtype(np.float64) if holds_objects(self) else _type_in_memory(self)

    def astype(self, dtype: Any, *args: Any, **kwargs: Any) -> Any:
        """Convert, unless variates would have to become floats."""
        if holds_objects(self) and np.issubdtype(np.dtype(dtype), np.floating):
            return self.copy()
        return super().astype(dtype, *args, **kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """Look variates up one by one: NumPy compares those of an array with each other, to save steps."""
        place = _SOUGHT.get(func.__name__)
        if place is None or len(args) <= place or not isinstance(args[place], VariateArray) or args[place].size < 2:
            return marked(super().__array_function__(func, types, args, kwargs))
        sought = args[place]
        found = [func(*args[:place], value, *args[place + 1 :], **kwargs) for value in sought.reshape(-1).tolist()]
        return np.array(found).reshape(sought.shape)


def marked(array: Any) -> Any:
    """Give an array of variates its class; anything else as it is."""
    if type(array) is np.ndarray and holds_objects(array) and any(is_random(entry) for entry in array.flat):
        return array.view(VariateArray)
    return array


def array_functions() -> list[tuple[Any, Any]]:
    """Give stand-ins for the functions that make arrays of what they are given, for code outside NumPy."""

    def stand_in(original: Any) -> Any:
        def function(*args: Any, **kwargs: Any) -> Any:
            made = original(*args, **kwargs)
            if not holds_objects(made) or active() is None or _within_numpy(sys._getframe(1)):
                return made
            return marked(made)

        function.__name__ = original.__name__
        return function

    return [(original, stand_in(original)) for original in (np.array, np.asarray, np.ascontiguousarray)]


def _within_numpy(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).partition(".")[0] == "numpy"


def _running() -> Run:
    run = active()
    if run is None:
        refuse("a draw", "its enumeration is over, or runs on another thread")
    return run


def _shaped(size: Any, draw: Callable[[], Any], *, symbolic: bool = False) -> Any:
    """Draw once, or fill an array; variates stand in arrays of objects."""
    if size is None:
        return draw()
    out = np.empty(size, dtype=object if symbolic else np.int64)
    flat = out.reshape(-1)
    for place in range(flat.size):
        flat[place] = draw()
    return flat.reshape(out.shape).view(VariateArray) if symbolic else flat.reshape(out.shape)


def _broadcast(size: Any, *parameters: Any) -> tuple[Any, list[tuple[Any, ...]]]:
    arrays = np.broadcast_arrays(*(np.asarray(parameter) for parameter in parameters))
    shape = arrays[0].shape if size is None else np.empty(size, dtype=bool).shape
    rows = zip(*(np.broadcast_to(array, shape).reshape(-1).tolist() for array in arrays), strict=True)
    return (None if size is None and not shape else shape), list(rows)


def _filled(size: Any, values: Sequence[Any], *, symbolic: bool = True) -> Any:
    values = iter(values)  # type: ignore[assignment]
    return _shaped(size, lambda: next(values), symbolic=symbolic)  # type: ignore[call-overload]


def random(size: Any = None, dtype: Any = None, out: Any = None) -> Any:
    """Uniform variates on [0, 1)."""
    del dtype
    if out is not None:
        refuse("random(out=...)", "an array of floats cannot hold variates")
    run = _running()
    return _shaped(size, lambda: new_variate(run), symbolic=True)


def uniform(low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
    """Uniform variates on [low, high)."""
    run = _running()
    shape, rows = _broadcast(size, low, high)
    return _filled(shape, [a + (b - a) * new_variate(run) for a, b in rows])


def exponential(scale: Any = 1.0, size: Any = None) -> Any:
    """Exponential variates of mean ``scale``."""
    run = _running()
    shape, rows = _broadcast(size, scale)
    return _filled(shape, [unary("log", new_variate(run)) * -mean for (mean,) in rows])


def standard_exponential(size: Any = None, dtype: Any = None, method: Any = None, out: Any = None) -> Any:
    """Exponential variates of mean one."""
    del dtype, method
    if out is not None:
        refuse("standard_exponential(out=...)", "an array of floats cannot hold variates")
    return exponential(1.0, size)


def gumbel(loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:
    """Gumbel variates."""
    run = _running()
    shape, rows = _broadcast(size, loc, scale)
    return _filled(shape, [unary("log", -unary("log", new_variate(run))) * -width + centre for centre, width in rows])


def integers(low: Any, high: Any = None, size: Any = None, dtype: Any = np.int64, endpoint: bool = False) -> Any:
    """Integers, all equally likely."""
    run = _running()
    if high is None:
        low, high = 0, low
    shape, rows = _broadcast(size, low, high)
    values = [int(a) + discrete.fair(run, int(b) - int(a) + bool(endpoint)) for a, b in rows]
    found = _filled(shape, values, symbolic=False)
    return np.dtype(dtype).type(found) if shape is None else found.astype(dtype)


def random_integers(low: int, high: int | None = None, size: Any = None) -> Any:
    """Integers from ``low`` to ``high`` inclusive."""
    return integers(1, low, size, endpoint=True) if high is None else integers(low, high, size, endpoint=True)


def choice(a: Any, size: Any = None, replace: bool = True, p: Any = None, axis: int = 0, shuffle: bool = True) -> Any:
    """Elements of ``a`` (or of ``range(a)``), with or without replacement."""
    del shuffle
    run = _running()
    population = np.arange(a) if np.ndim(a) == 0 else np.asarray(a)
    number = population.shape[axis]
    if number == 0:
        raise ValueError("a cannot be empty unless no samples are taken")
    weights = [1] * number if p is None else np.asarray(p).reshape(-1).tolist()
    if any(is_random(weight) for weight in weights):
        refuse("choice", "its weights are themselves random and undecided")
    if len(weights) != number or abs(float(sum(weights)) - (number if p is None else 1)) > 1e-6:
        raise ValueError("probabilities do not sum to 1, or 'a' and 'p' differ in size")
    law = normalised(weights, run.walk.rational, "p")
    count = 1 if size is None else int(np.prod(size))
    if replace:
        found = [discrete.categorical(run, law) for _ in range(count)]
    elif sum(weight > 0 for weight in weights) < count:
        raise ValueError("Cannot take a larger sample than population when replace is False")
    else:
        found = discrete.without_replacement(run, law, count)
    index = np.asarray(found[0] if size is None else found, dtype=np.int64)
    return population.take(index if size is None else index.reshape(size), axis=axis)


def multinomial(n: int, pvals: Any, size: Any = None) -> Any:
    """Counts of ``n`` independent draws."""
    run = _running()
    table = np.asarray(pvals, dtype=np.float64)
    if table.ndim != 1:
        refuse("multinomial", "only one law at a time is followed")
    law = normalised(table.tolist(), run.walk.rational, "pvals")
    if size is None:
        return np.asarray(discrete.counts(run, int(n), law), dtype=np.int64)
    shape = np.empty(size, dtype=bool).shape
    rows = [discrete.counts(run, int(n), law) for _ in range(int(np.prod(shape)))]
    return np.asarray(rows, dtype=np.int64).reshape(*shape, len(law))


def binomial(n: Any, p: Any, size: Any = None) -> Any:
    """Numbers of successes."""
    run = _running()
    shape, rows = _broadcast(size, n, p)
    return _filled(shape, [discrete.binomial(run, int(k), q) for k, q in rows], symbolic=False)


def permuted(x: Any, *, axis: int | None = None, out: Any = None) -> Any:
    """A permuted copy, each row along ``axis`` in an order of its own."""
    array = np.asarray(x)
    if array.ndim != 1 or axis not in (None, 0, -1) or out is not None:
        refuse("permuted", "only a copy of an array of one dimension is followed")
    return permutation(array)


def permutation(x: Any, axis: int = 0) -> Any:
    """A permuted copy."""
    run = _running()
    array = np.arange(x) if np.ndim(x) == 0 else np.asarray(x)
    return array.take(discrete.permutation(run, array.shape[axis]), axis=axis)


def shuffle(x: Any, axis: int = 0) -> None:
    """Permute in place."""
    run = _running()
    if axis != 0:
        refuse("shuffle", "only along the first axis is followed")
    order = discrete.permutation(run, len(x))
    if isinstance(x, np.ndarray):
        x[...] = x[order]
    else:
        x[:] = [x[place] for place in order]


def seed(value: Any = None) -> None:
    """Ignore a seed."""
    if value is not None:
        _running().seed("numpy.random", value, "numpy, legacy")


def set_state(*_: Any, **__: Any) -> None:
    """Refuse to go back."""
    _running()
    refuse("numpy's set_state", REPEATED_NOISE)


def rand(*shape: int) -> Any:
    """Uniform variates of the given shape."""
    return random(shape or None)


_COMMON: dict[str, Draw] = {
    "random": random,
    "uniform": uniform,
    "exponential": exponential,
    "standard_exponential": standard_exponential,
    "gumbel": gumbel,
    "choice": choice,
    "multinomial": multinomial,
    "binomial": binomial,
    "permutation": permutation,
    "shuffle": shuffle,
}
GENERATOR: dict[str, Draw] = {**_COMMON, "integers": integers, "permuted": permuted}
LEGACY: dict[str, Draw] = {
    **_COMMON,
    "rand": rand,
    "random_sample": random,
    "randint": lambda low, high=None, size=None, dtype=np.int64: integers(low, high, size, dtype),
    "random_integers": random_integers,
    "seed": seed,
    "set_state": set_state,
}
LEGACY["sample"] = LEGACY["ranf"] = LEGACY["random_sample"]
_LEGACY = np.random.RandomState  # before it is replaced
_PLAIN = frozenset({"bit_generator", "spawn", "get_state", "get_bit_generator", "set_bit_generator"})


def refusal(name: str) -> Draw:
    """Make a method that refuses."""

    def refused(*_: Any, **__: Any) -> Any:
        _running()
        refuse(f"numpy's {name}", "its values can be enumerated neither by branching nor as uniform variates")

    return refused


def methods_of(original: type, followed: dict[str, Draw]) -> dict[str, Draw]:
    """Give every public drawing method of a generator class: the followed ones, and refusals for the others."""
    names = [name for name in dir(original) if not name.startswith("_") and name not in _PLAIN]
    return {name: followed.get(name) or refusal(name) for name in names}


def _method(function: Draw) -> Draw:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        del self
        return function(*args, **kwargs)

    return method


class _AcceptsOriginals(type):
    """``isinstance(rng, np.random.Generator)`` holds for originals too while the class is replaced."""

    _original: type

    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, cls._original)


def symbolic_class(original: type, followed: dict[str, Draw]) -> type:
    """Make a subclass of ``original`` whose draws are enumerated; arguments of its constructor are ignored."""

    def make(self: Any, *args: Any, **kwargs: Any) -> None:
        run = active()
        given = [*args, *kwargs.values(), None][0]
        if run is None or given is None or isinstance(given, (np.random.Generator, np.random.RandomState)):
            return  # nothing to start from, or a generator that goes on, as default_rng takes it
        owner = f"a numpy {original.__name__}"
        if isinstance(given, np.random.BitGenerator):
            run.seed(owner, given.state, "numpy", given.state)
        elif original is _LEGACY:
            run.seed(owner, given, "numpy, legacy")
        else:
            run.seed(owner, given, "numpy", np.random.PCG64(given).state)

    def new(cls: type, *_: Any, **__: Any) -> Any:
        return original.__new__(cls)  # type: ignore[call-overload]

    def spawn(self: Any, n_children: int) -> list[Any]:
        return [type(self)() for _ in range(n_children)]

    def hidden(self: Any, *_: Any) -> Any:
        refuse("the state of a numpy generator", f"it is saved or copied, and {REPEATED_NOISE}")

    methods = {name: _method(function) for name, function in methods_of(original, followed).items()}
    methods |= dict.fromkeys(("__copy__", "__deepcopy__", "__reduce__", "__reduce_ex__", "get_state"), hidden)
    space = {
        **methods,
        "bit_generator": property(hidden),
        "__init__": make,
        "__new__": new,
        "spawn": spawn,
        "_original": original,
    }
    return _AcceptsOriginals(original.__name__, (original,), space)
