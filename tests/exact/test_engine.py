"""Budgets, floors, processes, outcomes, and the model's own law."""

from __future__ import annotations

import asyncio
import itertools
import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from scd_analysis.errors import InputError, LawError, UnknownNameError
from scd_analysis.exact import CannotEnumerate, assert_exact, exact_law, exact_target_law
from tests.exact.test_kernels import Table, jacobi_decode
from tests.exact.tiny_decoder import Decoder, rational_tables, target_law


def seven_coins() -> Any:
    return sum((torch.rand(7, dtype=torch.float64) < 0.3).tolist())


def binomial(n: int, p: float) -> dict[int, float]:
    return {k: math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)}


def test_a_budget_ends_with_rigorous_bounds() -> None:
    expected = binomial(7, 0.3)
    law = exact_law(seven_coins, max_branches=25)
    assert law.branches == 25
    assert 0 < law.unexplored_mass < 0.6
    assert sum(law.probabilities.values()) + law.unexplored_mass == pytest.approx(1, abs=1e-12)
    low, high = law.total_variation_bounds(expected)
    assert low == pytest.approx(0, abs=1e-12)
    assert high == pytest.approx(law.unexplored_mass, abs=1e-12)
    low, _ = law.total_variation_bounds(binomial(7, 0.6))
    assert low > 0.1


def test_no_time_at_all_leaves_everything_unexplored() -> None:
    law = exact_law(seven_coins, max_seconds=0)
    assert law.unexplored_mass == 1
    assert law.total_variation_bounds(binomial(7, 0.3)) == (0, pytest.approx(1))


@pytest.mark.slow
def test_a_path_without_an_end_is_left_when_the_time_is_up() -> None:
    def endless() -> None:
        while torch.rand(()) < 0.5 or True:
            pass

    law = exact_law(endless, max_seconds=0.2)
    assert law.probabilities == {}
    assert law.unexplored_mass == pytest.approx(1)


def test_a_mass_floor_is_reported() -> None:
    law = exact_law(seven_coins, mass_floor=1e-3)
    assert law.branches < 128
    assert sum(law.probabilities.values()) + law.unexplored_mass == pytest.approx(1, abs=1e-12)
    assert law.unexplored_mass > 1e-3


def test_a_loop_has_budgets_too() -> None:
    tables = rational_tables(3, 3, seed=5)
    decoder = Decoder(tables, 3, 3, 3, "scd-mc")
    law = exact_law(decoder.loop(), arithmetic="rational", max_branches=20, intercept=False)
    assert 0 < law.unexplored_mass < 1
    assert sum(law.probabilities.values()) + law.unexplored_mass == 1
    low, high = law.total_variation_bounds(target_law(tables, 3))
    assert low == 0
    assert high == law.unexplored_mass
    floored = exact_law(decoder.loop(), mass_floor=0.05, intercept=False)
    assert sum(floored.probabilities.values()) + floored.unexplored_mass == pytest.approx(1, abs=1e-12)


def test_progress_can_be_shown(capsys: pytest.CaptureFixture[str]) -> None:
    exact_law(seven_coins, max_branches=10, progress=True)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("outcome", "frozen"),
    [
        (torch.tensor([[1, 2], [3, 4]]), ((1, 2), (3, 4))),
        (np.array([1.5, 2.5]), (1.5, 2.5)),
        ([1, [2, np.int64(3)]], (1, (2, 3))),
        ({"a": [1]}, (("a", (1,)),)),
        (torch.tensor(True), True),
        (None, None),
    ],
)
def test_outcomes_become_hashable(outcome: Any, frozen: Any) -> None:
    assert list(exact_law(lambda: outcome).probabilities) == [frozen]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"arithmetic": "decimal"}, "arithmetic"),
        ({"mass_floor": -1}, "mass_floor"),
        ({"workers": 0}, "workers"),
        ({"workers": 10**9}, "workers = 1000000000: must lie between 1 and 1024"),
        ({"max_branches": 0}, "max_branches"),
        ({"intercept": False}, "intercept"),
        ({"slack": 2}, "slack"),
        ({"max_seconds": math.inf}, "max_seconds = inf"),
    ],
)
def test_bad_options_are_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        exact_law(lambda: 0, **options)


class Unhashable:
    """A stranger's class whose hash is broken."""

    def __hash__(self) -> int:
        raise RuntimeError("no hash today")


def _cyclic() -> list[Any]:
    out: list[Any] = []
    out.append(out)
    return out


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        (lambda: {1, 2}, "hashable"),
        (Unhashable, "hashable"),
        (_cyclic, "without an end"),
        (lambda: torch.empty(2, device="meta"), "no values"),
    ],
)
def test_an_outcome_that_cannot_be_counted_is_an_error(outcome: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        exact_law(outcome)


@pytest.mark.slow
@pytest.mark.parametrize(
    "outcome",
    [
        math.nan,
        np.float32("nan"),
        torch.tensor([1.0, math.nan]),
        (1, [math.nan]),
        complex(0, math.nan),
        Decimal("sNaN"),
    ],
    ids=repr,
)
def test_nan_is_no_outcome(outcome: Any) -> None:
    with pytest.raises(CannotEnumerate, match=r"returned .*NaN.* does not equal itself"):
        exact_law(lambda: outcome)
    assert exact_law(lambda: math.inf)[math.inf] == 1


@pytest.mark.parametrize("exit_", [SystemExit(3), GeneratorExit(), asyncio.CancelledError()], ids=repr)
def test_an_exit_of_the_sampler_is_an_error_and_no_exit(exit_: BaseException) -> None:
    def sampler() -> int:
        if torch.rand(()) < 0.25:
            raise exit_
        return 1

    with pytest.raises(InputError, match=rf"sampler raised {type(exit_).__name__}.*probability 0\.25"):
        exact_law(sampler)


def test_an_interruption_by_the_user_is_none_of_the_sampler_s_errors() -> None:
    def sampler() -> int:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        exact_law(sampler)


@pytest.mark.slow
def test_what_is_equal_is_one_outcome() -> None:
    def either() -> Any:
        return {"a": 1, "b": 2} if torch.rand(()) < 0.5 else {"b": 2, "a": 1}

    assert list(exact_law(either).probabilities.values()) == [1.0]
    assert dict(exact_law(lambda: torch.eye(2).to_sparse()).probabilities) == {((1.0, 0.0), (0.0, 1.0)): 1.0}


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: np.random.default_rng(0).integers(3, 1), "low >= high"),
        (lambda: np.random.default_rng(0).integers(0), "low >= high|high <= 0"),
        (lambda: np.random.default_rng(0).binomial(-1, 0.5), "n < 0"),
        (lambda: np.random.default_rng(0).multinomial(-1, [0.5, 0.5]).tolist(), "n < 0"),
    ],
)
def test_a_draw_that_numpy_refuses_is_refused_as_it_does(draw: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        exact_law(draw)


# -- the model's own law ----------------------------------------------------------------------------------------


def test_target_law_multiplies_conditionals() -> None:
    model = Table(3, 2, seed=0)
    law = exact_target_law(model)
    assert law[1, 2] == pytest.approx(float(model.laws[()][1] * model.laws[1,][2]), abs=1e-15)
    assert sum(law.values()) == pytest.approx(1, abs=1e-12)
    exact = exact_target_law(model, arithmetic="rational")
    assert sum(exact.values()) == 1
    assert isinstance(exact[0, 0], Fraction)


@pytest.mark.slow
def test_ancestral_sampling_has_the_target_law() -> None:
    model = Table(3, 3, seed=1)

    def ancestral() -> torch.Tensor:
        tokens = torch.zeros(1, 0, dtype=torch.long)
        for _ in range(3):
            tokens = torch.cat([tokens, torch.multinomial(model.next_token_probs(tokens)[:, -1], 1)], -1)
        return tokens[0]

    assert_exact(ancestral, model)
    with pytest.raises(AssertionError, match="law differs"):
        assert_exact(lambda: jacobi_decode(model, fault="first untested"), model)


class Wrong:
    """A model whose laws are wrong in one way."""

    vocab_size, num_tokens = 2, 2

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def next_token_probs(self, tokens: torch.Tensor) -> torch.Tensor:
        probs = torch.full((tokens.shape[0], tokens.shape[1] + 1, 2), 0.5)
        if self.fault == "shape":
            return probs[:, :-1]
        probs[..., 0] = {"nan": math.nan, "negative": -0.5, "sum": 0.6}[self.fault]
        return probs


@pytest.mark.parametrize(
    ("fault", "error"), [("nan", LawError), ("negative", LawError), ("sum", LawError), ("shape", InputError)]
)
def test_a_wrong_model_is_an_error(fault: str, error: type[Exception]) -> None:
    with pytest.raises(error, match="next_token_probs"):
        exact_target_law(Wrong(fault))


# -- the report -------------------------------------------------------------------------------------------------

model = Table(2, 2, seed=0)
expected_law = exact_target_law(model)


def good_sampler() -> torch.Tensor:
    return jacobi_decode(model)


@pytest.mark.slow
def test_report_as_table(capsys: pytest.CaptureFixture[str]) -> None:
    from scd_analysis.exact.report import run

    run(f"{__name__}:good_sampler", against=f"{__name__}:model")
    text = capsys.readouterr().out
    assert "total variation" in text
    assert "(0, 0)" in text
    run(f"{__name__}:good_sampler", max_branches=3)
    assert "unexplored mass" in capsys.readouterr().out


def test_report_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    import json

    from scd_analysis.exact.report import run

    run(f"{__name__}:good_sampler", against=f"{__name__}:expected_law", as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["num_outcomes"] == 4
    assert found["total_variation"]["high"] < 1e-12
    assert math.fsum(row["probability"] for row in found["probabilities"]) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("no_colon", InputError),
        ("no.such.module:x", UnknownNameError),
        (f"{__name__}:nothing_here", UnknownNameError),
        (f"{__name__}:expected_law", InputError),
    ],
)
def test_report_names_what_is_wrong(target: str, error: type[Exception]) -> None:
    from scd_analysis.exact.report import run

    with pytest.raises(error, match="target"):
        run(target)


@pytest.mark.slow
def test_a_stranger_s_decode_loop_at_full_size() -> None:
    """V = 3, N = 4, window 3, as a plain tree of tensors."""
    table = Table(3, 4, seed=0)
    law = assert_exact(lambda: jacobi_decode(table, window=3), table)
    assert len(law) == len(list(itertools.product(range(3), repeat=4)))
