"""Samplers written against our own draws: exact in Fractions, merged over states, and the same code as a sampler."""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scd_analysis.errors import InputError
from scd_analysis.exact import CannotEnumerate, Loop, SampledDraws, assert_exact, exact_law
from tests.exact.tiny_decoder import Decoder, rational_tables, target_law, whole

METHODS = ("sjd", "scd-mc", "scd-gs")
FAULTS = [("scd-mc", "stale-q"), ("sjd", "replace-by-p"), ("scd-gs", "shared-gumbel"), ("scd-mc", "replace-by-p")]


def law_of(decoder: Decoder, **options: Any) -> Any:
    return exact_law(decoder.loop(), intercept=False, **options)


@pytest.mark.parametrize("method", METHODS)
def test_lossless_is_an_equality_of_fractions(method: str) -> None:
    tables = rational_tables(3, 3, seed=5)
    law = assert_exact(Decoder(tables, 3, 3, 3, method).loop(), target_law(tables, 3), arithmetic="rational")
    assert law.total_variation(target_law(tables, 3)) == Fraction(0)
    assert isinstance(law[0, 0, 0], Fraction)


@pytest.mark.parametrize(("method", "fault"), FAULTS)
def test_a_fault_is_off_by_an_exact_amount(method: str, fault: str) -> None:
    tables = rational_tables(3, 3, seed=5)
    law = law_of(Decoder(tables, 3, 3, 3, method, fault), arithmetic="rational")
    distance = law.total_variation(target_law(tables, 3))
    assert isinstance(distance, Fraction)
    assert distance > Fraction(1, 1000)
    rounded = law_of(Decoder(tables, 3, 3, 3, method, fault)).total_variation(target_law(tables, 3))
    assert rounded == pytest.approx(float(distance), abs=1e-13)


@pytest.mark.slow
def test_scd_mc_at_full_size() -> None:
    """V = 3, N = 4, window 3: the size that must take less than 20 s on two cores takes about one."""
    tables = rational_tables(3, 4, seed=1)
    assert_exact(Decoder(tables, 3, 4, 3, "scd-mc").loop(), target_law(tables, 4), arithmetic="rational")


@given(
    vocab_size=st.integers(2, 3),
    num_tokens=st.integers(1, 3),
    window=st.integers(1, 4),
    method=st.sampled_from(METHODS),
    seed=st.integers(0, 10_000),
)
@settings(max_examples=30, deadline=None)
def test_every_method_on_laws_with_zeros_and_ties(
    vocab_size: int, num_tokens: int, window: int, method: str, seed: int
) -> None:
    tables = rational_tables(vocab_size, num_tokens, seed, zeros=True)
    law = law_of(Decoder(tables, vocab_size, num_tokens, window, method), arithmetic="rational")
    assert law.total_variation(target_law(tables, num_tokens)) == 0


@pytest.mark.parametrize("method", METHODS)
def test_merging_states_changes_nothing(method: str) -> None:
    tables = rational_tables(2, 3, seed=3)
    decoder = Decoder(tables, 2, 3, 2, method, "stale-q" if method == "scd-mc" else "")
    merged = law_of(decoder, arithmetic="rational")
    tree = exact_law(whole(decoder), arithmetic="rational")
    assert merged.probabilities == tree.probabilities


def test_an_object_with_the_methods_of_a_loop_is_one() -> None:
    tables = rational_tables(2, 2, seed=3)
    decoder = Decoder(tables, 2, 2, 2, "scd-gs")
    assert exact_law(decoder, arithmetic="rational").probabilities == target_law(tables, 2)  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_key_drawn_again_after_it_was_forgotten_is_refused() -> None:
    loop = Loop(
        initial_state=lambda: (0, ()),
        step=lambda state, draws: (state[0] + 1, (*state[1], draws.bernoulli("coin", Fraction(1, 3)))),
        outcome=lambda state: state[1] if state[0] == 2 else None,
    )
    with pytest.raises(CannotEnumerate, match=r"'coin' is drawn again"):
        exact_law(loop)
    kept = Loop(loop.initial_state, loop.step, loop.outcome, live=lambda state: ["coin"])
    law = exact_law(kept, arithmetic="rational")
    assert law.probabilities == {(True, True): Fraction(1, 3), (False, False): Fraction(2, 3)}


@pytest.mark.slow
def test_a_race_that_outlives_a_step_keeps_its_cell() -> None:
    first, second = (Fraction(1, 2), Fraction(3, 10), Fraction(1, 5)), (Fraction(1, 5), Fraction(3, 10), Fraction(1, 2))

    def step(state: tuple[int, ...], draws: Any) -> tuple[int, ...]:
        return (*state, draws.race("noise").winner(second if state else first))

    def at_once(draws: Any) -> tuple[int, int]:
        race = draws.race("noise")
        return race.winner(first), race.winner(second)

    loop = Loop(lambda: (), step, lambda state: state if len(state) == 2 else None)
    law = exact_law(loop, arithmetic="rational")
    assert law.probabilities == exact_law(at_once, arithmetic="rational").probabilities
    assert sum(law[i, i] for i in range(3)) == Fraction(1, 5) + Fraction(3, 13) + Fraction(1, 5)  # theory, section 4


def test_state_key_forgets_what_does_not_matter() -> None:
    tables = rational_tables(2, 3, seed=3)
    decoder = Decoder(tables, 2, 3, 2, "scd-mc")
    law = exact_law(
        decoder.loop(),
        state_key=lambda state: (state.committed, state.drafts),
        arithmetic="rational",
    )
    assert law.total_variation(target_law(tables, 3)) == 0
    with pytest.raises(ValueError, match="only a Loop has states"):
        exact_law(whole(decoder), state_key=lambda state: state)


def test_a_loop_of_tensors_without_draws() -> None:
    import torch

    def step(tokens: torch.Tensor) -> torch.Tensor:
        tokens += torch.multinomial(torch.tensor([0.25, 0.75]), 1)
        return torch.cat([tokens, torch.ones(1, dtype=torch.long)])

    loop = Loop(lambda: torch.zeros(1, dtype=torch.long), step, lambda t: int(t.sum()) if len(t) == 3 else None)
    law = exact_law(loop, state_key=lambda tokens: tuple(tokens.tolist()))
    assert sum(law.probabilities.values()) == pytest.approx(1, abs=1e-15)


def test_a_variate_kept_in_a_state_is_refused() -> None:
    import torch

    loop = Loop(lambda: [], lambda state: [*state, torch.rand(1)], lambda state: len(state) == 2 or None)
    with pytest.raises(CannotEnumerate, match="state"):
        exact_law(loop, state_key=len)


@pytest.mark.parametrize(
    ("sampler", "message"),
    [
        (lambda draws: draws.race("k").winner([1, 2]) + draws.race("k").winner([1, 2, 3]), "had 2 before"),
        (lambda draws: draws.categorical("k", [0, 0]), "some mass"),
        (lambda draws: draws.categorical("k", [-1, 2]), "not negative"),
        (lambda one, two: 0, "2 parameters"),
        (lambda: 0, "computes in Fractions"),
    ],
)
def test_wrong_use_is_an_error(sampler: Callable[..., Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        exact_law(sampler, arithmetic="rational")


def test_the_same_code_is_a_sampler() -> None:
    """Frequencies of 4,000 sequences against the exact law.

    False-fail rate 1e-9 by Hoeffding and a union bound over 8 outcomes; it resolves a shift of .06 in one outcome.
    """
    tables = rational_tables(2, 3, seed=4)
    sampler = whole(Decoder(tables, 2, 3, 2, "scd-gs"))
    number = 4000
    found: dict[tuple[int, ...], int] = {}
    for sequence in range(number):
        outcome = sampler(SampledDraws(seed=11, sequence=sequence))
        found[outcome] = found.get(outcome, 0) + 1
    radius = np.sqrt(np.log(2 * 8 / 1e-9) / (2 * number))
    assert radius < 0.06
    for outcome, p in target_law(tables, 3).items():
        assert abs(found.get(outcome, 0) / number - float(p)) < radius
    assert sampler(SampledDraws(seed=11, sequence=5)) == sampler(SampledDraws(seed=11, sequence=5))


def test_a_loop_refuses_more_processes_than_it_uses() -> None:
    decoder = Decoder(rational_tables(2, 2, seed=1), 2, 2, 2, "sjd")
    with pytest.raises(InputError, match="workers = 2"):
        exact_law(decoder.loop(), workers=2)


# -- loops that reject until they accept -----------------------------------------------------------------------------

ACCEPT = [Fraction(1, 2), Fraction(3, 10), Fraction(1, 5)]


def rejecting(state: tuple[Any, int, bool], draws: Any) -> tuple[Any, int, bool]:
    """Propose one of three, accept it in proportion to its weight; the state counts the proposals."""
    token = draws.categorical(("proposal", state[1]), [1, 1, 1])
    return token, state[1] + 1, draws.bernoulli(("accept", state[1]), ACCEPT[token])


def accepted(state: tuple[Any, int, bool]) -> Any:
    return state[0] if state[2] else None


def test_rejection_is_solved_where_states_come_again() -> None:
    loop = Loop(lambda: (None, 0, False), rejecting, accepted)
    law = exact_law(loop, state_key=lambda state: state[2], arithmetic="rational", intercept=False)
    assert law.probabilities == dict(enumerate(ACCEPT))
    assert law.unexplored_mass == 0
    assert law.branches == 7


def test_rejection_of_tensors_is_solved() -> None:
    import torch

    def step(state: tuple[int, bool]) -> tuple[int, bool]:
        token = int(torch.randint(0, 3, ()))
        return token, bool(torch.rand((), dtype=torch.float64) < float(ACCEPT[token]))

    law = exact_law(Loop(lambda: (0, False), step, lambda state: state[0] if state[1] else None))
    assert_exact(law, {token: float(p) for token, p in enumerate(ACCEPT)})
    assert law.unexplored_mass == 0


def walk(start: int, end: int, up: Fraction) -> Loop:
    def step(state: tuple[int, int], draws: Any) -> tuple[int, int]:
        place, time = state
        return place + (1 if draws.bernoulli(("step", time), up) else -1), time + 1

    return Loop(lambda: (start, 0), step, lambda state: state[0] if state[0] in (0, end) else None)


@given(st.integers(1, 6), st.integers(1, 9))
@settings(max_examples=20, deadline=None)
def test_the_gambler_s_ruin(start: int, tenths: int) -> None:
    """States that lead to each other both ways; closed form of the probability to reach 7 before 0."""
    up = Fraction(tenths, 10)
    odds = (1 - up) / up
    expected = Fraction(start, 7) if odds == 1 else (1 - odds**start) / (1 - odds**7)
    law = exact_law(walk(start, 7, up), state_key=lambda state: state[0], arithmetic="rational", intercept=False)
    assert law[7] == expected
    assert law[0] == 1 - expected
    rounded = exact_law(walk(start, 7, up), state_key=lambda state: state[0], intercept=False)
    assert rounded[7] == pytest.approx(float(expected), rel=1e-13)


def test_a_key_that_leaves_something_out_is_refused() -> None:
    """The third proposal is accepted in any case: a counter decides, which the key leaves out."""

    def step(state: tuple[int, bool], draws: Any) -> tuple[int, bool]:
        time = state[0] + 1
        return time, time == 3 or draws.bernoulli(("accept", time), Fraction(1, 2))

    loop = Loop(lambda: (0, False), step, lambda state: min(state[0], 2) if state[1] else None)
    with pytest.raises(CannotEnumerate, match="state_key: two states"):
        exact_law(loop, state_key=lambda state: state[1], intercept=False)
    assert exact_law(loop, arithmetic="rational", intercept=False)[2] == Fraction(1, 2)


def test_states_that_never_end_are_left_out_and_said() -> None:
    def step(state: str, draws: Any) -> str:
        if state == "start":
            return "end" if draws.bernoulli("out", 0.25) else "a"
        return "b" if state == "a" else "a"

    law = exact_law(Loop(lambda: "start", step, lambda s: s if s == "end" else None), intercept=False)
    assert law["end"] == 0.25
    assert law.unexplored_mass == 0.75
    assert any("without an end" in note for note in law.notes)


@pytest.mark.slow
def test_a_function_that_rejects_ends_by_a_budget_with_bounds() -> None:
    """The heaviest paths first: a path that rejects for ever does not keep the others from being run."""

    def sampler() -> int:
        while True:
            if (u := random.random()) < 0.3:
                return int(u < 0.1)

    law = exact_law(sampler, max_branches=60)
    assert law.branches == 60
    assert law.unexplored_mass < 1e-4
    low, high = law.total_variation_bounds({1: 1 / 3, 0: 2 / 3})
    assert low < 1e-12
    assert high < 1e-4
    assert exact_law(sampler).unexplored_mass < 1e-15  # without one it goes on to where nothing is left


@pytest.mark.slow
def test_a_function_whose_rejections_multiply_is_refused_without_a_budget() -> None:
    def sampler() -> int:
        while True:
            token = random.randrange(3)
            if random.random() < 0.9:
                return token

    with pytest.raises(CannotEnumerate, match=r"reject.*max_branches.*Loop"):
        exact_law(sampler)
    assert exact_law(sampler, max_branches=100).unexplored_mass < 0.01
