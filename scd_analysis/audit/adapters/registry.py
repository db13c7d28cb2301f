"""What there is to make a subject with, by name; nothing is imported before it is asked for.

A module of this folder states ``ADAPTERS``: the names that it adds, and the function of each.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from scd_analysis.audit import adapters
from scd_analysis.common.discovery import stated
from scd_analysis.common.load import load
from scd_analysis.errors import InputError
from scd_analysis.validate import check_known


class Registry:
    """Names of functions that live elsewhere.

    Parameters
    ----------
    entries : mapping of str to str
        Name to ``module:attribute``.
    """

    def __init__(self, entries: Mapping[str, str]) -> None:
        self._entries = dict(entries)

    def __iter__(self) -> Any:
        return iter(self._entries)

    @property
    def functions(self) -> dict[str, str]:
        """Names of adapters by those of their functions."""
        return {where.rpartition(":")[2]: name for name, where in self._entries.items()}

    def load(self, name: str) -> Callable[..., Any]:
        """Import what a name stands for.

        Raises
        ------
        UnknownNameError
            Listing the names that there are.
        """
        check_known(name, self._entries, "name")
        found: Callable[..., Any] = load(self._entries[name], "name")
        return found

    def origin(self, name: str) -> str:
        """Say where it is written, as ``file:line``.

        Raises
        ------
        UnknownNameError
            Listing the names that there are.
        """
        found = self.load(name)
        return f"{inspect.getsourcefile(found)}:{inspect.getsourcelines(found)[1]}"


def _found() -> dict[str, str]:
    found: dict[str, str] = {}
    for module, own in stated(adapters.__path__, "ADAPTERS").items():
        for name, function in own.items():
            place = f"{adapters.__name__}.{module}:{function}"
            if found.setdefault(name, place) != place:
                raise InputError(f"adapters: {found[name]} and {place} are both named {name!r}")
    return dict(sorted(found.items()))


registry = Registry(_found())
"""Adapters by name: ``registry.load("kernel")``, ``registry.origin("kernel")``, ``list(registry)``."""
