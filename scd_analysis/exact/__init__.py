"""The exact law of any sampler, by replaying its random choices.

``exact_law(sampler)`` runs an unmodified sampler along every path of its random choices and returns the law of what it
returns, with no statistical error; code that cannot be followed is refused with `CannotEnumerate`, never approximated.

============================  ==================================================================================
followed                      how
============================  ==================================================================================
multinomial, randint, ...     each result is a branch; put off until somebody looks at it
uniform variates              an interval on [0, 1), cut when a monotone function of it is compared with a number
exponential, Gumbel noise     a point of the simplex; every argmax, sort or comparison cuts its cell
without a common scale        an argmax or comparison of several, the sum or product of two: one integral, used once
moving, selecting, copying    by a shadow of each tensor's memory, so views and in-place writes are right
refused                       three variates in one sum or product that decides; normal variates that decide;
                              race noise compared with a number; variates that leave through a plain float
============================  ==================================================================================

The parts, from below: `arithmetic`, `refusals`, `tree` (replay), ``geometry`` (functions of one variate, cells of
several), `knowledge` (what is known about the variates of a run), `run`, `numbers` (what random numbers do and decide),
``torch``, `numpy_draws`, `python_draws`, `interception`, `patches` (audited code), `draws`, `loop` (our own),
`explore`, `recurrence`, `workers`, `law`, `target`, `engine`, `checks`, `judged`, `report`.
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
