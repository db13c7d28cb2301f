"""Moments that are known without writing a direction out are those of the direction written out."""

import numpy as np
import pytest

from scd_analysis.evidence.batch import make_batch
from scd_analysis.evidence.features import Feature, features, features_of_long_sequences, first_token, run, sharpness
from scd_analysis.evidence.moments import AtToken, MidPit, Numbered, Scaled, moments


def batch_of(rng, sequences=40, tokens=6, vocab=7):
    laws = rng.dirichlet(np.full(vocab, 0.5), size=(sequences, tokens))
    laws[:, 2, 3] = 0  # a zero and a tie
    laws[:, 2, 4] = laws[:, 2, 5]
    laws /= laws.sum(-1, keepdims=True)
    drawn = (rng.random((sequences, tokens, 1)) > laws.cumsum(-1)).sum(-1).clip(max=vocab - 1)
    return make_batch(drawn, laws, rng.random((sequences, tokens)), grid_width=3)


def by_hand(values, batch):
    """Mean and variance as sums over the vocabulary."""
    mean = (batch.target_probs * values).sum(-1)
    variance = (batch.target_probs * (values - mean[..., None]) ** 2).sum(-1)
    own = np.take_along_axis(values, batch.tokens[..., None], -1)[..., 0]
    return own - mean, mean, variance


ALL = features((), 3) + features_of_long_sequences(3)


@pytest.mark.parametrize("feature", ALL, ids=lambda f: f.name)
def test_moments_are_those_of_the_direction_written_out(feature: Feature):
    batch = batch_of(np.random.default_rng(0))
    for found, expected in zip(moments(feature.values, batch, {}), by_hand(feature.values(batch), batch), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-9)


def test_a_wrong_moment_would_be_seen():
    batch = batch_of(np.random.default_rng(0))

    class Shifted(Numbered):
        def numbers(self, batch):
            score, mean, variance = super().numbers(batch)
            return score, mean, variance * 1.01

    found, expected = moments(Shifted(0.0, 1.0), batch, {}), by_hand(Numbered(0.0, 1.0)(batch), batch)
    assert not np.allclose(found[2], expected[2], atol=1e-9)


def test_what_is_scaled_is_read_once():
    """The base of several directions is written out once a batch."""
    calls = []

    def counted(batch):
        calls.append(1)
        return sharpness(batch)

    batch, known = batch_of(np.random.default_rng(0)), {}
    for factor in (0.5, 1.0):
        moments(Scaled(counted, lambda batch, factor=factor: np.full(batch.tokens.shape, factor)), batch, known)
    assert len(calls) == 1


def test_a_token_that_is_not_there_says_nothing():
    batch = batch_of(np.random.default_rng(0))
    nowhere = AtToken(lambda batch: np.full(batch.tokens.shape, -1))
    assert not nowhere(batch).any()
    assert all(not part.any() for part in moments(nowhere, batch, {}))
    assert np.abs(moments(MidPit("rank"), batch, {})[0]).max() > 0


def test_tokens_that_may_come_again_by_hand():
    """The first of a sequence, and the one of a run; the last token of a sequence tells nothing."""
    tokens = np.array([[2, 1, 1, 1, 2, 0], [0, 0, 3, 3, 1, 4]])
    batch = make_batch(tokens, np.full((2, 6, 5), 0.2), np.full((2, 6), 0.5))
    assert first_token.token(batch).tolist() == [[-1, 2, 2, 2, 2, 2], [-1, 0, 0, 0, 0, 0]]
    assert run.token(batch).tolist() == [[-1, -1, -1, 1, 1, -1], [-1, -1, 0, -1, 3, -1]]


def test_where_directions_of_long_sequences_bet():
    """Early, and in the first quarter of rows after the first."""
    batch = make_batch(np.zeros((1, 24), dtype=int), np.full((1, 24, 2), 0.5), np.full((1, 24), 0.5), grid_width=8)
    where = {f.name: np.flatnonzero(f.values(batch)[0].any(-1)).tolist() for f in features_of_long_sequences(8)}
    starts = [8, 9, 16, 17]
    assert where == {
        "first-token": list(range(1, 24)),
        "first-token-early": [1, 2],
        "sharpness-early": [0, 1, 2],
        "run-at-row-start": starts,
        "sharpness-at-row-start": starts,
    }
