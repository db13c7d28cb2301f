"""Replacing functions for a while, wherever they have been imported to, and putting everything back."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Collection, Mapping
from functools import partial
from types import CellType, FunctionType, ModuleType
from typing import Any

_OWN = "scd_analysis.exact"


class Patches:
    """A pile of replacements; `restore` undoes them, last first."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []

    def attribute(self, owner: Any, name: str, value: Any, *, before: Any = None) -> None:
        """Replace an attribute of a class, a module or a function."""
        own = vars(owner)
        if before is not None:
            self._undo.append(lambda: setattr(owner, name, before))
        elif name in own:
            before = own[name]
            self._undo.append(lambda: setattr(owner, name, before))
        else:
            self._undo.append(lambda: delattr(owner, name))
        setattr(owner, name, value)

    def everywhere(self, replacements: Mapping[int, Any], skipped: Collection[str] = ()) -> None:
        """Replace objects, given by ``id``, in the namespace of every imported module but this package's."""
        wanted = frozenset(replacements)
        for name, module in list(sys.modules.items()):
            if name.startswith(_OWN) or name in skipped or not isinstance(module, ModuleType):
                continue
            space = module.__dict__
            if wanted.isdisjoint(map(id, space.values())):  # most modules; this loop runs in C
                continue
            for key in [key for key, value in space.items() if id(value) in replacements]:
                self._entry(space, key, replacements[id(space[key])])

    def references(self, replacements: Mapping[int, Any], originals: list[Any]) -> None:
        """Replace objects in the closures, namespaces, lists and attributes that refer to them."""
        for holder in gc.get_referrers(*originals):
            if holder is originals or holder is replacements:
                continue
            if isinstance(holder, CellType):
                self._cell(holder, replacements)
            elif isinstance(holder, dict):
                for key, value in list(holder.items()):
                    if id(value) in replacements:
                        self._entry(holder, key, replacements[id(value)])
            elif isinstance(holder, list):
                for place, value in enumerate(holder):
                    if id(value) in replacements:
                        self._entry(holder, place, replacements[id(value)])
            elif isinstance(holder, tuple):
                self._tuple(holder, tuple(replacements.get(id(value), value) for value in holder))
            elif hasattr(holder, "__dict__") and not isinstance(holder, (type, ModuleType)):
                for key, value in list(vars(holder).items()):
                    if id(value) in replacements:
                        self._entry(vars(holder), key, replacements[id(value)])

    def _entry(self, space: Any, key: Any, value: Any) -> None:
        before = space[key]
        space[key] = value
        self._undo.append(lambda: space.__setitem__(key, before))

    def _cell(self, cell: CellType, replacements: Mapping[int, Any]) -> None:
        before = cell.cell_contents
        cell.cell_contents = replacements[id(before)]
        self._undo.append(lambda: setattr(cell, "cell_contents", before))

    def _tuple(self, holder: tuple[Any, ...], value: tuple[Any, ...]) -> None:
        """Replace a tuple of default arguments, or the arguments of a ``functools.partial``."""
        for owner in gc.get_referrers(holder):
            if isinstance(owner, FunctionType) and owner.__defaults__ is holder:
                self.attribute(owner, "__defaults__", value, before=holder)
            elif isinstance(owner, partial) and owner.args is holder:
                restate: Any = owner
                state = restate.__reduce__()[2]
                restate.__setstate__((state[0], value, *state[2:]))
                self._undo.append(partial(restate.__setstate__, state))

    def restore(self) -> None:
        """Undo all replacements."""
        while self._undo:
            self._undo.pop()()
