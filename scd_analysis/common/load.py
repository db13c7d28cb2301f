"""Looking up ``module:attribute``, and where modules are looked for on the command line."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from scd_analysis.common.foreign import announced, foreign
from scd_analysis.errors import UnknownNameError

SHIPPED = ("scd_analysis", "reference", "studies")
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class _Beside:
    """Finds the packages that come along where this one lies, whatever the working directory holds."""

    @classmethod
    def find_spec(cls, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> Any:
        """Find a package that comes along; see ``importlib.abc.MetaPathFinder``."""
        spec: ModuleSpec | None = PathFinder.find_spec(name, [ROOT]) if name in SHIPPED else None
        return spec if spec is not None and spec.origin is not None else None


def search_here_last() -> None:
    """Look for modules in the working directory, but only after everything that is installed.

    So a ``zarr.py`` there is not imported in place of the library, nor a folder ``reference`` in place of the shipped
    models.
    """
    if _Beside not in sys.meta_path:
        sys.meta_path.insert(0, _Beside)
    here = _here()
    if here is not None and here not in sys.path:
        sys.path.append(here)


def _here() -> str | None:
    """The working directory; None if it was deleted."""
    try:
        return os.getcwd()
    except OSError:
        return None


def load(name: str, what: str) -> Any:
    """Import ``module:attribute``; the module is executed.

    Parameters
    ----------
    name : str
        The attribute may be one of an attribute: ``module:a.b``.
    what : str
        Whose name it is, for messages.

    Raises
    ------
    UnknownNameError
        If the name has another form, or there is no such module or attribute.
    InputError
        If the module raises, or exits, when it is imported.
    """
    module_name, _, path = name.partition(":")
    if not module_name or not path:
        raise UnknownNameError(f"{what}={name!r} is not known; write it as module:attribute")
    with announced(f"{what}={name!r}"), foreign(f"{what}={name!r} cannot be imported:"):
        try:
            found: Any = import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
                raise  # a module that this one needs
            raise UnknownNameError(f"{what}={name!r} is not known: {error}") from None
        except (TypeError, ValueError) as error:
            if module_name.startswith(".") or ".." in module_name or module_name.endswith("."):
                raise UnknownNameError(f"{what}={name!r} is not known: {error}") from None
            raise
    with foreign(f"{what}={name!r}: reading it raised"):
        module = found
        for part in path.split("."):
            if not hasattr(found, part):
                raise UnknownNameError(f"{what}={name!r} is not known: {_absent(found, part, module)}")
            found = getattr(found, part)
    return found


def _absent(found: Any, part: str, module: Any) -> str:
    if found is not module:
        return f"a {type(found).__name__} has no attribute {part!r}"
    known = ", ".join(sorted(key for key in vars(module) if not key.startswith("_"))[:20])
    said = f"module {module.__name__!r} has no attribute {part!r}; known: {known}"
    own = os.path.join(_here() or "", module.__name__.partition(".")[0])
    origin = getattr(module, "__file__", None) or "built in"
    if any(map(os.path.exists, (own, f"{own}.py"))) and not str(origin).startswith(own):
        said += f"; it is {origin}: what is installed comes before the working directory, so give yours another name"
    return said
