"""The five conditions, one file each: what is checked, what is bet on, and in which words."""

from __future__ import annotations

from scd_analysis.audit.conditions import declared_law, independence, selection, target, verification
from scd_analysis.errors import InputError

_ORDER = """
drafts drafts-avoiding first-drafts draft-scalars acceptance look-ahead kept-longest acceptance-shared replacement
replacement-noise replacement-shared bonus bonus-variate variates variates-of-drafts variates-of-replacements
variates-shared variates-repeated-in-pass variates-repeated-in-slot variates-repeated-on-diagonal
variates-repeated-in-batch variates-repeated-in-sequence variates-repeated-for-life drafts-shared drafts-of-one-variate
held-drafts held-acceptance acceptance-again drafts-again replacement-again bonus-again drafts-shared-apart
drafts-of-one-variate-apart
""".split()  # noqa: SIM905

_ALL = [process for room in (declared_law, selection, verification, independence) for process in room.PROCESSES]
_NAMES = [process.name for process in _ALL]
for _name in _NAMES:
    if _NAMES.count(_name) > 1:
        raise InputError(f"processes: two are named {_name!r}")
for _name in _ORDER:
    if _name not in _NAMES:
        raise InputError(f"processes: there is no {_name!r}, which has a place in the order of their variates")

CHECKS = tuple(check for room in (selection, declared_law, verification, target) for check in room.CHECKS)
"""Everything that is looked for, in the order in which it is told."""

PROCESSES = tuple(sorted(_ALL, key=lambda process: [*_ORDER, process.name].index(process.name)))
"""Everything that is bet on: first those whose variates are drawn in a fixed order, then any others."""
