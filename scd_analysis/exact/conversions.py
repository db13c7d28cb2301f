"""``float(u)`` in audited code.

Python's ``float`` gives plain floats only, so a variate cannot pass through it. When a function of the audited code
calls it on a variate, the name ``float`` is bound, in that function's module and until the enumeration ends, to a
class that lets variates through, and the run is started over.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from scd_analysis.exact import context
from scd_analysis.exact.context import refuse
from scd_analysis.exact.terms import is_random


class StartOver(BaseException):
    """Run the same branch again; not an ``Exception``, so that audited code cannot swallow it."""


class _LetsVariatesThrough(type):
    def __call__(cls, value: Any = 0.0) -> Any:
        from scd_analysis.exact.torch_shadow import scalar_term

        if is_random(value):
            return value
        if hasattr(value, "untyped_storage"):
            term = scalar_term(value)
            return float(value) if term is None else term
        return float(value)

    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, float) or is_random(value)

    def __subclasscheck__(cls, other: type) -> bool:
        return issubclass(other, float)


class SymbolicFloat(float, metaclass=_LetsVariatesThrough):
    """Stands in for ``float`` in a module of the audited code."""


_bound: list[dict[str, Any]] = []


def to_float(term: Any) -> float:
    """Answer ``__float__``: start over with `SymbolicFloat` in the caller's module, or refuse.

    Raises
    ------
    CannotEnumerate
        If that has been done already, so that something else asks for a plain float.
    """
    del term
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(context.SKIPPED):
        frame = frame.f_back
    if frame is None or "float" in frame.f_globals or context.active() is None:
        refuse("converting a variate to a plain float", "a function was given its value before it was compared")
    frame.f_globals["float"] = SymbolicFloat
    _bound.append(frame.f_globals)
    raise StartOver


def unbind() -> None:
    """Give ``float`` back to every module it was taken from."""
    while _bound:
        _bound.pop().pop("float", None)
