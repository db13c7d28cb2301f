"""SCD Analysis: the referee of speculative Jacobi decoding.

The names below are loaded on first use, so that measures and evidence need no PyTorch, and the pytest plugin nothing.
``audit`` is both the function and the package it lives in; ``scd_analysis.audit`` is always the function.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from scd_analysis.version import __version__

if TYPE_CHECKING:
    from scd_analysis.audit import audit as audit

_HOME = {
    "audit": "scd_analysis.audit",
    "audit_log_probs": "scd_analysis.audit.log_probs",
    "audit_pair": "scd_analysis.audit.pair",
    "ExactLaw": "scd_analysis.exact",
    "exact_law": "scd_analysis.exact",
    "exact_target_law": "scd_analysis.exact",
    "exact_verdict": "scd_analysis.exact.judged",
    "assert_exact": "scd_analysis.exact",
    "CannotEnumerate": "scd_analysis.errors",
    "InputError": "scd_analysis.errors",
    "Outcome": "scd_analysis.audit",
    "PairVerdict": "scd_analysis.audit.pair_verdict",
    "Verdict": "scd_analysis.audit",
    "verdict_schema": "scd_analysis.audit.verdict",
    "TraceWriter": "scd_analysis.trace",
    "open_trace": "scd_analysis.trace",
    "watch": "scd_analysis.trace",
    "total_variation": "scd_analysis.laws",
    "renyi2_entropy": "scd_analysis.laws",
    "collision_probability": "scd_analysis.laws",
    "collision_bound": "scd_analysis.laws",
}

_MODULES = {name: f"scd_analysis.{name}" for name in ("evidence", "exact", "laws", "subjects", "testing", "trace")}
_MODULES["trajectories"] = "scd_analysis.trace.trajectories"

__all__ = [  # noqa: PLE0604 -- the names of the two tables above
    "__version__",
    *_HOME,
    *_MODULES,
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if name in _MODULES:
        return import_module(_MODULES[name])
    raise AttributeError(f"module 'scd_analysis' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


class _Package(ModuleType):
    """Refuses the package ``audit`` as an attribute, which importing it would set in place of the function."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name == "audit" and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
