"""Claims about strategies, one verb each. Repeatable: Hypothesis is derandomized, so none of this is stochastic."""

import pytest
from hypothesis import Phase, find, settings
from hypothesis.errors import NoSuchExample

REPEATABLE = settings(derandomize=True, database=None, deadline=None, max_examples=1_000, report_multiple_bugs=False)


def minimal(strategy, holds=lambda _: True):
    """What an example shrinks to under a condition."""
    return find(strategy, holds, settings=settings(REPEATABLE, max_examples=300))


def find_any(strategy, holds):
    """An example of a condition, as it comes."""
    return find(strategy, holds, settings=settings(REPEATABLE, phases=[Phase.generate]))


def assert_no_examples(strategy, holds):
    with pytest.raises(NoSuchExample):
        find(strategy, holds, settings=settings(REPEATABLE, phases=[Phase.generate], max_examples=200))
