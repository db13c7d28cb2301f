"""Exact verification rules, one file each; a decoder that follows none of them is refuted."""

from __future__ import annotations

from scd_analysis.audit.rules.block import BLOCK
from scd_analysis.audit.rules.exact_match import EXACT_MATCH
from scd_analysis.audit.rules.gumbel_match import GUMBEL_MATCH
from scd_analysis.audit.rules.mrs import MRS
from scd_analysis.audit.rules.rule import Rule
from scd_analysis.validate import check_known

RULES: dict[str, Rule] = {rule.name: rule for rule in (MRS, EXACT_MATCH, GUMBEL_MATCH, BLOCK)}
"""By name, in the order in which one is recognised where several stand as well."""

ANY = "any"
"""An exact rule of one's own: only the law of what is committed can be asked."""


def stated(rule: str | None) -> tuple[Rule, ...]:
    """Rules that a subject may follow: the one that is stated, or every one that is known; of ``"any"``, none.

    Raises
    ------
    UnknownNameError
        If there is no such rule.
    """
    if rule is None:
        return tuple(RULES.values())
    check_known(rule, (*RULES, ANY), "rule")
    return () if rule == ANY else (RULES[rule],)
