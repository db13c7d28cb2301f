"""``assert_exact``: for test suites."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from scd_analysis.exact.arithmetic import Number
from scd_analysis.exact.engine import exact_law
from scd_analysis.exact.law import ExactLaw
from scd_analysis.exact.loop import Loop
from scd_analysis.exact.target import law_of


def assert_exact(
    sampler: Callable[..., Any] | Loop | ExactLaw,
    law: ExactLaw | Mapping[Any, Number] | Any,
    *,
    tolerance: float | None = None,
    **options: Any,
) -> ExactLaw:
    """Assert that a sampler has exactly a given law.

    Parameters
    ----------
    sampler
        As for `exact_law`, or a law that was computed before.
    law
        The law it should have: an `ExactLaw`, a dict, or a target model (then of its sequences).
    tolerance
        Largest total variation that passes. Default 1e-12; zero when both laws are rational.
    options
        Passed on to `exact_law`.

    Returns
    -------
    ExactLaw
        The sampler's law.

    Raises
    ------
    AssertionError
        With a table of the worst outcomes; also when the law is partial and its bounds decide nothing.
    """
    __tracebackhide__ = True  # pytest then shows the caller's line
    found = sampler if isinstance(sampler, ExactLaw) else exact_law(sampler, **options)
    expected = law_of(law, options.get("arithmetic", "float64"), "law")
    if tolerance is None:
        tolerance = 0.0 if found.rational and expected.rational else 1e-12
    low, high = found.total_variation_bounds(expected)
    if high <= tolerance:
        return found
    verdict = "the law differs" if low > tolerance else "too much mass is unexplored to tell"
    raise AssertionError(f"{verdict} (tolerance {tolerance:g}): {found.table(expected)}")
