"""``assert_batch_invariant``: draws that are keyed by sequence pass, draws of a whole batch do not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import reference
from scd_analysis.errors import InputError
from scd_analysis.testing import assert_batch_invariant

MODEL = reference.TabularModel.random(vocab_size=3, num_tokens=4, concentration=0.7, seed=0)


def keyed(model, num_sequences, seed):
    """Each sequence has a generator of its own."""
    return reference.decode(model, "scd-gs", window=3, num_sequences=num_sequences, seed=seed).tokens


def of_the_batch(model, num_sequences, seed):
    """As lossless, but what a row draws depends on how many there are: position by position, for all rows at once."""
    rng = np.random.default_rng(seed)
    tokens = np.zeros((num_sequences, model.num_tokens), dtype=np.int64)
    for j in range(model.num_tokens):
        laws = np.asarray(model.next_token_probs(torch.from_numpy(tokens[:, :j].copy())))[:, j]
        tokens[:, j] = np.minimum((laws.cumsum(1) < rng.random((num_sequences, 1))).sum(1), model.vocab_size - 1)
    return tokens


def only_of_eight(model, num_sequences, seed):
    """A decoder that takes another path for eight rows, whose last row is wrong."""
    tokens = keyed(model, num_sequences, seed).numpy()
    if num_sequences == 8:
        tokens[7, 2] = (tokens[7, 2] + 1) % 3
    return tokens


def test_draws_keyed_by_sequence_do_not_depend_on_the_batch():
    assert assert_batch_invariant(keyed, MODEL, seeds=(5,)) == (1 + 2 + 3 + 8) * 4


def test_a_trace_is_compared_by_its_tokens():
    def traced(model, num_sequences, seed):
        return reference.decode(model, "scd-mc", window=3, num_sequences=num_sequences, seed=seed)

    assert assert_batch_invariant(traced, MODEL, sizes=(1, 4), seeds=(0,)) == 4


def test_draws_of_a_whole_batch_fail():
    with pytest.raises(AssertionError, match="of_the_batch with seed = 0 depends on the batch: in batches of 17 and"):
        assert_batch_invariant(of_the_batch, MODEL)


def test_a_row_that_is_wrong_in_some_sizes_is_named():
    assert_batch_invariant(only_of_eight, MODEL, sizes=(1, 4), seeds=(0,))
    with pytest.raises(AssertionError, match="position 2 of sequence 7 has the tokens"):
        assert_batch_invariant(only_of_eight, MODEL, sizes=(8, 17))


def test_what_is_not_repeated_is_told_apart():
    calls = iter(range(100))

    def random(model, num_sequences, seed):
        return np.full((num_sequences, 3), next(calls))

    with pytest.raises(AssertionError, match="decoded twice in batches of 4, position 0 of sequence 0"):
        assert_batch_invariant(random, sizes=(2, 4))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sizes": (4,)}, r"sizes = \[4\]: two different ones"),
        ({"sizes": (4, 0)}, r"sizes\[1\] = 0"),
        ({"seeds": ()}, "seeds is empty"),
    ],
)
def test_bad_input_is_named(options, words):
    with pytest.raises(InputError, match=words):
        assert_batch_invariant(keyed, MODEL, **options)
    with pytest.raises(InputError, match=r"expected Long\[17, N\]"):
        assert_batch_invariant(lambda model, num_sequences, seed: np.zeros(3))
