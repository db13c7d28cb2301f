"""The exact law of any sampler, by replaying its random choices.

``exact_law(sampler)`` runs an unmodified sampler along every path of its random choices and returns the law of what it
returns, with no statistical error; code that cannot be followed is refused with `CannotEnumerate`, never approximated.
"""

from __future__ import annotations

from scd_analysis.errors import CannotEnumerate
from scd_analysis.exact.checks import assert_exact
from scd_analysis.exact.draws import Draws, EnumeratedDraws, Race, SampledDraws
from scd_analysis.exact.engine import exact_law
from scd_analysis.exact.law import Comparison, ExactLaw
from scd_analysis.exact.loop import Loop
from scd_analysis.exact.target import exact_target_law

__all__ = [
    "CannotEnumerate",
    "Comparison",
    "Draws",
    "EnumeratedDraws",
    "ExactLaw",
    "Loop",
    "Race",
    "SampledDraws",
    "assert_exact",
    "exact_law",
    "exact_target_law",
]
