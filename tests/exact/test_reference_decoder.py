"""The reference decoder, exactly: lossless methods equal their target in fractions, the other errs as theory says."""

from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference import Method, coupling_mixture, get_method
from reference.plain import PlainDecoder
from scd_analysis.exact import Loop, exact_law
from scd_analysis.laws import verified_law
from tests.exact.tiny_decoder import rational_tables, target_law

LOSSLESS = {
    "ar": get_method("ar"),
    "sjd": get_method("sjd"),
    "scd-mc": get_method("scd-mc"),
    "scd-gs": get_method("scd-gs"),
    "sjd-pac": get_method("sjd-pac"),
    "sjd-vp": get_method("sjd-vp"),
    "scd-mc mixture": coupling_mixture("scd-mc", 0.5),
    "scd-gs mixture": coupling_mixture("scd-gs", 0.25),
}


SMALL = [(2, 1), (2, 2), (3, 2), (2, 3)]
LARGER = [(2, 3), (3, 2), (2, 4), (3, 3)]
"""Vocabulary and length. With a window up to 4, SCD-MC at (3, 4) is below, at full size."""


def output_law(tables, vocab_size, num_tokens, window, method):
    """Exact law of the plain decoder, states that differ only in their pass count merged."""
    decoder = PlainDecoder(tables.__getitem__, vocab_size, num_tokens, window, method, width=1)
    loop = Loop(
        decoder.initial_state,
        decoder.step,
        decoder.outcome,
        state_key=lambda state: (state.committed, state.slots),
        live=decoder.live,
    )
    return exact_law(loop, arithmetic="rational", intercept=False)


@st.composite
def models(draw, sizes):
    """Full-context rational tables with zeros, ties, point masses and laws equal across prefixes."""
    vocab_size, num_tokens = draw(st.sampled_from(sizes))
    weights = st.lists(st.sampled_from([0, 0, 1, 1, 2, 5]), min_size=vocab_size, max_size=vocab_size).filter(any)
    few = draw(st.lists(weights, min_size=1, max_size=4))
    tables = {}
    for length in range(num_tokens):
        for prefix in product(range(vocab_size), repeat=length):
            chosen = draw(st.sampled_from(few))
            tables[prefix] = tuple(Fraction(w, sum(chosen)) for w in chosen)
    return tables, vocab_size, num_tokens


@pytest.mark.parametrize("name", LOSSLESS)
@settings(max_examples=10)
@given(model=models(SMALL), window=st.integers(1, 4), initial=st.sampled_from(["uniform", "left", "upper"]))
def test_lossless_methods_equal_their_target(name, model, window, initial):
    tables, vocab_size, num_tokens = model
    method = Method(name, LOSSLESS[name].drafting, initial=initial)
    law = output_law(tables, vocab_size, num_tokens, window, method)
    assert law.total_variation(target_law(tables, num_tokens)) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in LOSSLESS if name != "scd-gs mixture"])
@settings(max_examples=25)
@given(model=models(LARGER), window=st.integers(1, 4))
def test_lossless_methods_equal_their_target_on_longer_sequences(name, model, window):
    tables, vocab_size, num_tokens = model
    law = output_law(tables, vocab_size, num_tokens, window, LOSSLESS[name])
    assert law.total_variation(target_law(tables, num_tokens)) == 0


@pytest.mark.slow
@pytest.mark.parametrize(("name", "num_tokens"), [("scd-mc", 4), ("sjd-vp", 4), ("scd-gs", 3)])
def test_at_full_size(name, num_tokens):
    tables = rational_tables(3, num_tokens, seed=1)
    law = output_law(tables, 3, num_tokens, 3, LOSSLESS[name])
    assert law.total_variation(target_law(tables, num_tokens)) == 0


def uncorrected_law(tables, clip):
    """Law of three tokens under the uncorrected rule, worked out by hand for a window of three.

    The last position is tilted only if the first draft is rejected at pass one and the second at pass two: then its
    draft comes from the tilt of p2[x0, d1] against p2[i0, i1] while p2[x0, d1] is declared. Everything else is exact.
    """
    first, second = tables[()], lambda x: tables[(x,)]
    exact, biased = {}, {}
    for x0, x1, x2 in product(range(3), repeat=3):
        exact[x0, x1, x2] = first[x0] * second(x0)[x1] * tables[x0, x1][x2]
        biased[x0, x1, x2] = Fraction(0)
    for i0, i1, x0, d1 in product(range(3), repeat=4):
        if i0 == x0:
            continue
        target, draft = second(x0), second(i0)
        rejected = draft[d1] - min(draft[d1], target[d1])
        overlap = sum(min(p, q) for p, q in zip(target, draft, strict=True))
        new, old = tables[x0, d1], tables[i0, i1]
        rise = [clip if q == 0 else min(clip, max(1 / clip, p / q)) for p, q in zip(new, old, strict=True)]
        tilted = [p * w / sum(a * b for a, b in zip(new, rise, strict=True)) for p, w in zip(new, rise, strict=True)]
        for x1 in range(3):
            weight = Fraction(1, 9) * first[x0] * rejected
            weight *= 0 if overlap == 1 else max(target[x1] - draft[x1], 0) / (1 - overlap)
            if weight == 0:
                continue
            last = tables[x0, x1]
            tv = sum(max(p - q, 0) for p, q in zip(last, new, strict=True))
            accept = [min(Fraction(1), p / q) if q else Fraction(1) for p, q in zip(last, new, strict=True)]
            kept = [d * a for d, a in zip(tilted, accept, strict=True)]
            for x2 in range(3):
                residual = max(last[x2] - new[x2], 0) / tv if tv else last[x2]
                out = kept[x2] + (1 - sum(kept)) * residual
                biased[x0, x1, x2] += weight * (out - last[x2])
    return {x: exact[x] + biased[x] for x in exact}


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, *(pytest.param(s, marks=pytest.mark.slow) for s in range(1, 5))])
def test_the_uncorrected_rule_differs_by_what_theory_gives(seed):
    tables = rational_tables(3, 3, seed)
    law = output_law(tables, 3, 3, 3, get_method("sjd-vp-uncorrected"))
    expected = uncorrected_law(tables, Fraction(4))
    assert all(law.probabilities.get(x, 0) == p for x, p in expected.items())
    assert law.total_variation(target_law(tables, 3)) > 0


def test_the_one_position_oracle_in_fractions_and_floats():
    """d = q, a = min(1, p / q), r = norm((p - q)+): out = p, here p = (1/2, 3/10, 1/5) and q = (1/5, 3/10, 1/2)."""
    out = verified_law([0.2, 0.3, 0.5], [1.0, 1.0, 0.4], [1.0, 0.0, 0.0])
    assert out.tolist() == pytest.approx([0.5, 0.3, 0.2], abs=1e-15)
