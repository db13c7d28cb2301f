"""Python's ``random``, and the functions of ``math`` that audited code applies to variates."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from scd_analysis.exact import discrete, numbers
from scd_analysis.exact.numbers import is_random, new_variate
from scd_analysis.exact.refusals import AS_A_SEED, refuse
from scd_analysis.exact.run import REPEATED_NOISE, Run, drawing

_PLAIN_LOG, _PLAIN_POW = math.log, math.pow


def _with_run(name: str, original: Callable[..., Any], draw: Callable[..., Any]) -> Callable[..., Any]:
    def function(*args: Any, **kwargs: Any) -> Any:
        run = drawing()
        return original(*args, **kwargs) if run is None else draw(run, *args, **kwargs)

    function.__name__ = name
    return function


def _bits(run: Run, k: int) -> int:
    return discrete.fair(run, 1 << k)


def _exponential(run: Run, rate: float = 1.0) -> Any:
    return numbers.unary("log", new_variate(run)) / -rate


def _seeded(run: Run, a: Any = None, *_: Any, **__: Any) -> None:
    if is_random(a):
        refuse("seeding by a variate", f"its values are too many to enumerate; {AS_A_SEED}")
    if a is not None:
        run.seed("Python's random", a, "python")


def _restored(run: Run, *_: Any, **__: Any) -> None:
    refuse("random.setstate", REPEATED_NOISE)


def random_methods(owner: Any) -> dict[str, Callable[..., Any]]:
    """Give replacements for the methods of ``random.Random`` (or SystemRandom) that all others are built on."""

    def bound(name: str, draw: Callable[..., Any]) -> Callable[..., Any]:
        return _with_run(name, getattr(owner, name), lambda run, self, *args, **kwargs: draw(run, *args, **kwargs))

    return {
        "random": bound("random", lambda run: new_variate(run)),
        "getrandbits": bound("getrandbits", _bits),
        "_randbelow": bound("_randbelow", discrete.fair),
        "expovariate": bound("expovariate", _exponential),
        "seed": bound("seed", _seeded),
        "setstate": bound("setstate", _restored),
    }


def module_functions(module: Any) -> list[tuple[Any, Any]]:
    """Give stand-ins for the functions of ``random`` that do not go through the class again."""
    draws: dict[str, Callable[..., Any]] = {
        "random": lambda run: new_variate(run),
        "getrandbits": _bits,
        "seed": _seeded,
        "setstate": _restored,
    }
    originals = {name: getattr(module, name) for name in draws}
    return [(originals[name], _with_run(name, originals[name], draw)) for name, draw in draws.items()]


def math_functions() -> list[tuple[Any, Any]]:
    """Give stand-ins for functions of ``math`` that also take variates."""
    found: list[tuple[Any, Any]] = [(math.log, _log), (math.pow, _pow), (math.isfinite, _answer(math.isfinite, True))]
    names = {name: name for name in ("log2", "log10", "log1p", "exp", "exp2", "expm1", "sqrt")} | {"fabs": "abs"}
    found += [(getattr(math, name), _unary(meaning, getattr(math, name))) for name, meaning in names.items()]
    return found + [(original, _answer(original, False)) for original in (math.isnan, math.isinf)]


def _unary(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def function(x: Any, /) -> Any:
        return numbers.unary(name, x) if is_random(x) else original(x)

    return function


def _answer(original: Callable[..., Any], answer: bool) -> Callable[..., Any]:
    return lambda x, /: answer if is_random(x) else original(x)


def _log(x: Any, *base: Any) -> Any:
    if not is_random(x):
        return _PLAIN_LOG(x, *base)
    return numbers.unary("log", x) / _PLAIN_LOG(*base) if base else numbers.unary("log", x)


def _pow(x: Any, y: Any, /) -> Any:
    return numbers.binary("pow", x, y) if is_random(x) or is_random(y) else _PLAIN_POW(x, y)
