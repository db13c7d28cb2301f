"""Every idiom of the table is enumerated to 1e-12 (that a law off by 1e-9 is told apart: `test_exact_law`)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scd_analysis.exact import assert_exact
from scd_analysis.exact.engine import law_from, runner
from scd_analysis.exact.explore import Explorer, Limits
from scd_analysis.exact.interception import Watch, intercepted
from tests.exact import idioms_moving
from tests.exact.idioms import IDIOMS

assert idioms_moving  # importing it fills the table


@pytest.fixture(scope="module")
def watch() -> Iterator[Watch]:
    """One interception for the whole table; `exact_law` sets up its own, which takes a tenth of a second."""
    with intercepted() as found:
        yield found


@pytest.mark.parametrize("name", IDIOMS)
def test_idiom(name: str, watch: Watch) -> None:
    idiom = IDIOMS[name]
    explorer = Explorer(runner(idiom.sampler, False), Limits(), watch.check)
    explorer.run()
    law = assert_exact(law_from(explorer.tally, False), idiom.law)
    assert abs(sum(law.probabilities.values()) - 1) < 1e-12
