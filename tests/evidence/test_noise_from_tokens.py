"""Bets on noise that is used twice, and on some sequences of another temperature: exact, of known cost, and found."""

from __future__ import annotations

import numpy as np
import pytest

from scd_analysis.evidence.batch import make_batch
from scd_analysis.evidence.by_sequence import of_sequences
from scd_analysis.evidence.catalogue import standard_portfolio
from scd_analysis.evidence.earlier_noise import EARLIER_NOISE, of_earlier_noise
from scd_analysis.evidence.portfolio import Portfolio
from tests.evidence.batches import assert_exact_martingale
from tests.evidence.decoders import Floats, Longs, random_tables
from tests.statistics import ledger

STANDS = {
    of: ledger(f"noise from tokens: a right decoder is not refuted at 1e-7, {of}", 1e-7)
    for of in ("race", "variate", "garbage")
}


@pytest.mark.parametrize(
    "families",
    [
        of_earlier_noise(4, by_position=True),
        of_earlier_noise(4, by_position=False),
        of_sequences(),
    ],
    ids=["by position", "for all", "by sequence"],
)
def test_the_bets_are_exact_martingales(families) -> None:
    history = np.random.default_rng(0).integers(3, size=(60, 4))
    history[:, 1] = history[:, 0]
    assert_exact_martingale(Portfolio(families), random_tables(3, 4, 0.8, np.random.default_rng(3)), history)


def _race(laws: Floats, noise: Floats) -> Longs:
    return np.asarray((np.log(laws) - np.log(-np.log(noise))).argmax(axis=-1))


def _inverse_cdf(laws: Floats, noise: Floats) -> Longs:
    return np.asarray((laws.cumsum(axis=-1) < noise[..., :1]).sum(axis=-1).clip(max=laws.shape[-1] - 1))


def _garbage(laws: Floats, noise: Floats) -> Longs:
    """Every sixteenth sequence is even over the vocabulary."""
    laws = laws.copy()
    laws[::16] = 1 / laws.shape[-1]
    return _inverse_cdf(laws, noise)


@pytest.mark.parametrize(
    ("name", "draw", "family", "word"),
    [
        ("race", _race, "earlier-noise", "Gumbel noise that drew the one before"),
        ("variate", _inverse_cdf, "earlier-noise", "the variate that drew the one before"),
        ("garbage", _garbage, "by-sequence", "some sequences are drawn from flatter laws"),
    ],
)
def test_what_they_are_for_is_found_and_said(name, draw, family, word) -> None:
    """Noise of a tenth of the tokens is that of the token before; or a sixteenth of the sequences is garbage.

    On the seed tried, and not where every token has noise of its own.
    """
    rng = np.random.default_rng(4)
    for wrong in (False, True):
        laws = rng.dirichlet(np.full(8, 0.6), size=(400, 24))
        noise = rng.random((400, 24, 8))
        if wrong and name != "garbage":
            again = rng.random((400, 23)) < 0.1
            noise[:, 1:] = np.where(again[..., None], noise[:, :-1], noise[:, 1:])
        tokens = (draw if wrong else _race)(laws, noise)
        portfolio = standard_portfolio(8, 24)
        for part in make_batch(tokens, laws, rng.random(tokens.shape)).chunks(0, 0.25, 16):
            portfolio.bet(part)
        if not wrong:
            assert portfolio.log_e_value < -np.log(STANDS[name])
    assert portfolio.log_e_value > np.log(1e6)
    found = {one.name: one for one in portfolio.families()}
    assert found[family].log_e_value > np.log(1e6)
    assert word in found[family].message


@pytest.mark.parametrize(("vocab_size", "num_tokens"), [(3, 4), (16, 64), (2000, 64)])
def test_what_they_cost_the_other_bettors_is_known(vocab_size: int, num_tokens: int) -> None:
    """At most 0.14 nats together; races are left out where a vocabulary is too large for them."""
    members = standard_portfolio(vocab_size, num_tokens).members
    total = sum(family.weight for family in members)
    own = sum(family.weight for family in members if family.name in ("earlier-noise", "by-sequence"))
    assert 0 < np.log(total / (total - own)) < 0.14
    assert "earlier-noise" not in {family.name for family in standard_portfolio(5000, 4).members}


def test_nothing_is_bet_on_a_first_token() -> None:
    """There is none before it; and a sequence of one token is left alone."""
    rng = np.random.default_rng(0)
    batch = make_batch(rng.integers(3, size=(5, 1)), rng.dirichlet(np.ones(3), size=(5, 1)), np.zeros((5, 1)))
    assert all((feature.values(batch) == 0).all() for feature in EARLIER_NOISE)
