"""SCD Analysis: the referee of speculative Jacobi decoding.

The names below are loaded on first use, so that measures and evidence need no PyTorch. ``audit`` is both the function
and the package it lives in; it is imported here at once, so that ``scd_analysis.audit`` is always the function.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from scd_analysis.audit import audit
from scd_analysis.version import __version__

_HOME = {
    "ExactLaw": "scd_analysis.exact",
    "exact_law": "scd_analysis.exact",
    "exact_target_law": "scd_analysis.exact",
    "assert_exact": "scd_analysis.exact",
    "CannotEnumerate": "scd_analysis.errors",
    "InputError": "scd_analysis.errors",
    "Outcome": "scd_analysis.audit",
    "Verdict": "scd_analysis.audit",
    "TraceWriter": "scd_analysis.trace",
    "open_trace": "scd_analysis.trace",
    "total_variation": "scd_analysis.laws",
    "renyi2_entropy": "scd_analysis.laws",
    "collision_probability": "scd_analysis.laws",
    "collision_bound": "scd_analysis.laws",
}

_MODULES = ("evidence", "exact", "laws", "subjects", "testing", "trace", "trajectories")

__all__ = [  # noqa: PLE0604 -- the names of the two tables above
    "__version__",
    "audit",
    *_HOME,
    *_MODULES,
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if name in _MODULES:
        return import_module(f"scd_analysis.{name}")
    raise AttributeError(f"module 'scd_analysis' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
