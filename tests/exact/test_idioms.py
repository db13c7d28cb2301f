"""Every idiom of the table is enumerated to 1e-12; a law that is off by 1e-9 is told apart."""

from __future__ import annotations

import pytest

from scd_analysis.exact import assert_exact, exact_law
from tests.exact.idioms import IDIOMS


@pytest.mark.parametrize("name", IDIOMS)
def test_idiom(name: str) -> None:
    idiom = IDIOMS[name]
    law = assert_exact(idiom.sampler, idiom.law)
    assert abs(sum(law.probabilities.values()) - 1) < 1e-12


@pytest.mark.parametrize("name", ["gumbel_max", "multinomial_of_rows", "python_choices"])
def test_a_slightly_different_law_is_told_apart(name: str) -> None:
    idiom = IDIOMS[name]
    first, second, *_ = idiom.law
    wrong = {**idiom.law, first: idiom.law[first] + 1e-9, second: idiom.law[second] - 1e-9}
    with pytest.raises(AssertionError, match="law differs"):
        assert_exact(idiom.sampler, wrong)


def test_ignored_seeds_are_noted() -> None:
    notes = exact_law(IDIOMS["seeded_and_ignored"].sampler).notes
    assert "a torch.Generator was passed in and ignored" in notes
    assert "torch.manual_seed was called and ignored" in notes
    assert exact_law(IDIOMS["scaled_variate"].sampler).notes == ()
