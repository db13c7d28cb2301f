"""A new thing is a new file: what the modules of a folder hold under a name, and the order of such things."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, Protocol, TypeVar

from scd_analysis.errors import InputError


class Named(Protocol):
    """Something that is found by its name."""

    @property
    def name(self) -> str:
        """As it is asked for."""


class Placed(Named, Protocol):
    """Something that says where it stands among others of its kind."""

    @property
    def place(self) -> int | None:
        """Its place; None is behind all that have one."""


One = TypeVar("One", bound=Named)
InPlace = TypeVar("InPlace", bound=Placed)


def held(package: str, path: Iterable[str], name: str) -> dict[str, Any]:
    """What the modules of a package hold under a name, by module, in alphabetical order; those without are left out.

    Parameters
    ----------
    package : str
        Its ``__name__``.
    path : iterable of str
        Its ``__path__``: the folders that its modules lie in.
    name : str
        Such as ``"FIGURE"``.
    """
    names = sorted(found.name for found in iter_modules(path))
    modules = {own: vars(import_module(f"{package}.{own}")) for own in names}
    return {own: inside[name] for own, inside in modules.items() if name in inside}


def stated(path: Iterable[str], name: str) -> dict[str, Any]:
    """What the modules of a package state under a name, by module, in alphabetical order, without importing them.

    Parameters
    ----------
    path : iterable of str
        The ``__path__`` of the package.
    name : str
        Of something that is written out: numbers, words, and tuples or mappings of them.
    """
    found = {}
    for file in sorted((file for folder in path for file in Path(folder).glob("*.py")), key=lambda file: file.stem):
        source = file.read_text(encoding="utf-8")
        for node in ast.parse(source).body if name in source else ():
            if isinstance(node, ast.Assign) and [ast.unparse(to) for to in node.targets] == [name]:
                found[file.stem] = ast.literal_eval(node.value)
    return found


def by_name(things: Iterable[One], what: str) -> dict[str, One]:
    """Things by their names, in the order given.

    Raises
    ------
    InputError
        If two have one name.
    """
    found: dict[str, One] = {}
    for thing in things:
        if thing.name in found:
            raise InputError(f"{what}: two are named {thing.name!r}")
        found[thing.name] = thing
    return found


def in_order(things: Iterable[InPlace], what: str) -> dict[str, InPlace]:
    """Things by their names, in the order of their places; then those without one, in the order given.

    Raises
    ------
    InputError
        If two have one name or one place.
    """
    found = by_name(things, what)
    at: dict[int, str] = {}
    for name, thing in found.items():
        if thing.place is not None and at.setdefault(thing.place, name) != name:
            raise InputError(f"{what}: {at[thing.place]!r} and {name!r} both have the place {thing.place}")
    placed = [found[at[place]] for place in sorted(at)]
    return {thing.name: thing for thing in (*placed, *(one for one in found.values() if one.place is None))}
