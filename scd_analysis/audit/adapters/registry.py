"""What there is to make a subject with, by name; nothing is imported before it is asked for."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from scd_analysis.common.load import load
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


_HERE = "scd_analysis.audit.adapters"

registry = Registry(
    {
        "ancestral": "scd_analysis.subjects:ancestral",
        "callable": f"{_HERE}.sampler:sampler",
        "generate": f"{_HERE}.generate:generate",
        "kernel": f"{_HERE}.kernel:kernel",
        "recorded": f"{_HERE}.stored:recorded",
        "recorded-file": f"{_HERE}.recorded_file:recorded_file",
        "trace": f"{_HERE}.stored:trace",
        "tree-kernel": f"{_HERE}.tree_kernel:tree_kernel",
    }
)
"""Adapters by name: ``registry.load("kernel")``, ``registry.origin("kernel")``, ``list(registry)``."""
