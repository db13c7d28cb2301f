"""The model that strategies draw, by hand."""

import pytest
import torch

from reference.models.base import TargetModel, check_model
from scd_analysis.errors import InputError, LawError
from scd_analysis.exact import exact_target_law
from scd_analysis.testing import TableModel

MODEL = TableModel(2, [0.5, 0.25, 0.25], {(1,): [0.0, 1.0, 0.0], (): [0.25, 0.25, 0.5]})


def test_a_table_by_hand():
    """First token .25 .25 .5; after a 1 always another 1, else .5 .25 .25."""
    law = exact_target_law(MODEL)
    assert law == {
        (0, 0): 0.125, (0, 1): 0.0625, (0, 2): 0.0625, (1, 1): 0.25, (2, 0): 0.25, (2, 1): 0.125, (2, 2): 0.125
    }  # fmt: skip
    assert MODEL.law((1,)) == (0, 1, 0)
    assert MODEL.law((2,)) == (0.5, 0.25, 0.25)


def test_it_is_a_target_model():
    assert isinstance(MODEL, TargetModel)
    assert check_model(MODEL) is torch.float64
    assert MODEL.vocab_size == 3
    single = TableModel(3, [0.5, 0.5], dtype="float32")
    assert single.next_token_probs(torch.zeros(4, 2, dtype=torch.long)).dtype is torch.float32


def test_equal_tables_are_equal_and_show_themselves():
    again = TableModel(2, (0.5, 0.25, 0.25), {(): (0.25, 0.25, 0.5), (1,): (0, 1, 0)})
    assert again == MODEL
    assert hash(again) == hash(MODEL)
    assert eval(repr(MODEL)) == MODEL
    assert TableModel(1, [0.5, 0.5]) != MODEL


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((0, [1.0]), InputError, "num_tokens = 0"),
        ((2, [0.5, 0.6]), LawError, "default sums to 1.1"),
        ((2, [[0.5, 0.5]]), InputError, "default has shape"),
        ((2, [0.5, 0.5], {(0,): [1.5, -0.5]}), LawError, r"laws\[\(0,\)\]\[1\] = -0.5"),
        ((2, [0.5, 0.5], {(0,): [0.5, 0.25, 0.25]}), InputError, r"laws\[\(0,\)\] has shape \(3,\): expected \(2,\)"),
        (
            (2, [0.5, 0.5], {(0, 1): [0.5, 0.5]}),
            InputError,
            "a prefix is shorter than num_tokens = 2",
        ),
        ((2, [0.5, 0.5], {(2,): [0.5, 0.5]}), InputError, r"prefix\[0\] = 2: not a token of a vocabulary of 2"),
        ((64, [0.5, 0.5]), InputError, "more than"),
        ((2, [0.5, 0.5], {}, "float16"), InputError, "dtype='float16' is not known"),
    ],
)
def test_a_wrong_table_is_refused(arguments, error, words):
    with pytest.raises(error, match=words):
        TableModel(*arguments)


@pytest.mark.parametrize("tokens", [[[0, 0]], [[3]], [[-1]]])
def test_wrong_tokens_are_refused(tokens):
    with pytest.raises(InputError):
        MODEL.next_token_probs(torch.tensor(tokens))
