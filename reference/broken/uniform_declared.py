"""A first draft that copies its neighbour is declared as drawn uniformly."""

from __future__ import annotations

from reference.broken.fault import Fault
from reference.drafting import Independent
from reference.methods import Method
from scd_analysis.conditions import Condition

FAULT = Fault(
    name="uniform-declared",
    condition=Condition.DECLARED_LAW,
    summary="first drafts copy the left neighbour but are declared uniform instead of as a point mass",
    source="seen in released samplers",
    of=Method("uniform-declared", Independent(), initial="left", initial_law="uniform", lossless=False),
)
