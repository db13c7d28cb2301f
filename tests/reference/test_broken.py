"""Planted faults: batched and plain form agree, the exact law is wrong by a stated amount, the list covers theory."""

import math
from collections import Counter

import numpy as np
import pytest

from reference import TabularModel
from reference.broken import faults, get_fault
from reference.broken.fault import small_model
from scd_analysis import exact_law
from scd_analysis.conditions import Condition
from scd_analysis.errors import UnknownNameError
from scd_analysis.exact import exact_target_law
from scd_analysis.exact.loop import as_loop
from tests.reference.keyed import KeyedDraws
from tests.statistics import assert_same_law, ledger

FAULTS = faults()
WINDOW = 3


NEED_FOUR = {"uniform-declared", "bonus-from-last-row", "shared-gumbel-row"}
"""Faults that a window of three does not show on three tokens."""


def tiny(fault):
    """Three tokens instead of four where that is enough: a tenth of the branches."""
    short = fault.model is small_model and fault.name not in NEED_FOUR
    return TabularModel.random(3, 3, 0.7, seed=0) if short else fault.model()


def written_out(fault, model):
    return exact_law(as_loop(fault.loop(model, WINDOW)), intercept=False)


@pytest.mark.parametrize("window", [1, 4])
@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.same_noise and fault.run is None])
def test_batched_and_plain_form_give_the_same_tokens(name, window):
    fault = FAULTS[name]
    model = fault.model()
    out, plain = fault.decode(model, window, 12, seed=11), fault.loop(model, window)
    for i in range(12):
        tokens, passes = plain.run(KeyedDraws(11, i, model.vocab_size))
        assert (list(tokens), passes) == (out.tokens[i].tolist(), int(out.nfe[i]))


def check_is_wrong(law, model):
    """By at least 0.002 in total variation, or it would be no fault."""
    assert math.fsum(law.probabilities.values()) == pytest.approx(1, abs=1e-12)
    assert law.total_variation(exact_target_law(model)) > 2e-3


OTHER_NOISE = [name for name, fault in FAULTS.items() if not fault.same_noise]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in FAULTS if name not in ("one-seed-for-two", *OTHER_NOISE)])
def test_the_exact_law_is_wrong(name):
    model = tiny(FAULTS[name])
    check_is_wrong(written_out(FAULTS[name], model), model)


@pytest.mark.slow
def test_one_seed_for_two_is_right_alone_and_wrong_together():
    fault = get_fault("one-seed-for-two")
    out = fault.decode(fault.model(), WINDOW, 41, seed=3, record="scalars")
    assert (out.tokens[0:40:2] == out.tokens[1:41:2]).all()
    assert out.trace.sizes["sequence"] == 41
    law = exact_law(as_loop(fault.loop(fault.model(), 2)), intercept=False)
    assert law.total_variation(exact_target_law(fault.model())) < 1e-12


SAME = ledger("broken: faults with noise of their own have their plain twin's law", 1e-6, power=0.99, resolution=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHER_NOISE)
def test_faults_with_noise_of_their_own_are_wrong_and_have_the_law_of_their_twin(name):
    fault = FAULTS[name]
    model = tiny(fault)
    law, tokens = written_out(fault, model), fault.decode(model, WINDOW, 100_000, seed=5).tokens
    check_is_wrong(law, model)
    cells = sorted(exact_target_law(model))
    seen = Counter(map(tuple, tokens.tolist()))
    counts = np.array([seen[cell] for cell in cells])
    probs = np.array([law.probabilities.get(cell, 0.0) for cell in cells])
    assert_same_law(counts, probs, false_fail_rate=SAME / len(OTHER_NOISE))
    target = np.array(list(map(exact_target_law(model).get, cells)), dtype=float)
    with pytest.raises(AssertionError):  # the twin: the target's law is not theirs
        assert_same_law(counts, target, false_fail_rate=SAME)


def test_the_faults_cover_the_five_conditions():
    count = Counter(fault.condition for fault in FAULTS.values())
    assert len(FAULTS) >= 36
    assert min(count[condition] for condition in Condition) >= 4
    assert sum(fault.rival for fault in FAULTS.values()) >= 6
    for name, fault in FAULTS.items():
        assert name == fault.name
        assert fault.summary
        assert fault.source


def test_an_unknown_fault_is_named():
    with pytest.raises(UnknownNameError, match="fault='nothing' is not known; known: argmax-draft"):
        get_fault("nothing")
