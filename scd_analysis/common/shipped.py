"""The packages that come along, and where modules are looked for on the command line.

Anybody may have a package ``reference`` or ``studies``, and what they audit imports it by that name. A process has one
of each: on the command line it is theirs, unless the command itself needs ours (:func:`bring`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from types import ModuleType
from typing import Any, ClassVar

from scd_analysis.errors import InputError

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIBRARY = "scd_analysis"
COMMON_NAMES = ("reference", "studies")
"""What comes along under names that other people use too."""


class _Beside:
    """Finds the packages that come along where this one lies, or those of the same name that stand in their place."""

    brought: ClassVar[set[str]] = set()

    @classmethod
    def find_spec(cls, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> Any:
        """Find a package that comes along; see ``importlib.abc.MetaPathFinder``."""
        if name == LIBRARY or (name in COMMON_NAMES and name in cls.brought):
            return _regular(PathFinder.find_spec(name, [ROOT]))
        return (_theirs(name) or _regular(PathFinder.find_spec(name, [ROOT]))) if name in COMMON_NAMES else None


def _regular(spec: ModuleSpec | None) -> ModuleSpec | None:
    """A module or package; a folder without ``__init__.py`` is none."""
    return spec if spec is not None and spec.origin is not None else None


def _theirs(name: str) -> ModuleSpec | None:
    """What stands in the working directory, or else what Python finds; a checkout of this project is not theirs."""
    here = working_directory()
    if here is not None and not os.path.exists(os.path.join(here, LIBRARY, "__init__.py")):
        found = _regular(PathFinder.find_spec(name, [here]))
        if found is not None:
            return found
    others = (finder.find_spec(name, None) for finder in sys.meta_path if finder is not _Beside)
    return next((spec for spec in others if _regular(spec)), None)


def search_here_last() -> None:
    """Look for modules in the working directory, but only after everything that is installed.

    So a ``zarr.py`` there is not imported in place of the library. A package ``reference`` there is, since it is no
    library's: code beside it means that one.
    """
    if _Beside not in sys.meta_path:
        sys.meta_path.insert(0, _Beside)
    here = working_directory()
    if here is not None and here not in sys.path:
        sys.path.append(here)


def working_directory() -> str | None:
    """The working directory; None if it was deleted."""
    try:
        return os.getcwd()
    except OSError:
        return None


class Search:
    """How modules are looked for here; the process that this is sent to does the same from there on.

    Sent ahead of what is to be imported there.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return _search_so, (_Beside in sys.meta_path, tuple(sorted(_Beside.brought)))


def _search_so(is_command: bool, brought: tuple[str, ...]) -> Search:
    if is_command:
        search_here_last()
        _Beside.brought.update(brought)
    return Search()


def bring(name: str) -> None:
    """See to it that a package of a common name is ours, before it is imported.

    On the command line it is ours from here on, in workers too. In a program of somebody else's the name is theirs, and
    this only looks.

    Parameters
    ----------
    name : str
        One of ``COMMON_NAMES``.

    Raises
    ------
    InputError
        Naming the file that stands in its place.
    """
    if _Beside in sys.meta_path and name not in sys.modules:
        _Beside.brought.add(name)
    spec = find_spec(name)
    if spec is not None and not _is_ours(spec.origin):
        raise InputError(
            f"{name} is {spec.origin or 'a folder without code'}, in place of the package {name} that comes along with "
            "scd-analysis and is needed here: a process has one of that name"
        )


def _is_ours(origin: str | None) -> bool:
    return origin is not None and os.path.realpath(origin).startswith(os.path.realpath(ROOT) + os.sep)


def mistaken(error: BaseException) -> str:
    """Say where a package of a common name was looked into, for an error that misses something in it; else nothing."""
    name = str(error.name) if isinstance(error, ImportError) else ""
    if isinstance(error, AttributeError) and isinstance(error.obj, ModuleType):
        name = error.obj.__name__
    name = name.partition(".")[0]
    module = sys.modules.get(name) if name in COMMON_NAMES else None
    if module is None:
        return ""
    file = module.__file__ or "a folder without code"
    if not _is_ours(file):
        return f" ({name} is {file}, and not the package that comes along with scd-analysis)"
    theirs = _theirs(name) if _Beside in sys.meta_path else None
    if theirs is None or _is_ours(theirs.origin):
        return ""
    return f" ({name} is {file}, which the command needs for what comes along with it, and not {theirs.origin})"
