"""Which subject and which model an audit is of, in plain data that another process can compare.

Of a subject: its name, its code, and the settings that it was made with. State that changes while it runs (counters,
caches, clocks) is left out, or a run could not be resumed. Of a model: laws after fixed prefixes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import Enum
from functools import partial
from pathlib import PurePath
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType
from typing import Any

import numpy as np

from scd_analysis.audit.target import Target
from scd_analysis.common.foreign import foreign
from scd_analysis.evidence.batch import Floats, Longs

DEPTH = 6
LONGEST = 60
ENTRIES = 2**16
"""Arrays of more entries are told by their shape."""

PREFIXES = 4
PROJECTIONS = 8

Settings = dict[str, str]


def identity(subject: Any, target: Target | None, sizes: tuple[int | None, int | None], seed: int) -> dict[str, Any]:
    """Return what must be the same for stored batches to be of use: settings as text, and numbers of the laws."""
    return {
        "seed": seed,
        "vocab_size": sizes[0],
        "num_tokens": sizes[1],
        "subject": subject_identity(subject),
        "laws": [] if target is None else [float(x) for x in model_identity(target)],
    }


def model_identity(target: Target) -> Floats:
    """Return Float[K], numbers that change with a model's laws by no more than these do.

    Each law is summed with fixed weights between -1 and 1, so that a number moves by at most twice the total variation.
    The laws are those after fixed prefixes, and that of whole sequences where it is written out.
    """
    place = np.arange(target.num_tokens)
    tokens = (np.arange(PREFIXES)[:, None] * (1 + place * 7) + place // 3) % target.vocab_size
    where = sorted({0, target.num_tokens - 1, *(2**k for k in range(11) if 2**k < target.num_tokens)})
    laws = [target.laws(row[None].astype(np.int64))[0, where] for row in tokens]
    numbers = [_projected(law) for law in laws]
    countable = target.countable_law()
    return np.concatenate([np.ravel(x) for x in (*numbers, *([] if countable is None else [_projected(countable[0])]))])


def _projected(laws: Floats) -> Floats:
    entries: Longs = np.arange(laws.shape[-1])
    weights = np.sin(np.outer(1 + entries, np.sqrt(2 + np.arange(PROJECTIONS))) + np.arange(PROJECTIONS))
    return np.asarray(laws @ weights)


def subject_identity(subject: Any) -> Settings:
    """Return the name, the code and the settings of a subject, by where each stands in it."""
    found: Settings = {}
    with foreign("subject: looking at its settings raised"):
        _describe(subject, "subject", found, set(), DEPTH)
    return found


def _describe(value: Any, place: str, found: Settings, seen: set[int], depth: int) -> None:
    """Add what a value is; nothing of it is called."""
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes, Enum, PurePath, np.generic)):
        found[place] = _short(repr(value))
        return
    if id(value) in seen or not depth:
        return
    seen.add(id(value))
    inside: dict[str, Any] = {}
    if isinstance(value, FunctionType):
        found[place] = f"{value.__module__}:{value.__qualname__}"
        found[f"{place}.code"] = _code(value)
        inside = _closure(value) | dict(_numbered(value.__defaults__ or (), "default"))
        inside |= value.__kwdefaults__ or {}
    elif isinstance(value, MethodType):
        inside = {"self": value.__self__, "function": value.__func__}
    elif isinstance(value, partial):
        inside = {"function": value.func, **dict(_numbered(value.args, "argument")), **value.keywords}
    elif isinstance(value, (type, BuiltinFunctionType)):
        found[place] = f"{value.__module__}:{value.__qualname__}"
    elif isinstance(value, (list, tuple)):
        inside = dict(_numbered(value[:1000], "entry")) | {"length": len(value)}
    elif isinstance(value, (set, frozenset)):
        found[place] = _short(repr(sorted(map(repr, value))))
    elif isinstance(value, Mapping):
        inside = {repr(key): value[key] for key in list(value)[:1000]}
    elif hasattr(type(value), "__array__"):
        found[place] = _array(value)
    else:
        found[place] = f"{type(value).__module__}:{type(value).__qualname__}"
        found[f"{place}.code"] = _methods(type(value))
        inside = _settings(value)
    for name, part in inside.items():
        _describe(part, f"{place}.{name}", found, seen, depth - 1)


def _numbered(values: Any, name: str) -> list[tuple[str, Any]]:
    """Number values."""
    return [(f"{name} {i}", value) for i, value in enumerate(values)]


def _closure(function: FunctionType) -> dict[str, Any]:
    inside = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            inside[name] = cell.cell_contents
        except ValueError:  # not set yet
            continue
    return inside


def _settings(value: Any) -> dict[str, Any]:
    """Return what an object was made with: attributes that bear the name of a parameter of its ``__init__``."""
    attributes = getattr(value, "__dict__", {})
    made = getattr(type(value).__init__, "__code__", None)
    if not isinstance(made, CodeType):
        return {}
    names = made.co_varnames[1 : made.co_argcount + made.co_kwonlyargcount]
    return {name: attributes[own] for name in names for own in (name, f"_{name}") if own in attributes}


def _code(function: FunctionType) -> str:
    """Return a digest of a function's code and of the functions of its module that it calls."""
    parts: list[str] = []
    waiting, seen = [function], {id(function)}
    while waiting:
        one = waiting.pop()
        parts.append(_plain(one.__code__))
        for name in sorted(_names(one.__code__)):
            other = one.__globals__.get(name)
            if isinstance(other, FunctionType) and other.__module__ == one.__module__ and id(other) not in seen:
                seen.add(id(other))
                waiting.append(other)
    return _digest("\n".join(parts).encode())


def _names(code: CodeType) -> set[str]:
    inner = (_names(part) for part in code.co_consts if isinstance(part, CodeType))
    return set(code.co_names).union(*inner)


def _plain(code: CodeType) -> str:
    """Return code as text that is the same in every process."""
    return f"{code.co_code.hex()} {code.co_names} {code.co_varnames} {[_constant(c) for c in code.co_consts]}"


def _constant(value: Any) -> str:
    if isinstance(value, CodeType):
        return _plain(value)
    if isinstance(value, frozenset):
        return repr(sorted(map(_constant, value)))
    return repr(tuple(map(_constant, value))) if isinstance(value, tuple) else repr(value)


def _methods(kind: type) -> str:
    """Return a digest of the functions that a class defines itself."""
    functions = {name: part for name, part in sorted(vars(kind).items()) if isinstance(part, FunctionType)}
    return _digest("\n".join(f"{name} {_code(function)}" for name, function in functions.items()).encode())


def _array(value: Any) -> str:
    plain = value.detach().cpu() if hasattr(value, "detach") else value
    shape = f"{type(value).__name__} {getattr(plain, 'dtype', '')} {tuple(getattr(plain, 'shape', ()))}"
    if getattr(plain, "size", None) is None or np.prod(getattr(plain, "shape", (0,))) > ENTRIES:
        return shape
    return f"{shape} {_digest(np.ascontiguousarray(plain).tobytes())}"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... {_digest(text.encode(errors='surrogatepass'))}"
