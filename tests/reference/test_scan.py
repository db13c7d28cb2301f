"""Large vocabularies: read block by block, in linear time, compiled where it pays, with the same tokens."""

import shutil
import warnings

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from reference.draws import exponentials, inverse_cdf
from reference.fast import compiling
from reference.fast.blocks import LARGE, race_winner
from reference.fast.compiling import compiled_where_large
from reference.fast.scan import collision_gumbel, law_scalars
from reference.verification import verify
from scd_analysis.laws import kernels

SIZES = [LARGE + 1, 1024, 5000]


def laws(vocab_size, spread=2.0, rows=6, seed=0):
    rng = np.random.default_rng(seed)
    shape = (1, rows, vocab_size)
    p, q = (torch.tensor(rng.standard_normal(shape) * spread).float().softmax(-1) for _ in range(2))
    return p, q


def variates(rows, seed):
    return torch.tensor(np.random.default_rng(seed).random((1, rows)))


@pytest.mark.parametrize("vocab_size", SIZES)
def test_inverse_cdf_in_two_levels_is_inverse_cdf(vocab_size):
    """At thresholds in the middle of every token's interval, so that rounding decides nothing."""
    weights = laws(vocab_size, rows=1)[0][0, 0]
    weights[::3] = 0
    cumulative = weights.double().cumsum(0)
    middle = (cumulative - weights.double() / 2) / cumulative[-1]
    wide = (weights > 1e-5).nonzero()[:, 0]
    found = inverse_cdf(weights.expand(len(wide), -1), middle[wide])
    assert torch.equal(found, wide)
    assert len(wide) > 200


@pytest.mark.parametrize("vocab_size", SIZES)
def test_inverse_cdf_never_gives_a_token_of_weight_zero(vocab_size):
    weights = torch.zeros(3, vocab_size)
    weights[0, 300], weights[1, vocab_size - 1], weights[2, 0] = 1e-20, 1.0, 3.0
    for u in (0.0, 0.5, 1 - 2.0**-53):
        assert inverse_cdf(weights, torch.full((3,), u, dtype=torch.float64)).tolist() == [300, vocab_size - 1, 0]


@pytest.mark.parametrize("vocab_size", SIZES)
def test_a_rejected_draft_is_redrawn_from_the_residual(vocab_size):
    """Each token of the residual is found at the middle of its interval, and tokens outside it never."""
    p, q = laws(vocab_size, rows=1)
    excess = (p - q).clamp(min=0)[0, 0].double()
    middle = (excess.cumsum(0) - excess / 2) / excess.sum()
    wide = (excess > 1e-5).nonzero()[:, 0]
    shape = (1, len(wide), vocab_size)
    draft = int((q - p).argmax())
    never = torch.full((1, len(wide)), 1 - 2.0**-53, dtype=torch.float64)
    out = verify(p.expand(shape), q.expand(shape), torch.full((1, len(wide)), draft), never, middle[wide][None])
    assert not out.accepted.any()
    assert torch.equal(out.tokens[0], wide)
    whole = (p[0, 0].double().cumsum(0) - p[0, 0].double() / 2)[wide]  # the twin: a redraw from p is another token
    assert (inverse_cdf(p[0].expand(len(wide), -1), whole) == wide).all()
    assert (inverse_cdf(p[0].expand(len(wide), -1), middle[wide]) != wide).any()


@pytest.mark.parametrize("vocab_size", [3, *SIZES])
def test_the_winner_of_a_race_is_the_first_of_the_best(vocab_size):
    p, _ = laws(vocab_size)
    race = exponentials(0, torch.arange(1)[:, None], torch.arange(6), vocab_size, torch.float32)
    assert torch.equal(race_winner(p, race), (p / race).argmax(-1))
    tied = torch.zeros(1, 1, vocab_size)
    tied[..., 1:] = 1
    assert int(race_winner(tied, torch.ones_like(tied))) == 1


@pytest.mark.slow
@pytest.mark.parametrize("spread", [0.3, 2.0, 6.0])
@pytest.mark.parametrize("nearness", [0.003, 0.1, 1.0])
def test_gumbel_collisions_without_sorting(spread, nearness):
    p, other = laws(2000, spread, rows=2000)
    q = (p.log() * (1 - nearness) + other.log() * nearness).softmax(-1)
    exact = kernels.collision_gumbel(p.double(), q.double())
    error = collision_gumbel(p, q).double() - exact
    assert -1e-5 < error.min()
    assert error.max() < 3e-3
    assert error.mean() < 1e-4
    assert (1 - kernels.total_variation(p, q) - exact).abs().max() > 1e-4  # the twin: another number would be seen


def test_gumbel_collisions_with_points_and_zeros():
    p, q = laws(1000)
    point = torch.zeros_like(p).scatter_(-1, torch.full((1, 6, 1), 7), 1.0)
    torch.testing.assert_close(collision_gumbel(p, point), p[..., 7], rtol=1e-4, atol=0)
    torch.testing.assert_close(collision_gumbel(point, p), p[..., 7], rtol=1e-4, atol=0)
    torch.testing.assert_close(collision_gumbel(p, p), torch.ones(1, 6), rtol=1e-4, atol=0)
    halves = p * (torch.arange(1000) < 500), q * (torch.arange(1000) >= 500)
    assert collision_gumbel(*halves).abs().max() == 0


@pytest.mark.parametrize("vocab_size", [5, *SIZES])
def test_scalars_are_those_of_the_laws(vocab_size):
    p, q = laws(vocab_size)
    scalars = law_scalars(p, q)
    for name, value in (("total_variation", (p, q)), ("collision_independent", (p, q)), ("entropy", (p,))):
        expected = getattr(kernels, name)(*(x.double() for x in value))
        np.testing.assert_allclose(getattr(scalars, name), expected, atol=1e-5)
    np.testing.assert_allclose(scalars.renyi2, kernels.renyi2_entropy(p.double()), atol=1e-5)


class Allocations(TorchDispatchMode):
    """Counts new tensors of at least so many bytes."""

    def __init__(self, least):
        super().__init__()
        self.least, self.seen, self.count = least, set(), 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        known = {x.untyped_storage().data_ptr() for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)}
        out = func(*args, **(kwargs or {}))
        for x in tree_leaves(out):
            if isinstance(x, torch.Tensor) and x.untyped_storage().nbytes() >= self.least:
                self.count += x.untyped_storage().data_ptr() not in known
        return out


@pytest.mark.parametrize("what", ["verify", "race_winner", "inverse_cdf", "collision_gumbel", "sort"])
def test_at_most_three_arrays_of_the_size_of_the_laws(monkeypatch, what):
    monkeypatch.setenv("SCD_COMPILE", "never")
    p, q = laws(4096, rows=1000)
    u, draft = variates(1000, 0), torch.zeros(1, 1000, dtype=torch.long)
    calls = {
        "verify": lambda: verify(p, q, draft, u, u),
        "race_winner": lambda: race_winner(p, q),
        "inverse_cdf": lambda: inverse_cdf(p, u),
        "collision_gumbel": lambda: collision_gumbel(p, q),
        "sort": lambda: kernels.collision_gumbel(p, q),  # the twin: this one does
    }
    with Allocations(p.numel() * p.element_size()) as counted:
        calls[what]()
    assert (counted.count <= 3) == (what != "sort")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler, so nothing compiles")
@pytest.mark.filterwarnings("ignore")  # what torch.compile says of itself
def test_compiled_and_eager_give_the_same_tokens(monkeypatch):
    """20,000 slots; a threshold within rounding of a block's end (1e-7 of them) would be decided either way."""
    compared = 0
    for seed in range(20):
        p, q = laws(2000, rows=1000, seed=seed)
        draft = inverse_cdf(q, variates(1000, seed))
        given = (p, q, draft, variates(1000, seed + 100), variates(1000, seed + 200), True)
        race = exponentials(seed, torch.arange(1)[:, None], torch.arange(1000), 2000, torch.float32)
        monkeypatch.setenv("SCD_COMPILE", "never")
        eager, eager_winner, eager_collision = verify(*given), race_winner(p, race), collision_gumbel(p, q)
        monkeypatch.setenv("SCD_COMPILE", "always")
        fast, winner, collision = verify(*given), race_winner(p, race), collision_gumbel(p, q)
        assert torch.equal(fast.tokens, eager.tokens)
        assert torch.equal(fast.accepted, eager.accepted)
        assert torch.equal(winner, eager_winner)
        for one, other in zip((*fast.scalars, collision), (*eager.scalars, eager_collision), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
        compared += int((~eager.accepted).sum())
    assert compared > 5_000


def test_without_a_compiler_it_stays_eager_and_says_so_once(monkeypatch):
    def broken(function, **options):
        def call(*args, **kwargs):
            raise torch._dynamo.exc.TorchDynamoException("no compiler here")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    monkeypatch.setenv("SCD_COMPILE", "always")
    double = compiled_where_large(lambda x: 2 * x)
    with pytest.warns(UserWarning, match="stays uncompiled: no compiler here"):
        assert double(torch.ones(1, 4)).tolist() == [[2, 2, 2, 2]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert double(torch.ones(1, 4)).tolist() == [[2, 2, 2, 2]]


@pytest.mark.parametrize(
    ("mode", "vocab_size", "compiles"),
    [("never", 10_000, False), ("auto", 100, False), ("auto", 10_000, True), ("always", 100, True), ("", 100, False)],
)
def test_what_is_compiled(monkeypatch, mode, vocab_size, compiles):
    monkeypatch.setenv("SCD_COMPILE", mode)
    assert compiling._wanted(torch.zeros(2, vocab_size)) == compiles
