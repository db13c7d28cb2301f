"""Audits of the net say what they said; `python -m tests.net` compares all of them, byte for byte."""

import pytest

from tests.net import stored
from tests.net.subjects import SUBJECTS
from tests.net.texts import printed

DIGITS = 1e-5
"""Another machine's arithmetic differs in the last digits of float64, and these in what bets make of them."""


@pytest.fixture(scope="module")
def verdicts():
    return stored.load("verdicts")


def test_every_subject_is_stored(verdicts):
    assert set(verdicts) == set(SUBJECTS)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(SUBJECTS)[::3])  # the tool runs all; these take half a minute
def test_a_verdict_is_as_it_was(name, verdicts):
    assert not stored.differences(verdicts[name], stored.of_verdict(SUBJECTS[name]()), DIGITS)


@pytest.mark.slow
def test_the_command_line_prints_what_it_printed():
    assert not stored.differences(stored.load("texts"), printed(), DIGITS)


def test_a_difference_is_seen():
    kept = {"outcome": "REFUTED", "log_e_value": 14.0, "text": ["ln E = 14.00 after 12 sequences"]}
    assert not stored.differences(kept, {**kept, "log_e_value": 14.0 + 1e-9}, DIGITS)
    for other in ({"outcome": "NOT_REFUTED"}, {"log_e_value": 14.1}, {"text": ["ln E = 15.00 after 12 sequences"]}):
        assert stored.differences(kept, {**kept, **other}, DIGITS)
