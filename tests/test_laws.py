"""Distances, entropies and collision probabilities: small cases by hand, brute force, bounds, and bad input."""

import inspect
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scd_analysis import laws
from scd_analysis.errors import InputError, LawError, UnknownNameError
from scd_analysis.laws import kernels

SKEWED = np.array([0.5, 0.3, 0.2])
TURNED = np.array([0.2, 0.3, 0.5])


@st.composite
def pairs(draw):
    """Two laws with zeros, ties and equal entries."""
    n = draw(st.integers(1, 6))
    weights = st.lists(st.integers(0, 9), min_size=n, max_size=n).filter(any)
    p, q = np.array(draw(weights), float), np.array(draw(weights), float)
    return p / p.sum(), q / q.sum()


def gumbel_collision_by_definition(p, q):
    """Sum over i of the reciprocal of sum_v max(p_v / p_i, q_v / q_i), in O(V^2)."""
    return sum(1 / np.maximum(p / p[i], q / q[i]).sum() for i in range(len(p)) if p[i] > 0 and q[i] > 0)


def test_by_hand():
    """|.3| + 0 + |.3| = .6, halved; sums of products .1 + .09 + .1; minima .2 + .3 + .2."""
    assert laws.total_variation(SKEWED, TURNED) == pytest.approx(0.3, abs=1e-15)
    assert laws.collision_probability(SKEWED, TURNED) == pytest.approx(0.29, abs=1e-15)
    assert laws.collision_probability(SKEWED, TURNED, "maximal") == pytest.approx(0.7, abs=1e-15)
    assert laws.renyi2_entropy(SKEWED) == pytest.approx(-np.log(0.38), abs=1e-15)
    assert laws.entropy([0.5, 0.5, 0.0]) == pytest.approx(np.log(2), abs=1e-15)


@pytest.mark.parametrize(
    ("dtype", "within"), [("float64", 1e-12), ("float32", 1e-5), ("float16", 1e-2), ("bfloat16", 5e-2)]
)
@pytest.mark.parametrize("learns", [False, True])
def test_gumbel_of_tensors_is_that_of_arrays_in_every_precision(dtype, within, learns):
    first, second = np.random.default_rng(0).dirichlet(np.ones(16), size=(2, 5))
    tensors = [torch.from_numpy(law).to(getattr(torch, dtype)).requires_grad_(learns) for law in (first, second)]
    found = kernels.collision_gumbel(*tensors)
    assert found.dtype == tensors[0].dtype
    assert found.requires_grad == learns
    np.testing.assert_allclose(found.detach().double().numpy(), kernels.collision_gumbel(first, second), atol=within)


def test_gumbel_by_hand():
    """Rows of max(p_v / p_i, q_v / q_i): (1, 1.5, 2.5), (5/3, 1, 5/3), (2.5, 1.5, 1); their sums are 5, 13/3, 5."""
    by_hand = 1 / 5 + 3 / 13 + 1 / 5
    assert laws.collision_probability(SKEWED, TURNED, "gumbel") == pytest.approx(by_hand, abs=1e-14)


@given(pairs())
def test_gumbel_agrees_with_its_definition(pair):
    p, q = pair
    assert laws.collision_probability(p, q, "gumbel") == pytest.approx(gumbel_collision_by_definition(p, q), abs=1e-12)


@given(pairs())
def test_bounds_hold_and_meet(pair):
    p, q = pair
    chance = {c: float(laws.collision_probability(p, q, c)) for c in laws.COUPLINGS}
    bound = {c: float(laws.collision_bound(p, q, c)) for c in laws.COUPLINGS}
    assert chance["independent"] <= bound["independent"] + 1e-12
    assert chance["gumbel"] >= bound["gumbel"] - 1e-12
    assert max(chance.values()) <= bound["maximal"] + 1e-12
    assert chance["maximal"] == pytest.approx(bound["maximal"], abs=1e-12)
    if np.allclose(p, q):
        assert chance["gumbel"] == pytest.approx(1, abs=1e-12)
        assert chance["independent"] == pytest.approx(bound["independent"], abs=1e-12)


KERNELS = [
    kernel for _, kernel in inspect.getmembers(kernels, inspect.isfunction) if not kernel.__name__.startswith("_")
]
OF_ONE = (kernels.entropy, kernels.renyi2_entropy)
OF_THREE = (kernels.output_law,)


def test_every_formula_is_seen():
    assert len(KERNELS) == 11
    assert {*OF_ONE, *OF_THREE, *laws.COUPLINGS.values()} <= set(KERNELS)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.__name__)
@given(pairs())
def test_kernels_agree_between_numpy_and_torch(kernel, pair):
    arrays = pair[:1] if kernel in OF_ONE else (*pair, pair[0]) if kernel in OF_THREE else pair
    expected = kernel(*(a.copy() for a in arrays))
    found = kernel(*(torch.from_numpy(a.copy()) for a in arrays))
    np.testing.assert_allclose(np.asarray(found), expected, atol=1e-12)


def test_excess_in_any_arithmetic():
    third = Fraction(1, 3)
    assert kernels.excess([2 * third, third], [third, 2 * third]) == [third, 0]


def test_a_tilt_by_hand():
    """Rises of 2, 8 and from zero are clipped at 4, a fall to a tenth at 1/4; the square of 2 is 4."""
    law, earlier = np.array([0.2, 0.4, 0.3, 0.1]), np.array([0.1, 0.05, 0.0, 1.0])
    for array in (np.asarray, torch.as_tensor):
        weights = np.array([0.2 * 2, 0.4 * 4, 0.3 * 4, 0.1 / 4])
        np.testing.assert_allclose(kernels.tilted(array(law), array(earlier)), weights / weights.sum(), atol=1e-15)
        squared = np.array([0.2 * 4, 0.4 * 4, 0.3 * 4, 0.1 / 4])
        np.testing.assert_allclose(kernels.tilted(array(law), array(earlier), 2), squared / squared.sum(), atol=1e-15)
        np.testing.assert_allclose(kernels.tilted(array(law), array(earlier), 0), law, atol=1e-15)


def test_the_residual_of_equal_laws_is_the_target():
    law = np.array([0.2, 0.8])
    for array in (np.asarray, torch.as_tensor):
        assert kernels.residual(array(law), array(law * (1 + 1e-16))).tolist() == law.tolist()
        assert kernels.residual(array(law), array(law[::-1].copy())).tolist() == [0, 1]


@given(pairs())
def test_what_modified_rejection_sampling_gives_is_the_target(pair):
    p, q = pair
    out = kernels.output_law(q, kernels.acceptance(p, q), kernels.residual(p, q))
    np.testing.assert_allclose(out, p, atol=1e-12)


def test_any_axis_and_any_array():
    stack = np.stack([SKEWED, TURNED, np.full(3, 1 / 3)])
    assert laws.total_variation(stack.T, stack[::-1].T, axis=0).shape == (3,)
    assert laws.total_variation(torch.tensor(SKEWED), TURNED.tolist()) == pytest.approx(0.3)


def test_one_position_oracle_of_the_rules():
    """Variants: MRS gives p; a rejection redrawn from p gives min(p, q) + TV p, at TV .15 from p in this example."""
    p, q = SKEWED, TURNED
    residual = np.maximum(p - q, 0) / 0.3
    np.testing.assert_allclose(laws.verified_law(q, np.minimum(1, p / q), residual), p, atol=1e-15)
    wrong = laws.verified_law(q, np.minimum(1, p / q), p)
    np.testing.assert_allclose(wrong, np.minimum(p, q) + 0.3 * p, atol=1e-15)
    assert laws.total_variation(wrong, p) == pytest.approx(0.15, abs=1e-15)


BAD = [
    (lambda: laws.total_variation([0.5, np.nan], [0.5, 0.5]), LawError, r"p\[1\] = nan"),
    (lambda: laws.total_variation([0.5, 0.5], [1.5, -0.5]), LawError, r"q\[1\] = -0.5"),
    (lambda: laws.entropy([[0.5, 0.5], [0.5, 0.6]]), LawError, r"p\[1\] sums to 1.1"),
    (lambda: laws.renyi2_entropy(1.0), LawError, "shape"),
    (lambda: laws.total_variation([1.0], [0.5, 0.5]), InputError, r"\(1,\).*\(2,\)"),
    (lambda: laws.total_variation([[1.0, 0.0]], [1.0, 0.0]), InputError, "shape"),
    (lambda: laws.collision_probability([1.0], [1.0], "optimal"), UnknownNameError, "independent, maximal, gumbel"),
    (lambda: laws.total_variation("law", [1.0]), InputError, "not an array"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_what_is_no_number_is_not_repeated_at_length():
    with pytest.raises(InputError, match="p is not an array of numbers: could not convert") as refused:
        laws.total_variation([b"x" * 10_000, b""], [0.5, 0.5])
    assert len(str(refused.value)) < 400
