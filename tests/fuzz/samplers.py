"""Samplers whose exact law is asked for, and which do or return odd things: the law comes, or is refused.

What a sampler raises by itself, without us, it may raise to its caller.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
import torch

from scd_analysis import CannotEnumerate, exact_law
from tests.fuzz.case import Case


def _coin() -> bool:
    return bool(torch.rand(()) < 0.25)


def _thread() -> int:
    found: list[bool] = []
    worker = threading.Thread(target=lambda: found.append(_coin()))
    worker.start()
    worker.join()
    return int(found[0]) if found else 2


def _swallows() -> int:
    try:
        return int(torch.rand(()) * 10) + hash(float(torch.rand(())))
    except BaseException:
        return 5


def _at_default() -> int:
    torch.set_default_dtype(torch.float16)
    try:
        return int(_coin())
    finally:
        torch.set_default_dtype(torch.float32)


def _leaves_default() -> int:
    torch.set_default_dtype(torch.float64)
    return int(_coin())


def _seeds() -> int:
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 -- what users have
    random.seed(0)
    return int(_coin())


def _forks() -> int:
    if not (child := os.fork()):
        os._exit(0)
    os.waitpid(child, 0)
    return int(_coin())


def _counts(seen: list[int] = []) -> int:  # noqa: B006 -- what is kept is the point
    seen.append(0)
    return len(seen) + int(_coin())


def _clock() -> int:
    return int(time.time_ns()) + int(_coin())


def _loop() -> int:
    while not _coin():
        pass
    return 1


def _raising(error: BaseException) -> Callable[[], Any]:
    def sampler() -> Any:
        if _coin():
            raise error
        return 0

    return sampler


def _returning(value: Any) -> Callable[[], Any]:
    return lambda: (int(_coin()), value() if callable(value) else value)


SAMPLERS: dict[str, Callable[[], Any]] = {
    "a thread draws": _thread,
    "swallows": _swallows,
    "half precision by default": _at_default,
    "leaves float64": _leaves_default,
    "seeds": _seeds,
    "forks": _forks,
    "counts its calls": _counts,
    "asks the clock": _clock,
    "for ever": _loop,
    "sleeps": lambda: time.sleep(1000),
    "recursion": lambda: (f := lambda: f())(),
    "the alarm": lambda: (signal.setitimer(signal.ITIMER_REAL, 0), _loop())[1],
    "filters": lambda: (warnings.simplefilter("error"), int(_coin()))[1],
    "errors of NumPy": lambda: (np.seterr(all="raise"), int(_coin()))[1],
    "standard output": lambda: (sys.stdout.write("noise"), int(_coin()))[1],
    "megabytes": lambda: (sys.stderr.write("x" * 2**22), int(_coin()))[1],
    "a generator": lambda: (torch.rand(()) for _ in range(2)),
    "a variate": lambda: torch.rand(()),
    "many variates": lambda: torch.rand(100).tolist(),
    "a large tensor": lambda: torch.zeros(2**20).bernoulli(0.5),
    "multinomial of NaN": lambda: int(torch.multinomial(torch.tensor([float("nan"), 1.0]), 1)),
    "multinomial of nothing": lambda: int(torch.multinomial(torch.zeros(3), 1)),
    "multinomial below zero": lambda: int(torch.multinomial(torch.tensor([-1.0, 2.0]), 1)),
    "choice of too many": lambda: int(np.random.choice(3, p=[0.5, 0.6, 0.1])),  # noqa: NPY002
    "a wide choice": lambda: random.randrange(10**30),
    "shuffled": lambda: random.sample(range(30), 30),
    "raises": _raising(ValueError("a\nb")),
    "raises ours": _raising(CannotEnumerate("mine")),
    "stops": _raising(StopIteration()),
    "no memory": _raising(MemoryError()),
    "a list": _returning(lambda: [1, [2]]),
    "a set": _returning(lambda: {1, 2}),
    "a dictionary": _returning(lambda: {"a": 1}),
    "an array": _returning(lambda: np.zeros(3)),
    "NaN": _returning(float("nan")),
    "an array of NaN": _returning(lambda: np.full(3, np.nan)),
    "a new object": _returning(object),
    "a function": _returning(lambda: lambda: 0),
    "bfloat16": _returning(lambda: torch.zeros(2, dtype=torch.bfloat16)),
    "complex": _returning(lambda: torch.zeros(2) * 1j),
    "a frame": _returning(lambda: __import__("pandas").DataFrame({"a": [1]})),
    "a lone surrogate": _returning("\ud800"),
    "a long text": _returning("x" * 10**6),
    "Ellipsis": _returning(...),
}
OWN: dict[str, type[BaseException]] = {
    "recursion": RecursionError, "multinomial of NaN": RuntimeError, "multinomial of nothing": RuntimeError,
    "multinomial below zero": RuntimeError, "choice of too many": ValueError, "raises": ValueError,
    "stops": StopIteration, "no memory": MemoryError,
}  # fmt: skip
"""What is raised without us, too."""

LAWFUL = {"a thread draws", "forks", "seeds", "counts its calls", "half precision by default"}


def hostile(case: Case) -> None:
    """One sampler."""
    name, sampler = case.rng.choice(list(SAMPLERS.items()))
    options: dict[str, Any] = {"max_branches": case.rng.choice((8, 200)), "max_seconds": 3.0, "progress": False}
    case.describe(f"{name}, {options['max_branches']} branches")
    before = _state()

    def law_of() -> Any:
        with suppress(OWN.get(name, ())):
            return exact_law(sampler, **options)

    try:
        law = case.door("exact_law", law_of)
    finally:
        after = _state()
        _put_back()
    if law is not None:
        mass = float(sum(law.probabilities.values())) + float(law.unexplored_mass)
        if not abs(mass - 1) < 1e-9:
            case.found(f"probabilities sum to {mass}")
        for text in (str, repr):
            case.door(text.__name__, partial(text, law))
    if name in LAWFUL and before != after:
        case.found(f"left behind {sorted(key for key in before if before[key] != after[key])}")


def _state() -> dict[str, Any]:
    return {
        "torch": (torch.rand, torch.multinomial, torch.Tensor.__bool__),
        "numpy": (np.random.rand, np.random.choice),
        "random": random.random,
        "default dtype": torch.get_default_dtype(),
        "alarm": signal.getsignal(signal.SIGALRM),
        "timer": signal.getitimer(signal.ITIMER_REAL)[0] > 0,
    }


def _put_back() -> None:
    torch.set_default_dtype(torch.float32)
    np.seterr(all="warn")
    warnings.resetwarnings()
    warnings.simplefilter("ignore")
    signal.setitimer(signal.ITIMER_REAL, 0)
