"""Laws of long sequences over large vocabularies, read in pieces: as if whole, twice, and in little memory."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

import scd_analysis
from scd_analysis.audit import target as asked
from scd_analysis.audit.target import Target
from scd_analysis.errors import CausalityError, LawError
from scd_analysis.evidence import pieces
from scd_analysis.evidence.batch import Batch, make_batch
from scd_analysis.evidence.catalogue import standard_portfolio
from scd_analysis.evidence.features import features
from scd_analysis.evidence.pieces import LawsInPieces
from scd_analysis.evidence.portfolio import Family, Portfolio

VOCABULARY, LENGTH = 4_100, 50
TOLERANCE = 1e-4


class Counted(np.ndarray):
    """An array that counts the entries that are picked out of it."""

    read = 0

    def __getitem__(self, key):
        found = super().__getitem__(key)
        is_view = isinstance(key, slice)  # of some sequences, which reads nothing
        if isinstance(found, Counted) and found.ndim == 3 and found.shape[2] == self.shape[2] and not is_view:
            Counted.read += found.size
        return found


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(pieces, "AT_ONCE", 16 * VOCABULARY)


def laws_of(rng, sequences=1):
    laws = np.exp(2 * rng.standard_normal((sequences, LENGTH, VOCABULARY))).astype(np.float32)
    laws[:, 7, ::3] = 0  # impossible tokens, and ties
    laws[:, 20, 5:9] = laws[:, 20, 4:5]
    return laws / laws.sum(axis=-1, keepdims=True)


def batches(seed=0):
    """One sequence with its laws whole and in pieces; tokens come again, as a penalty on repetition looks at."""
    rng = np.random.default_rng(seed)
    laws = laws_of(rng)
    tokens = rng.integers(1, 30, size=(1, LENGTH)) * 3 + 1
    whole = make_batch(tokens, laws.astype(np.float64) / laws.sum(axis=-1, keepdims=True, dtype=np.float64),
                       rng.random(tokens.shape), grid_width=5)  # fmt: skip
    return whole, replace(whole, target_probs=LawsInPieces(laws, "laws", TOLERANCE), known={})


def growth(batch, portfolio):
    portfolio.bet(batch)
    return portfolio.log_wealth


def portfolio_of(grid_width=5):
    return standard_portfolio(VOCABULARY, LENGTH, grid_width=grid_width, in_batches=True)


def test_bets_are_those_of_whole_laws():
    (whole, in_pieces), portfolios = batches(), (portfolio_of(), portfolio_of())
    for _ in range(2):  # what was learned of the first is bet on the second
        found, expected = (growth(batch, one) for batch, one in zip((in_pieces, whole), portfolios, strict=True))
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
        whole, in_pieces = batches(1)


def test_a_piece_that_forgot_the_law_before_would_be_seen(monkeypatch):
    own = LawsInPieces.piece

    def forgetful(self, batch, start, rooms):
        found = own(self, batch, start, rooms)
        return replace(found, piece=replace(found.piece, before=found.target_probs))

    monkeypatch.setattr(LawsInPieces, "piece", forgetful)
    whole, in_pieces = batches()
    apart = np.abs(growth(in_pieces, portfolio_of()) - growth(whole, portfolio_of()))
    assert apart.max() > 1e-6


def test_an_index_gives_what_it_gives_of_the_whole():
    whole, in_pieces = batches()
    laws, lazy = whole.target_probs, in_pieces.target_probs
    at = np.array([0, 0]), np.array([3, 7])
    mask = np.zeros((1, LENGTH), dtype=bool)
    mask[0, [2, 9]] = True
    tokens = whole.tokens[..., None]
    for read in (
        lambda one: one[0, 3],
        lambda one: one[at],
        lambda one: one[mask],
        lambda one: one[:, 4:6],
        lambda one: one[..., 11],
        lambda one: one[:, :, [3, 4]],
        lambda one: one[:, None, 2],
        lambda one: np.take_along_axis(one, tokens, axis=-1),
        lambda one: np.asarray(one[:1]),
        lambda one: one > 0.001,
        lambda one: one.sum(axis=-1),
        lambda one: one - laws,
    ):
        np.testing.assert_array_equal(read(lazy), read(laws))
    np.testing.assert_allclose(lazy.max(axis=-1), laws.max(axis=-1), rtol=1e-15)


def readings(portfolio):
    """How often the laws are read, to see that they are laws and to bet."""
    rng = np.random.default_rng(0)
    laws, Counted.read = laws_of(rng).view(Counted), 0
    tokens = rng.integers(1, 30, size=(1, LENGTH)) * 3 + 1
    portfolio.bet(Batch(tokens, LawsInPieces(laws, "laws", TOLERANCE), rng.random(tokens.shape), grid_width=5))
    return Counted.read / laws.size


def test_laws_are_read_twice():
    assert 2 <= readings(portfolio_of()) < 2.2  # every piece reads the law before it, too


def test_a_bettor_that_reads_for_itself_would_be_counted():
    class Own:
        arms = ("own",)

        def bet(self, batch):
            return np.zeros((len(batch), 1)) * sum(feature.values(batch).sum() for feature in features()[:1])

    assert readings(Portfolio([*portfolio_of().members, Family("own", 1, Own())])) > 2.9


def test_what_is_no_law_is_named():
    laws = laws_of(np.random.default_rng(0))
    for value, words in ((np.nan, "is NaN"), (-0.1, "is negative"), (0.5, "sums to")):
        wrong = laws.copy()
        wrong[0, 33, 7] = value
        with pytest.raises(LawError, match=rf"laws\[0, 33.*{words}"):
            LawsInPieces(wrong, "laws", TOLERANCE)


class Chain:
    """A model of a long sequence: the law of a token is one of a few, by the token before."""

    vocab_size, num_tokens = 8_192, 600

    def __init__(self):
        import torch

        self.table = torch.randn(8, self.vocab_size, generator=torch.Generator().manual_seed(0)).softmax(-1)

    def next_token_probs(self, tokens):
        import torch

        return self.table[torch.cat([tokens.new_zeros(len(tokens), 1), tokens], dim=1) % 8]


def draws(model, num_sequences, seed):
    """Draw from the chain, all tokens of a class at once."""
    rng, laws = np.random.default_rng(seed), model.table.double().numpy()
    drawn = [rng.choice(len(law), size=(num_sequences, model.num_tokens), p=law / law.sum()) for law in laws]
    tokens = np.zeros((num_sequences, model.num_tokens), dtype=np.int64)
    before = np.zeros(num_sequences, dtype=np.int64)
    for j in range(model.num_tokens):
        tokens[:, j] = before = np.array([drawn[b % 8][s, j] for s, b in enumerate(before)])
    return tokens


def audited():
    """An audit of two sequences, and the most memory that arrays took."""
    model = Chain()
    scd_analysis.audit(draws, model, max_sequences=1, progress=False)  # imports
    tracemalloc.start()
    try:
        verdict = scd_analysis.audit(draws, model, max_sequences=2, progress=False)
        return verdict, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_an_audit_holds_less_than_the_laws_of_a_sequence(monkeypatch):
    """The laws are the model's own, in float32, and outside of what is counted; as float64 they would be twice that."""
    of_a_sequence = 8 * Chain.vocab_size * Chain.num_tokens
    verdict, peak = audited()
    assert peak < 0.8 * of_a_sequence
    monkeypatch.setattr(asked, "LAWS_AT_ONCE", 2**30)  # as if they were few
    whole, peak = audited()
    assert peak > 2 * of_a_sequence
    assert verdict.log_e_value == pytest.approx(whole.log_e_value, rel=1e-9)


class Reusing(Chain):
    """It gives the same memory at every call; ``looks_ahead``: and the law of every token depends on the last one."""

    def __init__(self, *, looks_ahead):
        super().__init__()
        self.looks_ahead, self.memory = looks_ahead, None

    def next_token_probs(self, tokens):
        laws = super().next_token_probs(tokens)
        if self.looks_ahead:
            laws = laws.roll(int(tokens[0, -1]), dims=-1)
        self.memory = laws if self.memory is None or self.memory.shape != laws.shape else self.memory.copy_(laws)
        return self.memory


def test_a_model_that_writes_over_what_it_gave_is_checked_as_any_other():
    Target(Reusing(looks_ahead=False)).check(np.random.default_rng(0))
    with pytest.raises(CausalityError, match="changes with tokens at position 0 and later"):
        Target(Reusing(looks_ahead=True)).check(np.random.default_rng(0))
