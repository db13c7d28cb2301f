"""Decoders with one planted fault each, and lossy rivals, with what an audit must say of them.

Each file holds one :class:`~reference.broken.fault.Fault` named ``FAULT``; a new fault is a new file and is found by
itself. The five conditions are those of :mod:`scd_analysis.audit`: declared-law, selection, verification, target,
independence. A test shows for every fault that its batched and its plain form give the same tokens, that its exact law
differs from the target, and that the audit refutes it and names its condition.
"""

from __future__ import annotations

from functools import cache

from reference.broken.fault import Fault
from scd_analysis.common.discovery import by_name, held
from scd_analysis.validate import check_known

__all__ = ["Fault", "faults", "get_fault"]


@cache
def faults() -> dict[str, Fault]:
    """Every fault by name, in the order of the five conditions, then of names."""
    found = held(__name__, __path__, "FAULT").values()
    return by_name(sorted(found, key=lambda fault: (fault.condition.order, fault.name)), "faults")


def get_fault(name: str) -> Fault:
    """A fault by name.

    Raises
    ------
    UnknownNameError
        Listing the names.
    """
    check_known(name, faults(), "fault")
    return faults()[name]
