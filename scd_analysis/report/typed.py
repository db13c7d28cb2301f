"""Dataclasses from parsed JSON, field by field, by the types that they declare."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum, StrEnum
from typing import Any, Union, get_args, get_origin, get_type_hints

from scd_analysis.common.foreign_json import shown
from scd_analysis.errors import InputError

MOST_ITEMS = 10_000
"""Of a list; an audit keeps at most 2,000 points of its path."""

MOST_CHARACTERS = 100_000
"""Of a string."""

LARGEST = 1e15
"""A finite number may be; none that is counted or bet on comes near."""

DEEPEST = 32
"""Lists and objects in each other."""


def build(kind: Any, value: Any, name: str) -> Any:
    """Rebuild what ``value``, parsed from JSON, says of a declared type.

    Parameters
    ----------
    kind : type
        A dataclass, ``float``, ``int``, ``bool``, ``str``, an ``Enum``, a ``tuple`` of these, ``dict[str, Any]``, or
        one of them or None. A ``float`` may be written ``"inf"``; an ``int`` is 0 or more; an ``Enum`` is written by
        name, a ``StrEnum`` by value.
    value : object
    name : str
        For messages: ``verdict.findings[3]``.

    Raises
    ------
    InputError
        Naming the field and its value.
    """
    if is_dataclass(kind):
        return _record(kind, value, name)
    origin, inside = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        (some,) = (each for each in inside if each is not type(None))
        return None if value is None else build(some, value, name)
    if origin is tuple:
        return _tuple(inside, value, name)
    if origin is dict:
        return _object(value, name)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _member(kind, value, name)
    return _READERS[kind](value, name)


def _record(kind: Any, value: Any, name: str) -> Any:
    """Make a dataclass; keys that it does not know are passed over, so that a later version's can be read."""
    if isinstance(value, kind):
        return value
    if not isinstance(value, Mapping):
        raise InputError(f"{name} = {shown(value)}: must be an object")
    hints, given = get_type_hints(kind), dict[str, Any]()
    for field in fields(kind):
        if field.name in value:
            given[field.name] = build(hints[field.name], value[field.name], f"{name}.{field.name}")
        elif field.default is MISSING and field.default_factory is MISSING:
            raise InputError(f"{name}: lacks {field.name}")
    return kind(**given)


def _tuple(inside: tuple[Any, ...], value: Any, name: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise InputError(f"{name} = {shown(value)}: must be a list")
    if inside[-1] is Ellipsis:
        if len(value) > MOST_ITEMS:
            raise InputError(f"{name} has {len(value):,} entries: at most {MOST_ITEMS:,} are read")
        inside = (inside[0],) * len(value)
    if len(value) != len(inside):
        raise InputError(f"{name} = {shown(value)}: must have {len(inside)} entries")
    pairs = enumerate(zip(inside, value, strict=True))
    return tuple(build(kind, item, f"{name}[{i}]") for i, (kind, item) in pairs)


def _object(value: Any, name: str) -> dict[str, Any]:
    """Any object, of a depth that can be written again."""
    if not isinstance(value, Mapping):
        raise InputError(f"{name} = {shown(value)}: must be an object")
    level: list[Any] = [value]
    for _ in range(DEEPEST):
        level = [item for part in level for item in _items(part, name)]
        if not level:
            return dict(value)
    raise InputError(f"{name}: has lists or objects in each other, more than {DEEPEST} deep")


def _items(part: Any, name: str) -> list[Any]:
    """What is inside a list or object and is one itself."""
    if isinstance(part, Mapping):
        for key in part:
            _string(key, f"{name}: a key")
        part = list(part.values())
    for item in part:
        if isinstance(item, str):
            _string(item, name)
    return [item for item in part if isinstance(item, (Mapping, list, tuple))]


def _member(kind: type[Enum], value: Any, name: str) -> Enum:
    if isinstance(value, kind):
        return value
    known = [str(one.value) if issubclass(kind, StrEnum) else one.name for one in kind]
    if not isinstance(value, str) or value not in known:
        raise InputError(f"{name} = {shown(value)}: must be one of {', '.join(known)}")
    return kind(value) if issubclass(kind, StrEnum) else kind[value]


def _float(value: Any, name: str) -> float:
    if isinstance(value, str) and value in ("inf", "-inf"):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
        raise InputError(f"{name} = {shown(value)}: must be a number")
    if not -LARGEST <= value <= LARGEST and abs(value) != math.inf:
        raise InputError(f"{name} = {shown(value)}: is beyond {LARGEST:g}")
    return float(value)


def _int(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST:
        raise InputError(f"{name} = {shown(value)}: must be a whole number, 0 or more and at most {LARGEST:g}")
    return value


def _string(value: Any, name: str) -> str:
    if not isinstance(value, str) or len(value) > MOST_CHARACTERS:
        raise InputError(f"{name} = {shown(value)}: must be a string of at most {MOST_CHARACTERS:,} characters")
    return value


def _bool(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise InputError(f"{name} = {shown(value)}: must be true or false")
    return value


_READERS = {float: _float, int: _int, str: _string, bool: _bool}
