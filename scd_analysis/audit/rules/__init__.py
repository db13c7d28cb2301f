"""Exact verification rules, one file each with a ``RULE``; a decoder that follows none of them is refuted."""

from __future__ import annotations

from scd_analysis.audit.rules.rule import Rule
from scd_analysis.common.discovery import held, in_order
from scd_analysis.validate import check_known

RULES: dict[str, Rule] = in_order(held(__name__, __path__, "RULE").values(), "rules")
"""By name, in the order in which one is recognised where several stand as well."""

ANY = "any"
"""An exact rule of one's own: only the law of what is committed can be asked."""


def stated(rule: str | None, *, laws_recorded: bool = True) -> tuple[Rule, ...]:
    """Rules that a subject may follow: the one that is stated, or every one that shows; of ``"any"``, none.

    Parameters
    ----------
    rule : str or None
    laws_recorded : bool
        Whether the subject shows the laws of its drafts and of the target.

    Raises
    ------
    UnknownNameError
        If there is no such rule.
    """
    if rule is None:
        return tuple(one for one in RULES.values() if laws_recorded or not one.needs_laws)
    check_known(rule, (*RULES, ANY), "rule")
    return () if rule == ANY else (RULES[rule],)
