"""Looking up ``module:attribute``."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from scd_analysis.common.foreign import announced, foreign
from scd_analysis.common.shipped import working_directory
from scd_analysis.errors import UnknownNameError


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
    own = os.path.join(working_directory() or "", module.__name__.partition(".")[0])
    origin = getattr(module, "__file__", None) or "built in"
    if any(map(os.path.exists, (own, f"{own}.py"))) and not str(origin).startswith(own):
        said += f"; it is {origin}: what is installed comes before the working directory, so give yours another name"
    return said
