"""Every idiom of the table is enumerated to 1e-12 in every mode of PyTorch (that 1e-9 is told: `test_exact_law`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
import torch

from scd_analysis.exact import CannotEnumerate, assert_exact
from scd_analysis.exact.engine import runner
from scd_analysis.exact.explore import Explorer, Limits
from scd_analysis.exact.interception import Watch, intercepted
from scd_analysis.exact.law import ExactLaw
from tests.exact import idioms_modes, idioms_moving, idioms_samplers, idioms_tokens
from tests.exact.idioms import IDIOMS, Idiom
from tests.exact.test_refusals import REFUSED

assert idioms_modes  # importing them fills the table
assert idioms_moving
assert idioms_samplers
assert idioms_tokens

MODES: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "plain": nullcontext,
    "no_grad": torch.no_grad,
    "inference": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "grad_off": lambda: torch.set_grad_enabled(False),
    "grad_on": torch.enable_grad,
}


@pytest.fixture(scope="module")
def watch() -> Iterator[Watch]:
    """One interception for the whole table; `exact_law` sets up its own, which takes a tenth of a second."""
    with intercepted() as found:
        yield found


def enumerated(sampler: Callable[[], Any], watch: Watch) -> ExactLaw:
    explorer = Explorer(runner(sampler, False), Limits(), watch.check, repeats=1)
    explorer.run()
    return explorer.tally.law(False)


def under(mode: str, sampler: Callable[[], Any]) -> Callable[[], Any]:
    def inside() -> Any:
        with MODES[mode]():
            return sampler()

    return inside


def check(law: ExactLaw, idiom: Idiom) -> None:
    assert_exact(law, idiom.law)
    assert abs(sum(law.probabilities.values()) - 1) < 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("name", IDIOMS)
def test_idiom(name: str, watch: Watch) -> None:
    recent = IDIOMS[name].sampler.__module__ == idioms_samplers.__name__  # all modes were tried once; these differ most
    for mode in ("plain", "inference", "autocast") if recent else MODES:
        check(enumerated(under(mode, IDIOMS[name].sampler), watch), IDIOMS[name])
    for mode in ("inference",) if recent else ("inference", "autocast"):
        with MODES[mode]():
            check(enumerated(IDIOMS[name].sampler, watch), IDIOMS[name])


@pytest.mark.parametrize("sampler", [sampler for sampler, _ in REFUSED], ids=lambda value: value.__name__)
def test_what_is_refused_is_refused_in_every_mode(sampler: Callable[[], Any], watch: Watch) -> None:
    for mode in MODES:
        with pytest.raises(CannotEnumerate):
            enumerated(under(mode, sampler), watch)
