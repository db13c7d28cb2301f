"""Which file imports which: the graph of the house, its circles, and imports inside functions.

What is imported for types only (``if TYPE_CHECKING``) counts: who reads one file has to know the other. The package
that a file lies in, which Python runs before the file, does not.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

Graph = dict[str, set[str]]


def modules(root: Path, rooms: tuple[str, ...]) -> dict[str, Path]:
    """Find the Python files of some folders, by dotted name; a package is its ``__init__``."""
    found = {}
    for path in sorted(path for room in rooms for path in (root / room).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(tree: ast.AST) -> Iterator[tuple[str, str | None]]:
    """Every import of a piece of code at any depth: a module, and a name of it or None."""
    if isinstance(tree, ast.Import):
        yield from ((alias.name, None) for alias in tree.names)
    elif isinstance(tree, ast.ImportFrom) and tree.module:
        yield from ((tree.module, alias.name) for alias in tree.names)
    for child in ast.iter_child_nodes(tree):
        yield from imported(child)


def graph(files: dict[str, Path]) -> Graph:
    """Say of every file which others it imports."""
    out: Graph = {}
    for name, path in files.items():
        both = imported(ast.parse(path.read_text(encoding="utf-8")))
        found = {f"{module}.{part}" if f"{module}.{part}" in files else module for module, part in both}
        out[name] = (found & files.keys()) - {name}
    return out


def circles(arrows: Graph) -> list[set[str]]:
    """Find the sets of files of which each reaches every other one."""
    reached: Graph = {}
    for start in arrows:
        seen, left = set(), [start]
        while left:
            new = arrows[left.pop()] - seen
            seen |= new
            left += new
        reached[start] = seen
    out = [{other for other in reached[name] if name in reached[other]} for name in arrows if name in reached[name]]
    return [one for place, one in enumerate(out) if one not in out[:place]]


def room(name: str) -> str:
    """The room that a file lies in: a folder or a file of the library, or another package as a whole."""
    return ".".join(name.split(".")[: 2 if name.startswith("scd_analysis.") else 1])


def inside_functions(path: Path) -> set[str]:
    """Every module that a file imports inside a function."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    functions = (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, kinds))
    return {module for function in functions for module, _ in imported(function)}
