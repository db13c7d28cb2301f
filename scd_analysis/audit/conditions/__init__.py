"""The five conditions, one file each: what is checked, what is bet on, and in which words."""

from __future__ import annotations

from scd_analysis.audit.conditions import declared_law, independence, selection, verification
from scd_analysis.errors import InputError

_ORDER = """
drafts drafts-avoiding first-drafts draft-scalars acceptance look-ahead kept-longest acceptance-shared replacement
replacement-noise replacement-shared bonus bonus-variate variates variates-of-drafts variates-of-replacements
variates-shared variates-repeated-in-pass variates-repeated-in-slot variates-repeated-on-diagonal
variates-repeated-in-batch variates-repeated-in-sequence variates-repeated-for-life drafts-shared drafts-of-one-variate
held-drafts held-acceptance acceptance-again drafts-again replacement-again bonus-again drafts-shared-apart
drafts-of-one-variate-apart
""".split()  # noqa: SIM905

PROCESSES = tuple(
    sorted(
        (process for room in (declared_law, selection, verification, independence) for process in room.PROCESSES),
        key=lambda process: _ORDER.index(process.name),
    )
)
"""Everything that is bet on, in the order in which it is."""

_NAMES = [process.name for process in PROCESSES]
if len(set(_NAMES)) < len(_NAMES):
    raise InputError(f"processes: two have one name, among {', '.join(_NAMES)}")
