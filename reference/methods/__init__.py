"""Named methods, one file each with a ``NAMED``: a new one is a new file, and found by every command and table."""

from __future__ import annotations

from dataclasses import replace

from reference.drafting import Gumbel, Maximal, Mixture
from reference.methods.method import INITIAL_DRAFTS, INITIAL_LAWS, Method, Named
from scd_analysis.common.discovery import held, in_order
from scd_analysis.errors import InputError
from scd_analysis.validate import check_known

__all__ = ["INITIAL_DRAFTS", "INITIAL_LAWS", "METHODS", "Method", "Named", "coupling_mixture", "get_method"]

_FOUND: dict[str, Named] = in_order(held(__name__, __path__, "NAMED").values(), "methods")

METHODS = tuple(_FOUND)
"""Names that :func:`get_method` knows."""


def get_method(method: str | Method) -> Method:
    """A method by name; a configured object is returned as it is.

    Raises
    ------
    UnknownNameError
        Listing the names.
    """
    if isinstance(method, Method):
        return method
    if not isinstance(method, str):
        raise InputError(f"method = {method!r}: must be a name or a reference.Method")
    check_known(method, _FOUND, "method")
    return replace(_FOUND[method].method)


def coupling_mixture(coupling: str, alpha: float) -> Method:
    """``"scd-mc"`` or ``"scd-gs"`` with coupling strength ``alpha``: 0 is SJD, 1 is SCD.

    Raises
    ------
    UnknownNameError
        For another coupling.
    InputError
        For ``alpha`` outside [0, 1].
    """
    check_known(coupling, ("scd-mc", "scd-gs"), "coupling")
    rule = Maximal() if coupling == "scd-mc" else Gumbel()
    return Method(f"{coupling}(alpha={alpha:g})", Mixture(rule, alpha))
