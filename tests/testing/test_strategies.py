"""Strategies give what they say, find the edges they promise, and shrink to what their docstrings say."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scd_analysis.errors import InputError
from scd_analysis.exact import assert_exact
from scd_analysis.laws import total_variation
from scd_analysis.testing import TableModel, draft_batches, law_pairs, laws, target_models, windows
from scd_analysis.validate import check_laws, check_tokens
from tests.testing.debug import assert_no_examples, find_any, minimal

f32 = np.float32


# -------------------------------------------------------------------------------------------------------- valid objects


@given(st.booleans(), st.booleans(), st.sampled_from([np.float32, np.float64]), st.data())
def test_laws_are_laws(zeros, ties, dtype, data):
    law = data.draw(laws(zeros=zeros, ties=ties, dtype=dtype))
    check_laws(law.astype(np.float64), "law")
    assert law.dtype == dtype
    assert law.ndim == 1
    assert 2 <= len(law) <= 8
    assert law.max() <= 1
    assert abs(law.astype(np.float64).sum() - 1) <= len(law) * np.finfo(dtype).eps
    if not zeros:
        assert law.min() >= np.finfo(dtype).tiny  # no subnormal numbers: some devices flush them to zero
    if not ties:
        positive = law[law > 0]
        assert len(np.unique(positive)) == len(positive)


@pytest.mark.slow
@given(st.sampled_from([np.float32, np.float64]), st.booleans(), st.data())
def test_pairs_stand_to_each_other_as_their_kind_says(dtype, zeros, data):
    kind = data.draw(st.sampled_from(["equal", "near", "ulp", *(["point", "disjoint"] if zeros else [])]))
    first, second = data.draw(law_pairs(kinds=[kind], zeros=zeros, dtype=dtype))
    check_laws(np.stack([first, second]).astype(np.float64), "pair")
    different = first != second
    if kind == "equal":
        assert first is not second
        assert not different.any()
    elif kind == "near":
        assert 1 <= different.sum() <= 2
        assert total_variation(first, second) <= 2**-9
    elif kind == "ulp":
        (token,) = np.flatnonzero(different)
        assert second[token] in (np.nextafter(first[token], dtype(0)), np.nextafter(first[token], dtype(2)))
    elif kind == "point":
        assert max(first.max(), second.max()) == 1
    else:
        assert (first * second).max() == 0
    assert first.dtype == second.dtype == dtype
    assert zeros or min(first.min(), second.min()) > 0


@pytest.mark.slow
@given(target_models(), st.data())
def test_models_keep_the_contract(model, data):
    length = data.draw(st.integers(0, model.num_tokens - 1))
    tokens = data.draw(st.lists(st.integers(0, model.vocab_size - 1), min_size=length, max_size=length))
    laws_of_row = model.next_token_probs(torch.tensor([tokens, tokens[::-1]], dtype=torch.long).reshape(2, length))
    assert laws_of_row.shape == (2, length + 1, model.vocab_size)
    for k in range(length + 1):
        assert tuple(laws_of_row[0, k].tolist()) == model.law(tokens[:k])
        assert tuple(laws_of_row[1, k].tolist()) == model.law(tokens[::-1][:k])
    check_laws(laws_of_row.numpy(), "laws")
    assert eval(repr(model)) == model


@given(windows())
def test_windows_begin_inside_the_sequence(window):
    base, length, num_tokens = window
    assert 0 <= base < num_tokens <= 12
    assert 1 <= length <= 16
    assert list(window.positions) == [j for j in range(base, base + length) if j < num_tokens]


def of_tokens(batch):
    """Target and draft probability of each draft."""
    own = batch.draft_tokens[..., None]
    return (np.take_along_axis(probs, own, -1)[..., 0] for probs in (batch.target_probs[:, :-1], batch.draft_probs))


@pytest.mark.slow
@given(draft_batches(), st.booleans(), st.data())
def test_batches_are_what_a_verification_is_given(batch, zeros, data):
    batch = batch if zeros else data.draw(draft_batches(zeros=False, dtype=np.float64))
    (number, length), size = batch.draft_tokens.shape, batch.draft_probs.shape[-1]
    assert batch.draft_probs.shape == (number, length, size)
    assert batch.target_probs.shape == (number, length + 1, size)
    assert batch.draft_tokens.dtype == np.int64
    assert batch.draft_probs.dtype == batch.target_probs.dtype == (np.float32 if zeros else np.float64)
    check_tokens(batch.draft_tokens, size, "draft_tokens")
    check_laws(batch.draft_probs.astype(np.float64), "draft_probs")
    check_laws(batch.target_probs.astype(np.float64), "target_probs")
    target, draft = of_tokens(batch)
    assert (draft > 0).all()
    assert zeros or (target > 0).all()
    for array, tensor in zip(batch, batch.tensors(), strict=True):
        assert tensor.shape == array.shape
        tensor.zero_()  # the tensors are its own
    assert batch.target_probs.any()


# --------------------------------------------------------------------------------------------------- edges that are met


def tied(law):
    positive = law[law > 0]
    return len(np.unique(positive)) < len(positive)


def close(pair):
    return 0 < abs(pair[0] - pair[1]).max() < 1e-12


def running_sum(law):
    return law.cumsum(dtype=law.dtype)[-1]


@pytest.mark.parametrize(
    ("strategy", "holds"),
    [
        pytest.param(laws(), lambda law: (law == 0).any(), id="a zero"),
        pytest.param(laws(), lambda law: (law == 0).any() and tied(law), id="a zero beside a tie"),
        pytest.param(laws(zeros=False), tied, id="a tie"),
        pytest.param(laws(ties=False), lambda law: (law == 0).sum() > 1, id="zeros without ties"),
        pytest.param(laws(vocab_size=8), lambda law: law.max() == 1 > law.sum() - law.max(), id="a point mass"),
        pytest.param(laws(dtype=f32), lambda law: running_sum(law) != 1, id="a float32 sum that is not one"),
        pytest.param(laws(dtype=f32), lambda law: running_sum(law) < 1, id="one below"),
        pytest.param(laws(), lambda law: 0 < law[law > 0].min() < 1e-20, id="a tiny probability"),
        pytest.param(
            laws(dtype=f32), lambda law: law.max() == 1 and (law > 0).sum() > 1, id="certain in float32, and another"
        ),
        pytest.param(law_pairs(), lambda pair: (pair[0] == pair[1]).all(), id="equal laws"),
        pytest.param(law_pairs(), close, id="laws closer than any sample can tell"),
        pytest.param(law_pairs(), lambda pair: (pair[0] * pair[1]).max() == 0, id="disjoint laws"),
        pytest.param(law_pairs(), lambda pair: pair[0].max() == 1 > pair[1].max() > 0, id="a point mass against a law"),
        pytest.param(law_pairs(), lambda pair: pair[1].max() == 1 > pair[0].max() > 0, id="and the other way round"),
        pytest.param(law_pairs(), lambda pair: 0.1 < total_variation(*pair) < 0.9, id="unrelated laws"),
        pytest.param(
            law_pairs(kinds=["near"]), lambda pair: ((pair[0] == 0) != (pair[1] == 0)).any(), id="near, wider support"
        ),
        pytest.param(
            target_models(num_tokens=2), lambda model: model.law((0,)) != model.law((1,)), id="a law with a memory"
        ),
        pytest.param(
            target_models(num_tokens=3),
            lambda model: model.law((0, 0)) != model.law((1, 0)) and model.law((0, 0)) != model.law((0, 1)),
            id="a memory of two tokens",
        ),
        pytest.param(target_models(), lambda model: 0.0 in model.default, id="a model with zeros"),
        pytest.param(windows(), lambda window: window.base + window.length > window.num_tokens, id="past the end"),
        pytest.param(windows(), lambda window: window.base + window.length == window.num_tokens > 3, id="to the end"),
        pytest.param(windows(), lambda window: window.length > window.num_tokens > 3, id="longer than the sequence"),
        pytest.param(windows(), lambda window: window.base == window.num_tokens - 1 > 3, id="the last position"),
    ],
)
def test_an_edge_is_met(strategy, holds):
    find_any(strategy, holds)


@pytest.mark.parametrize(
    ("name", "holds"),
    {
        "p = q": lambda p, q: (p == q) & (q < 1),
        "p one unit below q": lambda p, q: p == np.nextafter(q, f32(0)),
        "p one unit above q": lambda p, q: (p == np.nextafter(q, f32(2))) & (p <= 1),
        "p = 0": lambda p, q: p == 0,
        "a deterministic draft": lambda p, q: (q == 1) & (p < 1),
        "a deterministic draft that must be kept": lambda p, q: (q == 1) & (p == 1),
        "p / q beyond 1e20": lambda p, q: p > q * f32(1e20),
    }.items(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_draft_of_each_kind_is_met(name, holds):
    find_any(draft_batches(), lambda batch: holds(*of_tokens(batch)).any())


def test_batches_mix_equal_rows_and_others():
    find_any(draft_batches(), lambda b: len(b.draft_probs) > 1 and (b.draft_probs[0] == b.draft_probs[1]).all())
    find_any(draft_batches(), lambda b: len(np.unique(b.draft_probs.reshape(-1, b.draft_probs.shape[-1]), axis=0)) > 2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("strategy", "holds"),
    [
        pytest.param(laws(zeros=False), lambda law: (law == 0).any(), id="no zero"),
        pytest.param(laws(ties=False, dtype=f32), tied, id="no tie"),
        pytest.param(law_pairs(zeros=False), lambda pair: min(map(np.min, pair)) == 0, id="no zero in a pair"),
        pytest.param(target_models(zeros=False), lambda model: 0.0 in model.default, id="no zero in a model"),
    ],
)
def test_what_is_switched_off_is_not_met(strategy, holds):
    """The twins of edges met above."""
    assert_no_examples(strategy, holds)


@pytest.mark.slow
def test_large_vocabularies_are_cheap():
    law = find_any(laws(vocab_size=65_536, dtype=f32), lambda law: abs(running_sum(law) - 1) > 1e-5)
    check_laws(law.astype(np.float64), "law")
    assert_no_examples(laws(vocab_size=200, ties=False, zeros=False, dtype=f32), tied)


# ------------------------------------------------------------------------------------------------------------ shrinking


def same(found, *expected):
    found = found if isinstance(found, tuple) else (found,)
    return all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.slow
def test_laws_shrink_to_the_uniform_one():
    assert same(minimal(laws()), [0.5, 0.5])
    assert same(minimal(laws(ties=False)), [1 / 3, 2 / 3])
    assert same(minimal(laws(), lambda law: law[0] > law[1] > 0), [2 / 3, 1 / 3])
    assert same(minimal(laws(), lambda law: (law == 0).any()), [0, 1])


@pytest.mark.slow
def test_pairs_shrink_to_equal_uniform_laws():
    assert same(minimal(law_pairs()), [0.5, 0.5], [0.5, 0.5])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "second"),
    [("near", [0.5 - 2**-11, 0.5 + 2**-11]), ("ulp", [np.nextafter(0.5, 0), 0.5]), ("point", [1, 0])],
)
def test_other_pairs_shrink_to_the_uniform_law_and_one_beside_it(kind, second):
    assert same(minimal(law_pairs(kinds=[kind])), [0.5, 0.5], second)


@pytest.mark.slow
def test_disjoint_pairs_shrink_to_two_point_masses():
    assert same(minimal(law_pairs(kinds=["disjoint"])), [1, 0], [0, 1])


@pytest.mark.slow
def test_models_shrink_to_one_token_of_two():
    assert minimal(target_models()) == TableModel(1, (0.5, 0.5))


@pytest.mark.slow
def test_a_counterexample_lists_the_prefixes_that_matter():
    found = minimal(target_models(num_tokens=2), lambda model: model.law((0,)) != model.law((1,)))
    assert found.default == (0.5, 0.5)
    assert len(found.laws) == 1
    (prefix,) = found.laws
    assert prefix in ((0,), (1,))


@pytest.mark.slow
def test_windows_and_batches_shrink_to_the_smallest():
    assert minimal(windows()) == (0, 1, 1)
    uniform = [[[0.5, 0.5]]]
    assert same(minimal(draft_batches()), [[0]], uniform, [[[0.5, 0.5], [0.5, 0.5]]])


# ----------------------------------------------------------------------------------------------- what they are good for


def accepted(target, draft, uniform, strict):
    return uniform * draft < target if strict else uniform * draft <= target


@pytest.mark.slow
def test_a_kernel_that_accepts_the_impossible_is_found():
    """u is zero once in 2^24 draws, and then ``u q <= p`` accepts a token with p = 0: random tests never see it."""

    def never_impossible(batch, strict):
        target, draft = of_tokens(batch)
        return not (accepted(target, draft, f32(0), strict) & (target == 0)).any()

    find_any(draft_batches(), lambda batch: not never_impossible(batch, strict=False))
    assert_no_examples(draft_batches(), lambda batch: not never_impossible(batch, strict=True))


def sampler(model, forgets):
    """Ancestral sampling; one that forgets looks at the last token only."""

    def draw():
        tokens = torch.zeros(1, 0, dtype=torch.long)
        for _ in range(model.num_tokens):
            seen = tokens.clone()
            if forgets and seen.shape[1] > 1:
                seen[:, :-1] = 0
            law = model.next_token_probs(seen)[:, -1]
            tokens = torch.cat([tokens, torch.multinomial(law, 1)], dim=1)
        return tuple(tokens[0].tolist())

    return draw


@pytest.mark.slow
@settings(max_examples=8)
@given(target_models(vocab_size=2, num_tokens=st.integers(1, 3)))
def test_a_sampler_is_exact_on_every_model(model):
    assert_exact(sampler(model, forgets=False), model)


def forgetting_shows(model):
    try:
        assert_exact(sampler(model, forgets=True), model)
    except AssertionError:
        return True
    return False


@pytest.mark.slow
def test_one_that_forgets_is_found():
    find_any(target_models(vocab_size=2, num_tokens=3), forgetting_shows)


def law_of(model, forgets):
    """The law of the sampler, multiplied out: what shrinking asks for hundreds of times."""
    law = {}
    for tokens in product(range(model.vocab_size), repeat=model.num_tokens):
        seen = [(0,) * (t - 1) + tokens[t - 1 : t] if forgets else tokens[:t] for t in range(model.num_tokens)]
        law[tokens] = math.prod(model.law(list(prefix))[token] for prefix, token in zip(seen, tokens, strict=True))
    return law


def differs(model):
    true, forgetful = law_of(model, forgets=False), law_of(model, forgets=True)
    return sum(abs(true[tokens] - forgetful[tokens]) for tokens in true) / 2 > 1e-9


@pytest.mark.slow
def test_and_shown_on_the_smallest_model():
    found = minimal(target_models(vocab_size=2, num_tokens=3), differs)
    assert forgetting_shows(found)
    assert len(found.laws) == 1
    assert all(len(prefix) == 2 and prefix[0] == 1 for prefix in found.laws) or found.laws.keys() <= {(0, 0), (0, 1)}


# ------------------------------------------------------------------------------------------------------------ arguments


def e(function, words, **arguments):
    listed = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    return pytest.param(function, arguments, words, id=f"{function.__name__}({listed})")


@pytest.mark.parametrize(
    ("function", "arguments", "words"),
    [
        e(laws, "vocab_size = 0: must be at least 1", vocab_size=0),
        e(laws, "vocab_size = 2.5: must be a whole number", vocab_size=2.5),
        e(laws, "vocab_size = True: must be a whole number", vocab_size=True),
        e(laws, "dtype = float16: must be float64 or float32", dtype="float16"),
        e(laws, "dtype = int64", dtype=np.int64),
        e(law_pairs, "vocab_size = 1: must be at least 2", vocab_size=1),
        e(law_pairs, "kinds='far' is not known; known: equal", kinds=["far"]),
        e(law_pairs, "no kind is left", kinds=[]),
        e(law_pairs, "no kind is left", kinds=["point"], zeros=False),
        e(target_models, "num_tokens = 0: must be at least 1", num_tokens=0),
        e(target_models, "5461 prefixes, above 1024", vocab_size=4, num_tokens=7),
        e(windows, "num_tokens = -1: must be at least 1", num_tokens=-1),
        e(windows, "max_length = 0: must be at least 1", max_length=0),
        e(draft_batches, "num_sequences = 0: must be at least 1", num_sequences=0),
        e(draft_batches, "window = '4': must be a whole number", window="4"),
        e(draft_batches, "vocab_size = 1: must be at least 2", vocab_size=1),
        e(draft_batches, "dtype = float16", dtype=np.float16),
    ],
)
def test_a_wrong_argument_is_named_at_once(function, arguments, words):
    with pytest.raises(InputError, match=words):
        function(**arguments)


def test_a_size_drawn_too_small_is_named():
    with pytest.raises(InputError, match="vocab_size = 1: must be at least 2"):
        find_any(law_pairs(vocab_size=st.just(1)), lambda _: True)
    assert len(find_any(laws(vocab_size=st.just(1)), lambda _: True)) == 1
