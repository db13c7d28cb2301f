"""What a trace says: a hand-made trace of two sequences, and measured against predicted on real ones."""

import numpy as np
import pytest

import scd_analysis
from reference import TabularModel, decode
from scd_analysis.errors import InputError, UnknownNameError
from scd_analysis.trace import open_trace, validate
from scd_analysis.trace import trajectories as tr
from scd_analysis.trace.summary import summarise
from tests.statistics import ledger


@pytest.fixture(scope="module")
def by_hand():
    """One sequence of three tokens, window two, three passes.

    Pass 0: base 0, drafts (0, 1), the first is rejected and becomes 2, the second is redrafted 1 -> 0.
    Pass 1: base 1, drafts (0, 1): position 1 rejected, becomes 1; position 2 redrafted, 1 -> 1.
    Pass 2: base 2, draft (1), accepted.
    """
    writer = scd_analysis.TraceWriter(vocab_size=3, num_tokens=3, window=2, decoder="hand")
    tv = [[[0.5, 0.25]], [[0.75, 0.5]], [[0.25, 0.0]]]
    for t, (base, drafts, after, accepted, age) in enumerate(
        [
            (0, [0, 1], [2, 0], [0, 1], [0, 0]),
            (1, [0, 1], [1, 1], [0, 0], [1, 0]),
            (2, [1, 0], [1, 0], [1, 0], [1, 0]),
        ]
    ):
        writer.append(
            base=[base],
            draft_token=[drafts],
            next_token=[after],
            accepted=[accepted],
            age=[age],
            total_variation=tv[t],
            collision_independent=[[0.3, 0.4]],
        )
    writer.finish_batch(tokens=[[2, 1, 1]], nfe=[3])
    writer.close()
    return open_trace(writer.store)


def test_acceptance_by_hand(by_hand):
    """Positions 1 and 2 were redrafted once each, with acceptance 1 - .75 and 1 - .25; position 0 never was."""
    (laid,) = tr.acceptance_trajectories(by_hand)
    np.testing.assert_array_equal(laid[0, :, 1], [0.75, 0.25, np.nan])
    tokens = tr.acceptance_by_token(by_hand)
    np.testing.assert_array_equal(tokens["mean"].values[0], [np.nan, 0.25, 0.75])
    np.testing.assert_array_equal(tokens["variance"].values[0], [np.nan, 0, 0])
    np.testing.assert_array_equal(tokens["accepted"].values[0], [np.nan, 0, 1])


def test_a_sequence_took_a_pass_at_least(by_hand):
    assert tr.speedup(by_hand).value == 1
    none = by_hand.assign(nfe=by_hand["nfe"] * 0)
    with pytest.raises(InputError, match="0 passes a sequence"):
        summarise(none)
    with pytest.raises(InputError, match=r"nfe\[0\] = 0.0: must lie between 1"):
        validate(none)


def test_a_position_waits_no_longer_than_there_were_passes(by_hand):
    """Figures and reports count by age, in a row of as many cells as passes."""
    for beyond in (by_hand.sizes["iteration"] + 1, 100, 2**31 - 1):
        with pytest.raises(
            InputError, match=rf"age\[0, 0, 0\] = .*: must lie between 0 and {by_hand.sizes['iteration']}"
        ):
            validate(by_hand.assign(age=by_hand["age"] * 0 + beyond))


def test_distances_by_hand(by_hand):
    """Position 1 goes 1 -> 0 and position 2 stays 1 from one pass to the next: half of the pairs differ."""
    assert tr.hamming_distance(by_hand, 1).tolist() == [0.5]
    assert np.isnan(tr.hamming_distance(by_hand, 2)).all()
    assert tr.instability(by_hand).tolist() == [1.0]  # 0 -> 2, 1 -> 0 and 0 -> 1: three changes, three tokens


def test_collisions_by_hand(by_hand):
    """Two redrafts: position 1 at pass 0 (changed, predicted .4), position 2 at pass 1 (kept, predicted .4)."""
    found = tr.collisions(by_hand, "independent")
    assert found.measured.value == 0.5
    assert found.predicted.value == pytest.approx(0.4)
    assert tr.collisions(by_hand, "maximal").predicted.value == pytest.approx((0.75 + 0.5) / 2)


def test_passes_by_hand(by_hand):
    assert tr.commit_lengths(by_hand).tolist() == [0, 3, 0, 0]
    assert tr.speedup(by_hand).value == 1.0
    assert summarise(by_hand)["draft_changes_per_token"] == 1.0


def test_the_interval_of_a_mean():
    """Student's interval of 1, 2, 3: 2 +- 4.3027 / sqrt(3); NaN left out."""
    found = tr.mean_interval([1.0, 2.0, 3.0, np.nan])
    assert (found.value, found.n) == (2.0, 3)
    assert found.high - 2 == pytest.approx(4.302652729911275 / np.sqrt(3), rel=1e-6)
    with pytest.raises(InputError, match="none is left"):
        tr.mean_interval([np.nan])
    with pytest.raises(InputError, match="level = 1"):
        tr.mean_interval([1.0], level=1.0)


LEVEL = 1 - 2e-7
RATE = ledger("trajectories: measured collisions and acceptance, three methods", 6 * 2e-7, power=0.999, resolution=0.02)
COUPLED = [("sjd", "independent"), ("scd-mc", "maximal"), ("scd-gs", "gumbel")]


@pytest.fixture(scope="module")
def runs():
    model = TabularModel.random(4, 8, 0.6, seed=1)
    return {method: decode(model, method, window=5, num_sequences=6000, seed=2).trace for method, _ in COUPLED}


@pytest.mark.parametrize(("method", "coupling"), COUPLED)
def test_measured_collisions_are_those_predicted(runs, method, coupling):
    difference = tr.collisions(runs[method], coupling, level=LEVEL).difference
    assert difference.low <= 0 <= difference.high
    assert difference.high - difference.low < 0.05


@pytest.mark.parametrize(("method", "coupling"), COUPLED)
def test_acceptance_is_one_minus_total_variation(runs, method, coupling):
    trace = runs[method]
    surplus = (trace.accepted - (1 - trace.total_variation)).isel(slot=0).sum("iteration")  # a martingale
    difference = tr.mean_interval(surplus.values, level=LEVEL)
    assert difference.low <= 0 <= difference.high


@pytest.mark.slow
def test_the_comparison_can_fail(runs):
    """The twin: SJD's collisions are not those of the maximal coupling."""
    difference = tr.collisions(runs["sjd"], "maximal", level=LEVEL).difference
    assert difference.high < 0


def test_bad_arguments_are_named(by_hand):
    for call, error, message in (
        (lambda: tr.hamming_distance(by_hand, 0), InputError, "lag = 0"),
        (lambda: tr.collisions(by_hand, "optimal"), UnknownNameError, "independent, maximal, gumbel"),
        (lambda: list(tr.read(by_hand, ("base",), 0)), InputError, "chunk = 0"),
    ):
        with pytest.raises(error, match=message):
            call()
