"""PyTorch's elementwise arithmetic and comparisons on tensors that hold variates."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from scd_analysis.exact import numbers
from scd_analysis.exact.arithmetic import INFINITE
from scd_analysis.exact.numbers import Term, is_random
from scd_analysis.exact.refusals import refuse
from scd_analysis.exact.run import Run
from scd_analysis.exact.torch.entries import write_terms
from scd_analysis.exact.torch.memory import plain_list
from scd_analysis.exact.torch.schemas import schema
from scd_analysis.exact.torch.shadow import Undrawn, settle

Entry = Any  # a plain number or a term


def entries(run: Run, value: Any, shape: torch.Size, dtype: torch.dtype) -> list[Entry]:
    """Give an operand's entries, broadcast to ``shape``, each number as the operation will see it in ``dtype``."""
    if not isinstance(value, torch.Tensor):
        if value is None:
            return [None] * shape.numel()
        if is_random(value):
            return [value] * shape.numel()
        value = torch.tensor(value, dtype=dtype)
    ids = run.shadow.ids(value) if run.shadow is not None else None
    plain = value.detach() if ids is not None or value.dtype == dtype else value.detach().to(dtype)
    numbers: list[Entry] = plain_list(plain.expand(shape).reshape(-1))
    if ids is not None:
        for place, number in enumerate(plain_list(ids.expand(shape).reshape(-1))):
            if number:
                numbers[place] = run.terms[number]
    return numbers


def elementwise(run: Run, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], rule: Callable[..., Any]) -> Any:
    """Apply ``rule`` entry by entry where an operand is random, and the operation itself everywhere else."""
    operands = [*args, *kwargs.values()]
    tensors = [value for value in operands if isinstance(value, torch.Tensor)]
    shape = torch.Size(np.broadcast_shapes(*(tuple(tensor.shape) for tensor in tensors)))
    dtype = _operating_type(args)
    columns = [entries(run, value, shape, dtype) for value in args]
    named = {name: entries(run, value, shape, dtype) for name, value in kwargs.items() if name in _NUMERIC}
    out = func(*args, **kwargs)
    postponed = out.dtype == torch.bool and schema(func).name in COMPARISONS
    places: list[int] = []
    terms: list[Term | Undrawn] = []
    for place, row in enumerate(zip(*columns, strict=True)):
        if any(is_random(entry) for entry in row):
            extra = {name: column[place] for name, column in named.items()}
            places.append(place)
            terms.append(Undrawn(partial(rule, *row)) if postponed else rule(*row, **extra))
    write_terms(run, out, places, terms)
    return out


COMPARISONS = frozenset({"lt", "le", "gt", "ge", "eq", "ne"})
"""What is decided only when somebody looks."""

_NUMERIC = ("alpha", "min", "max", "value", "weight", "eps")


def _operating_type(args: tuple[Any, ...]) -> torch.dtype:
    found: Any = None
    for value in args:
        if isinstance(value, torch.Tensor) or (isinstance(value, (int, float)) and not isinstance(value, bool)):
            found = value if found is None else _promoted(found, value)
    return found.dtype if isinstance(found, torch.Tensor) else torch.get_default_dtype()


def _promoted(left: Any, right: Any) -> torch.Tensor:
    """Give a tensor whose type and dimension stand for both operands in type promotion."""
    dtype = torch.result_type(left, right)
    dims = max(value.dim() if isinstance(value, torch.Tensor) else 0 for value in (left, right))
    return torch.empty((0,) * dims if dims else (), dtype=dtype)


def _binary(name: str) -> Callable[..., Any]:
    def rule(left: Entry, right: Entry, alpha: Entry = 1) -> Any:
        if alpha != 1:
            right = right * alpha
        return numbers.binary(name, left, right) if is_random(left) or is_random(right) else left

    return rule


def _unary(name: str) -> Callable[..., Any]:
    return lambda x, *_: numbers.unary(name, x)


def _compared(name: str) -> Callable[..., bool]:
    return lambda left, right: numbers.compare(name, left, right)


def _rounded(how: str) -> Callable[..., float]:
    return lambda x: numbers.rounded(x, how)


def _clamp(x: Entry, low: Entry = None, high: Entry = None, *, min: Entry = None, max: Entry = None) -> Any:
    low = min if low is None else low
    high = max if high is None else high
    if is_random(low) or is_random(high):
        low_or_x = x if low is None else _larger(x, low)
        return low_or_x if high is None else _smaller(low_or_x, high)
    return numbers.clamped(x, -INFINITE if low is None else low, INFINITE if high is None else high)


def _larger(x: Entry, y: Entry) -> Any:
    return _chosen(x, y, largest=True)


def _smaller(x: Entry, y: Entry) -> Any:
    return _chosen(x, y, largest=False)


def _chosen(x: Entry, y: Entry, *, largest: bool) -> Any:
    """Give the larger or smaller of two: a clamp when one is a number, else a decision."""
    for random, constant in ((x, y), (y, x)):
        if is_random(random) and not is_random(constant):
            low, high = (constant, INFINITE) if largest else (-INFINITE, constant)
            return numbers.clamped(random, low, high)
    return (x, y)[numbers.extreme([x, y], largest=largest, what="maximum" if largest else "minimum")]


def _divided(left: Entry, right: Entry) -> Any:
    return numbers.binary("div", left, right)


def _addcmul(x: Entry, a: Entry, b: Entry, value: Entry = 1) -> Any:
    return _sum(x, _product(_product(a, b), value))


def _addcdiv(x: Entry, a: Entry, b: Entry, value: Entry = 1) -> Any:
    quotient = numbers.binary("div", a, b) if is_random(a) or is_random(b) else a / b
    return _sum(x, _product(quotient, value))


def _lerp(x: Entry, y: Entry, weight: Entry) -> Any:
    difference = numbers.binary("sub", y, x) if is_random(x) or is_random(y) else y - x
    return _sum(x, _product(weight, difference))


def _step(x: Entry, at_zero: Entry) -> Any:
    if is_random(x):  # zero itself has no probability
        return float(numbers.compare("gt", x, 0))
    return at_zero if x == 0 else float(x > 0)


def _product(a: Entry, b: Entry) -> Any:
    return numbers.binary("mul", a, b) if is_random(a) or is_random(b) else a * b


def _sum(a: Entry, b: Entry) -> Any:
    return numbers.binary("add", a, b) if is_random(a) or is_random(b) else a + b


RULES: dict[str, Callable[..., Any]] = {
    **{name: _binary(name) for name in ("add", "sub", "mul", "pow")},
    "rsub": lambda left, right, alpha=1: _binary("sub")(right, left, alpha),
    "div": _divided,
    "true_divide": _divided,
    **{
        name: _unary(name)
        for name in (
            *("neg", "reciprocal", "log", "log2", "log10", "log1p", "exp", "exp2", "expm1", "sqrt", "rsqrt", "square"),
            *("abs", "sigmoid", "tanh", "logit", "sin", "cos", "erf", "erfinv"),
        )
    },
    **{name: _compared(name) for name in ("lt", "le", "gt", "ge", "eq", "ne")},
    **{how: _rounded(how) for how in ("floor", "ceil", "trunc", "round")},
    "clamp": _clamp,
    "clamp_min": lambda x, low: _clamp(x, low),
    "clamp_max": lambda x, high: _clamp(x, None, high),
    "relu": lambda x: _clamp(x, 0),
    "maximum": _larger,
    "minimum": _smaller,
    "fmax": _larger,
    "fmin": _smaller,
    "addcmul": _addcmul,
    "addcdiv": _addcdiv,
    "lerp": _lerp,
    "isnan": lambda x: x is None,
    "isinf": lambda x: x is None,
    "isposinf": lambda x: x is None,
    "isneginf": lambda x: x is None,
    "isfinite": lambda x: x is not None,
    "heaviside": lambda x, at_zero: _step(x, at_zero),
    "fmod": lambda x, y: numbers.binary("sub", x, _product(numbers.rounded(_divided(x, y), "trunc"), y)),
    "frac": lambda x: numbers.binary("sub", x, numbers.rounded(x, "trunc")),
    "sign": lambda x: float(numbers.compare("gt", x, 0)) - float(numbers.compare("lt", x, 0)),
    "logical_not": lambda x: not numbers.compare("ne", x, 0),
    "floor_divide": lambda x, y: numbers.rounded(_divided(x, y), "floor"),
    "remainder": lambda x, y: numbers.binary("sub", x, _product(numbers.rounded(_divided(x, y), "floor"), y)),
    "nan_to_num": lambda x, *_: x,
}
"""What each elementwise operation does to one entry."""


def divided(run: Run, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Division with a rounding mode, which decides."""
    mode = kwargs.get("rounding_mode")
    if mode is None:
        return elementwise(run, func, args, kwargs, _divided)
    return elementwise(run, func, args, kwargs, lambda x, y: numbers.rounded(_divided(x, y), mode))


def converted(run: Run, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Copy variates into a tensor of integers or booleans, which decides."""
    for value in args[:2]:
        if isinstance(value, torch.Tensor):
            settle(run, value)
    source = args[0] if schema(func).name == "_to_copy" else args[1]
    out = func(*args, **kwargs)
    terms = entries(run, source, out.shape, source.dtype)
    how = (lambda x: numbers.compare("ne", x, 0)) if out.dtype == torch.bool else _rounded("trunc")
    places = [place for place, term in enumerate(terms) if is_random(term)]
    decided = [how(terms[place]) for place in places]
    if out.dtype != torch.bool:
        least, most = torch.iinfo(out.dtype).min, torch.iinfo(out.dtype).max
        if not all(least <= value <= most for value in decided):
            refuse(f"a conversion to {out.dtype}", "a value does not fit, and what comes of it depends on the machine")
    write_terms(run, out, places, decided)
    return out
