"""Some idioms through the public function; a law that is off by 1e-9 is told apart."""

from __future__ import annotations

import pytest

from scd_analysis.exact import assert_exact, exact_law
from tests.exact import idioms_moving
from tests.exact.idioms import IDIOMS

assert idioms_moving  # importing it fills the table


def test_exact_law_agrees() -> None:
    assert_exact(IDIOMS["gumbel_max"].sampler, IDIOMS["gumbel_max"].law)


@pytest.mark.parametrize("name", ["gumbel_max", "multinomial_of_rows", "python_choices"])
def test_a_slightly_different_law_is_told_apart(name: str) -> None:
    idiom = IDIOMS[name]
    first, second, *_ = idiom.law
    wrong = {**idiom.law, first: idiom.law[first] + 1e-9, second: idiom.law[second] - 1e-9}
    with pytest.raises(AssertionError, match="law differs"):
        assert_exact(idiom.sampler, wrong)


@pytest.mark.slow
def test_ignored_seeds_are_noted() -> None:
    notes = exact_law(IDIOMS["seeded_and_ignored"].sampler).notes
    assert "a torch.Generator was passed in and ignored" in notes
    assert "a seed of torch was ignored" in notes
    assert exact_law(IDIOMS["scaled_variate"].sampler).notes == ()


def test_a_law_without_a_random_choice_says_so():
    """A sampler that hashes a counter has one path: its law is a point mass, and not the law it stands for."""
    (note,) = exact_law(lambda: hash((7, 3)) % 5 < 2).notes
    assert "no random choice was met" in note
