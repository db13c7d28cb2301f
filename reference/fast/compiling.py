"""``torch.compile`` where it pays: functions that read laws of a large vocabulary.

Eager PyTorch reads a law once an operation; compiled, all sums over it come from one reading. The first call of a kind
takes seconds to compile, so small vocabularies stay eager. Both ways give the same tokens.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")

MODES = ("auto", "always", "never")
FROM = 4096
"""Vocabulary from which ``auto`` compiles."""


def compile_mode() -> str:
    """What the environment variable ``SCD_COMPILE`` says: one of :data:`MODES`, ``auto`` by default."""
    mode = os.environ.get("SCD_COMPILE", "auto")
    return mode if mode in MODES else "auto"


def compiled_where_large(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function of laws, Float[B, L, V], when its first argument has a large V; fall back with a warning."""
    compiled: list[Callable[P, R]] = []
    broken: list[Exception] = []

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if broken or not _wanted(args[0]):
            return function(*args, **kwargs)
        try:
            if compiled:
                return compiled[0](*args, **kwargs)
            with warnings.catch_warnings(action="ignore"):  # torch's own, as it loads its compiler
                compiled.append(torch.compile(function, options=_options()))
                return compiled[0](*args, **kwargs)
        except torch._dynamo.exc.TorchDynamoException as error:  # no compiler on this machine, most often
            broken.append(error)
            why = " ".join(str(error).split("\n")[:2])  # what was tried, then what came of it
            warnings.warn(f"{function.__name__} stays uncompiled: {why.strip()}", stacklevel=2)
            return function(*args, **kwargs)

    return call


def _options() -> dict[str, str | int | bool | Callable[..., object]]:
    """Let the C++ compiler multiply and add in one instruction, where this version of torch can be asked to."""
    from torch._inductor import config

    can = isinstance(getattr(config.cpp, "enable_floating_point_contract_flag", None), str)
    return {"cpp.enable_floating_point_contract_flag": "fast"} if can else {}


def _wanted(laws: object) -> bool:
    if not isinstance(laws, Tensor) or laws.ndim < 2 or laws.device.type not in ("cpu", "cuda"):
        return False
    mode = compile_mode()
    return type(laws) is Tensor and (mode == "always" or (mode == "auto" and laws.shape[-1] >= FROM))
