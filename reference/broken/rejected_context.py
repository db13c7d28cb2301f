"""The token after a rejection is conditioned on the rejected draft."""

from __future__ import annotations

from reference.broken.fault import Fault
from reference.broken.stale_cache import Plain as StaleCache
from reference.broken.stale_cache import Remembering
from reference.methods import get_method
from scd_analysis.conditions import Condition


class Plain(StaleCache):
    """The same, one sequence."""

    forever = False


FAULT = Fault(
    name="rejected-context",
    condition=Condition.TARGET,
    summary="the law after a rejection is taken at the rejected draft, not at its replacement",
    source="one slip away: the row that was at hand",
    of=get_method("scd-gs"),
    plain=Plain,
    corrupt=lambda model: Remembering(model, forever=False),
)
