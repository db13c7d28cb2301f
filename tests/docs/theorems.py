"""The map of theorems, read back, and what should be on it."""

from __future__ import annotations

import ast
import inspect
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.docs.runner import ROOT


@dataclass(frozen=True)
class Entry:
    """One line of the map.

    Attributes
    ----------
    functions : list of str
        Dotted names; empty where the line continues the one above.
    statement, source : str
    tests : list of str
        ``file::function``.
    """

    functions: list[str]
    statement: str
    source: str
    tests: list[str]


def entries(text: str) -> list[Entry]:
    """Read the lines of all tables."""
    out = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if line.startswith("|") and len(cells) == 4 and "::" in cells[3]:
            names = re.findall(r"`([\w.]+)`", cells[0])
            out.append(Entry(names, cells[1], cells[2], re.findall(r"`([^`]+::[^`]+)`", cells[3])))
    return out


def found(name: str) -> Any:
    """Import what a dotted name stands for.

    Raises
    ------
    LookupError
        If there is no such thing.
    """
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            value: Any = import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        try:
            for part in parts[cut:]:
                value = getattr(value, part)
        except AttributeError as error:
            raise LookupError(f"{name}: {error}") from None
        return value
    raise LookupError(f"{name}: no such module")


def missing_tests(tests: list[str], root: Path = ROOT) -> list[str]:
    """Return those that are not in the file they should be in."""
    out = []
    for test in tests:
        file, _, name = test.partition("::")
        path = root / file
        tree = ast.parse(path.read_text(encoding="utf-8")) if path.is_file() else ast.Module([], [])
        if name not in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}:
            out.append(test)
    return out


def claims(*packages: ModuleType) -> Iterator[str]:
    """Name every public module, function and class of some packages whose documentation names a source."""
    for package in packages:
        paths = getattr(package, "__path__", None)
        modules = [import_module(f"{package.__name__}.{m.name}") for m in pkgutil.iter_modules(paths)] if paths else []
        for module in [package, *modules]:
            if _names_a_source(module):
                yield module.__name__
            for name, value in vars(module).items():
                own = getattr(value, "__module__", None) == module.__name__ and not name.startswith("_")
                if own and (inspect.isfunction(value) or inspect.isclass(value)) and _names_a_source(value):
                    yield f"{module.__name__}.{name}"


def _names_a_source(value: Any) -> bool:
    return "References\n---" in (inspect.getdoc(value) or "")
