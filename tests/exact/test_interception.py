"""Interception leaves nothing behind, sees every draw, and says so when it cannot."""

# ruff: noqa: NPY002 -- other people's code

from __future__ import annotations

import functools
import importlib
import math
import os
import random
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from scd_analysis.exact import CannotEnumerate, exact_law

outside = np.random.default_rng(5)


def draws_everywhere() -> tuple[Any, ...]:
    np.random.seed(1)
    torch.manual_seed(1)
    random.seed(1)
    pieces = (torch.rand(2) < 0.5, np.random.rand() < 0.5, random.random() < 0.5, outside.random() < 0.5)
    return (float(torch.rand(1)) < 0.5, *map(str, pieces))


def fails() -> int:
    draws_everywhere()
    raise KeyError("the sampler's own error")


def refused() -> bool:
    draws_everywhere()
    return bool(torch.sin(torch.rand(())) < 0.5)


def everything() -> dict[str, Any]:
    """All that interception touches: functions, classes, and the states of generators."""
    names = ("item", "__float__", "__bool__", "tolist", "numpy", "__array__", "__repr__")
    found: dict[str, Any] = {
        f"{module.__name__}.{key}": value
        for module in (torch, np.random, random, math, torch.cuda, sys.modules[__name__])
        for key, value in vars(module).items()
        if callable(value)
    }
    found |= {f"Random.{key}": value for key, value in vars(random.Random).items()}
    found |= {f"SystemRandom.{key}": value for key, value in vars(random.SystemRandom).items()}
    found |= {f"Tensor.{key}": getattr(torch.Tensor, key) for key in names}
    found |= {f"Tensor has {key}": key in vars(torch.Tensor) for key in names}
    found |= {f"Gumbel.{key}": value for key, value in vars(torch.distributions.Gumbel).items()}
    found["outside"] = outside
    found["float"] = globals().get("float")
    found["torch state"] = torch.get_rng_state().tolist()
    found["numpy state"] = str(np.random.get_state())
    found["python state"] = random.getstate()
    found["outside state"] = str(outside.bit_generator.state)
    return found


@pytest.mark.parametrize(
    ("sampler", "error"), [(draws_everywhere, None), (fails, KeyError), (refused, CannotEnumerate)]
)
def test_nothing_is_left_behind(sampler: Callable[[], Any], error: type[Exception] | None) -> None:
    before = everything()
    if error is None:
        assert len(exact_law(sampler)) == 64
    else:
        with pytest.raises(error):
            exact_law(sampler)
    after = everything()
    assert before.keys() == after.keys()
    changed = [key for key in before if before[key] is not after[key] and before[key] != after[key]]
    assert changed == []


def test_the_same_draws_follow() -> None:
    def draws() -> list[Any]:
        return [torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random(), outside.random()]

    states = torch.get_rng_state(), np.random.get_state(), random.getstate(), outside.bit_generator.state
    expected = draws()
    torch.set_rng_state(states[0])
    np.random.set_state(states[1])
    random.setstate(states[2])
    outside.bit_generator.state = states[3]
    exact_law(draws_everywhere)
    assert draws() == expected


class Keeper:
    """A sampler whose generators live in its attributes."""

    def __init__(self) -> None:
        self.generator = np.random.default_rng(3)
        self.legacy = np.random.RandomState(3)
        self.python = random.Random(4)

    def __call__(self) -> tuple[bool, ...]:
        u = self.generator.random(), self.legacy.rand(), self.python.random()
        return tuple(bool(x < 0.5) for x in u)


def test_generators_made_outside_are_enumerated() -> None:
    keeper = Keeper()
    mine = keeper.generator
    law = exact_law(keeper)
    assert len(law) == 8
    assert keeper.generator is mine


def test_a_generator_out_of_reach_is_noticed() -> None:
    def sampler(rng: Any) -> bool:
        return bool(rng.random() < 0.5)

    hidden = frozenset([np.random.default_rng(3)])

    def draws_from_hidden() -> bool:
        return sampler(next(iter(hidden)))

    with pytest.raises(CannotEnumerate, match="numpy generator made outside"):
        exact_law(draws_from_hidden)


@pytest.mark.slow
def test_generators_in_default_arguments_and_partials_are_enumerated() -> None:
    def by_default(rng: Any = np.random.default_rng(3)) -> bool:  # noqa: B008 -- other people's code
        return bool(rng.random() < 0.25)

    defaults = by_default.__defaults__
    bound = functools.partial(
        lambda rng, t: bool(rng.random(2).astype(np.float32)[0] < t), np.random.default_rng(4), 0.25
    )
    args = bound.args
    assert exact_law(by_default)[True] == 0.25
    assert exact_law(bound)[True] == 0.25
    assert by_default.__defaults__ is defaults
    assert bound.args == args


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_code_runs_uncompiled() -> None:
    @torch.compile(backend="eager")
    def draw(threshold: torch.Tensor) -> torch.Tensor:
        return torch.rand(1, dtype=torch.float64) < threshold

    def compiles_itself() -> bool:
        return bool(torch.compile(lambda t: torch.rand(1, dtype=torch.float64) < t)(torch.tensor(0.25)))

    assert exact_law(lambda: bool(draw(torch.tensor(0.25))))[True] == 0.25
    assert exact_law(compiles_itself)[True] == 0.25


def test_a_draw_on_another_thread_is_noticed() -> None:
    def sampler() -> int:
        thread = threading.Thread(target=lambda: torch.rand(1))
        thread.start()
        thread.join()
        return 0

    with pytest.raises(CannotEnumerate, match="PyTorch's generator"):
        exact_law(sampler)


@pytest.mark.slow
def test_a_sampler_that_does_not_repeat_itself_is_noticed() -> None:
    calls = []

    def drifts() -> bool:
        calls.append(0)
        return bool(torch.rand(()) < 0.1 * len(calls))

    with pytest.raises(CannotEnumerate, match="does not repeat itself"):
        exact_law(drifts)
    with pytest.raises(CannotEnumerate, match="does not repeat itself"):
        exact_law(lambda: (bool(torch.rand(()) < 0.5), os.urandom(8)))


def test_a_refusal_counts_even_if_the_sampler_catches_it() -> None:
    def swallows() -> int:
        try:
            return int(torch.sin(torch.rand(())) < 0.5)
        except ValueError:
            return 7

    with pytest.raises(CannotEnumerate, match="sin"):
        exact_law(swallows)


@pytest.mark.slow
def test_variates_kept_between_runs_are_not_read() -> None:
    buffer = torch.zeros(2, dtype=torch.float64)
    drawn = []

    def draws_once() -> bool:
        if not drawn:
            drawn.append(0)
            buffer.uniform_()
        return bool(buffer[0] < 0.5)

    with pytest.raises(CannotEnumerate, match=r"outlives a run|does not repeat itself"):
        exact_law(draws_once)

    def draws_anew() -> bool:
        buffer.uniform_()
        return bool(buffer[0] < 0.25)

    assert exact_law(draws_anew)[True] == 0.25


def test_a_kept_number_is_not_used_in_a_later_run() -> None:
    kept: list[Any] = []

    def sampler() -> bool:
        if not kept:
            kept.append(torch.rand(1).item())
        return bool(kept[0] < 0.5)

    with pytest.raises(CannotEnumerate, match=r"earlier run|does not repeat itself"):
        exact_law(sampler)


def test_scripted_code_is_followed() -> None:
    def draw(n: int) -> torch.Tensor:
        return torch.rand(n, dtype=torch.float64) < 0.3

    with pytest.warns(DeprecationWarning, match="script"):
        scripted = torch.jit.script(draw)
    assert exact_law(lambda: bool(scripted(1)[0]))[True] == pytest.approx(0.3, abs=1e-15)


def test_a_nested_enumeration_is_refused() -> None:
    with pytest.raises(ValueError, match="calls exact_law itself"):
        exact_law(lambda: exact_law(lambda: 0))


AT_ITS_HEAD = """
import random
import numpy as np
import torch
from scd_analysis.exact import exact_law

def sampler():
    return bool(torch.rand(()) < 0.25), bool(np.random.rand() < 0.5), random.random() < 0.5

LAW = exact_law(sampler)
"""


def test_a_law_is_followed_at_the_head_of_a_module(tmp_path, monkeypatch):
    """As in a test file, which pytest imports."""
    (tmp_path / "head_of_module.py").write_text(AT_ITS_HEAD)
    monkeypatch.syspath_prepend(tmp_path)
    law = importlib.import_module("head_of_module").LAW
    assert law.branches == 8
    assert law.probabilities[True, True, True] == pytest.approx(1 / 16, abs=1e-12)
