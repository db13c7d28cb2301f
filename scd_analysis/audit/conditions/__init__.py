"""The five conditions, one file each: what is checked, what is bet on, and in which words.

Every module of this folder that holds ``CHECKS`` or ``PROCESSES`` is found.
"""

from __future__ import annotations

from scd_analysis.common.discovery import by_name, held, in_order
from scd_analysis.conditions import Condition

_TOLD = (Condition.SELECTION, Condition.DECLARED_LAW, Condition.VERIFICATION, Condition.TARGET, Condition.INDEPENDENCE)

CHECKS = tuple(
    sorted(
        by_name((one for checks in held(__name__, __path__, "CHECKS").values() for one in checks), "checks").values(),
        key=lambda check: _TOLD.index(check.condition),
    )
)
"""Everything that is looked for, in the order in which it is told."""

PROCESSES = tuple(
    in_order(
        (one for processes in held(__name__, __path__, "PROCESSES").values() for one in processes), "processes"
    ).values()
)
"""Everything that is bet on, in the order in which variates are drawn: by place, then those without one."""
