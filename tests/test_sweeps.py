"""Arithmetic of the studies behind figures: strata, codebook usage, and what SJD-VP's analyses count."""

import numpy as np
import pytest
import torch
import xarray as xr

import reference
from studies.methods_compared import excess, surprise, usage
from studies.passes import passes_and_entropy, speedup_row, stratified
from studies.processors import Sweep, measure
from studies.vp_motivation import EDGES, LAWS, tally, triples


def test_only_the_spread_within_strata_counts():
    """Two strata, means 0 and 10, each value +-1: the interval is that of a spread of about one, not of five."""
    parts = [np.tile([-1.0, 1.0], 8), np.tile([9.0, 11.0], 8)]
    mean, low, high = stratified(parts)
    assert mean == 5
    assert high - mean == pytest.approx(mean - low)
    assert 0.3 < high - mean < 0.45  # 2.04 * sqrt(32 / 30) / sqrt(32)
    assert stratified([np.zeros(4), np.full(4, 10.0)])[1:] == (5.0, 5.0)


def test_speedup_is_tokens_over_mean_passes_with_its_interval_inverted():
    row = speedup_row(np.array([8, 10, 12]), 100)
    assert row["speedup"] == 10
    assert row["speedup_low"] == pytest.approx(100 / row["mean_nfe_high"])
    assert row["speedup_low"] < 10 < row["speedup_high"]


def test_entropy_is_that_of_the_laws_committed_from():
    """A model of one law: its entropy, ln 2, whatever the decoder does."""

    class Coin:
        vocab_size, num_tokens = 2, 5

        def next_token_probs(self, tokens):
            return torch.full((len(tokens), tokens.shape[1] + 1, 2), 0.5)

    passes, entropy = passes_and_entropy(Coin(), "sjd", 3, 4, 0)
    assert passes.shape == entropy.shape == (4,)
    np.testing.assert_allclose(entropy, np.log(2), rtol=1e-6)


def test_usage_in_excess_is_small_for_the_same_law_and_large_for_another():
    rng = np.random.default_rng(0)
    right = usage(rng.integers(8, size=(40, 50)), 8)
    value, low, high = excess(usage(rng.integers(8, size=(20, 50)), 8), right, seed=0)
    assert low < value < high
    assert abs(value) < 0.05
    value, low, _ = excess(usage(rng.integers(4, size=(20, 50)), 8), right, seed=0)
    assert 0.3 < low < value < 0.6


def test_surprise_is_the_entropy_on_average():
    model = reference.TabularModel.random(vocab_size=3, num_tokens=4, concentration=0.7, seed=0)
    bits, entropy = surprise(model, reference.decode(model, "sjd", 3, 400, 0, None, progress=False).tokens)
    assert abs((bits - entropy).mean()) < 4 * (bits - entropy).std() / 20
    constant = torch.zeros(2, 4, dtype=torch.long)
    law = model.next_token_probs(constant[:, :-1])[0, :, 0]
    assert surprise(model, constant)[0][0] == pytest.approx(-float(law.log2().mean()), rel=1e-6)


@pytest.mark.parametrize(
    ("name", "sharp", "neutral"), [("temperature", 0.2, 1.0), ("top_p", 0.3, 1.0), ("top_k", 2, 1024)]
)
def test_a_setting_of_a_sweep_is_in_the_law(name, sharp, neutral):
    """The neutral setting is the model itself; a sharp one is another law, of less entropy."""
    sweep = Sweep(name, name, "", (sharp, neutral))
    prefix, plain = torch.zeros(1, 3, dtype=torch.long), reference.load_model("photos")
    laws = [model.next_token_probs(prefix) for model in (plain, sweep.model(neutral), sweep.model(sharp))]
    assert torch.equal(laws[0], laws[1])
    entropy = [-(law * law.clamp(min=1e-30).log()).sum(-1).mean() for law in laws]
    assert entropy[2] < entropy[0] - 0.1


def test_a_row_of_a_sweep_holds_passes_and_entropy():
    model = reference.TabularModel.random(vocab_size=3, num_tokens=4, concentration=0.7, seed=0)
    row = measure(model, "scd-mc", 3, 8, 0)
    passes, entropy = passes_and_entropy(model, "scd-mc", 3, 8, 0)
    assert row["speedup"] == pytest.approx(4 / passes.mean())
    assert row["entropy"] == pytest.approx(entropy.mean())
    assert row["entropy_low"] < row["entropy"] < row["entropy_high"]


@pytest.fixture
def trace():
    """Three passes of a window of two over three positions; position 2 is in it at passes 1 and 2 only."""
    laws = np.full((1, 3, 2, 2), np.nan)
    laws[0, 0] = [[0.5, 0.5], [0.8, 0.2]]
    laws[0, 1] = [[0.5, 0.5], [0.6, 0.4]]
    laws[0, 2] = [[0.3, 0.7], [0.5, 0.5]]
    return xr.Dataset(
        {
            "base": (("sequence", "iteration"), [[0.0, 0.0, 1.0]]),
            "target_probs": (("sequence", "iteration", "slot", "vocab"), laws),
            "tokens": (("sequence", "position"), [[0, 1, 0]]),
        }
    )


def test_a_position_is_looked_at_over_three_passes_that_hold_it(trace):
    ((before, now, after, token),) = triples(trace, 0)
    assert (before.tolist(), now.tolist(), after.tolist(), token.tolist()) == (
        [[0.8, 0.2]],
        [[0.6, 0.4]],
        [[0.3, 0.7]],
        [1],
    )


def test_shares_are_those_of_the_tokens_that_rose(trace):
    """Token 1 rose from .2 to .4: chance .2, drafts now .4, verified .7, and it is the correct one."""
    sums = tally(trace, 0)
    assert sums["count"] == 1
    np.testing.assert_allclose(sums["risers"], [0.2, 0.4, 0.7, 1.0])
    np.testing.assert_allclose(sums["most"], [0.2, 0.4, 0.7, 1.0])
    rise, fall = np.digitize([np.log(2), np.log(0.75)], EDGES)
    np.testing.assert_allclose(sums["bins"][:, rise], [0.2, 0.4, 0.7, 1.0])
    np.testing.assert_allclose(sums["bins"][:, fall], [0.8, 0.6, 0.3, 0.0])
    assert len(LAWS) == 4
