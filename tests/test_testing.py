"""The assertion for other people's suites passes a lossless decoder and fails one that is not."""

import pytest

from reference import TabularModel
from reference.subjects import subject
from scd_analysis.testing import assert_lossless
from tests.statistics import ledger

RATE = ledger("testing: assert_lossless on SCD-MC", 1e-6, power=0.99, resolution=0.06)


def test_a_lossless_decoder_passes():
    model = TabularModel.random(3, 3, 0.7, seed=3)
    verdict = assert_lossless(subject("scd-mc", 3), model, alpha=RATE, max_sequences=4000)
    assert verdict.num_sequences == 4000


def test_another_fails_with_the_verdict_as_message():
    model = TabularModel.random(3, 3, 0.7, seed=3)
    sharper = TabularModel([table**1.3 / (table**1.3).sum(-1, keepdims=True) for table in model_tables(model)])
    with pytest.raises(AssertionError, match="REFUTED"):
        assert_lossless(lambda _, n, seed: subject("sjd", 3)(sharper, n, seed), model, max_sequences=20_000)


def model_tables(model):
    sizes = [model.vocab_size**k for k in range(model.num_tokens)]
    return [part.numpy() for part in model.laws.split(sizes)]
