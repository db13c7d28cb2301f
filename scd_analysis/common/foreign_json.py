"""Files that others wrote: a plain file or a refusal, JSON that is parsed whole or refused in one line."""

from __future__ import annotations

import json
import reprlib
from pathlib import Path
from typing import Any

from scd_analysis.errors import InputError

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 60


def shown(value: Any) -> str:
    """Spell a value of any size in a message: cut short, and without a character that a terminal obeys."""
    return _SHORT.repr(value)


def first_line(error: BaseException) -> str:
    """Return what an error says first, or its kind where it says nothing."""
    said = str(error).strip()
    return said.splitlines()[0][:300] if said else type(error).__name__


def check_plain_file(path: Path) -> None:
    """Refuse what is not there, and what could be read without end: a device, a pipe, a folder.

    Raises
    ------
    InputError
        Naming the path.
    """
    try:
        there, plain = path.exists(), path.is_file()
    except (OSError, ValueError) as error:  # too long a name, say
        raise InputError(f"{shown(str(path))}: cannot be looked at ({first_line(error)})") from None
    if not there:
        raise InputError(f"{path}: there is no such file")
    if not plain:
        raise InputError(f"{path}: is not a plain file")


def decode(raw: bytes, where: str) -> str:
    """Decode UTF-8.

    Raises
    ------
    InputError
        Naming the byte at which it is none.
    """
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: is not UTF-8 ({error.reason} at byte {error.start})") from None


def parse(text: str, where: str) -> Any:
    """Parse JSON; an object that has a key twice is none.

    Raises
    ------
    InputError
        Naming ``where`` and what is wrong.
    """
    try:
        return json.loads(text, object_pairs_hook=_once)
    except ValueError as error:
        raise InputError(f"{where}: is not JSON ({first_line(error)})") from None
    except RecursionError:
        raise InputError(f"{where}: is not JSON that can be read (lists in lists without end)") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"the key {shown(key)} comes twice in one object")
            seen.add(key)
    return values
