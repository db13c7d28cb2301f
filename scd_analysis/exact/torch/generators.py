"""PyTorch's generators: the states from which draws are made say when noise comes again.

Those that a module holds, or that the sampler leads to, are known before it runs, since it may seed one before it draws
from it; PyTorch lets nobody see that, and hides its generators from the collector.

A draw is enumerated and leaves the generator it names untouched, so it is moved on here. Then a state from which a draw
was made in a run before is one that was put back, seeded again, or copied: its noise comes again.
"""

from __future__ import annotations

import gc
import sys
from collections import deque
from collections.abc import Iterator
from hashlib import blake2b
from types import ModuleType
from typing import Any

import torch

from scd_analysis.exact.refusals import refuse
from scd_analysis.exact.run import REPEATED_NOISE, Run

_RAND, _GENERATOR = torch.rand, torch.Generator  # before they are intercepted

MOST_OBJECTS = 100_000
"""That are looked at from a sampler on, nearest first."""


class Generators:
    """Those of the caller that modules or the sampler hold, or that were passed while draws are intercepted.

    Each with the state that it had.
    """

    def __init__(self) -> None:
        self._first: dict[int, tuple[torch.Generator, torch.Tensor]] = {}

    def remember(self, sampler: Any) -> None:
        """Take note of those that modules hold, and of those that a sampler leads to."""
        modules = [vars(module) for module in list(sys.modules.values()) if isinstance(module, ModuleType)]
        for held in (*map(dict.values, modules), list(_led_to(sampler, set(map(id, modules))))):
            for generator in held if _GENERATOR in map(type, held) else ():
                if type(generator) is _GENERATOR and generator is not torch.default_generator:
                    self._first.setdefault(id(generator), (generator, generator.get_state()))

    def drawn_from(self, run: Run, generator: torch.Generator | None) -> None:
        """Take note of a draw; None is the global generator.

        Raises
        ------
        CannotEnumerate
            If a draw was made from this state in the same run.
        """
        if generator is None or generator is torch.default_generator:
            if run.torch_seed is not None:
                seed, run.torch_seed = run.torch_seed, None
                self._once(run, _GENERATOR().manual_seed(seed).get_state(), f"the seed {seed} of torch")
            return
        run.note("a torch.Generator was passed in and ignored")
        state = generator.get_state()
        if type(generator) is _GENERATOR:
            self._first.setdefault(id(generator), (generator, state))
        self._once(run, state, "a torch.Generator")
        _RAND(1, generator=generator, device=generator.device)

    def _once(self, run: Run, state: torch.Tensor, what: str) -> None:
        key = blake2b(state.numpy().tobytes(), digest_size=16).digest()
        if key in run.states:
            refuse(what, f"a draw was made from the same state in this run, and {REPEATED_NOISE}")
        run.states.add(key)

    def restore(self) -> None:
        """Give every generator the state it had."""
        for generator, state in reversed(self._first.values()):  # one may be passed as another object: the first counts
            generator.set_state(state)
        self._first.clear()


def _led_to(start: Any, known: set[int]) -> Iterator[Any]:
    """Objects that one refers to, in closures, attributes and containers; not what modules and types hold."""
    waiting, seen = deque([start]), {id(start), *known}
    while waiting and len(seen) < MOST_OBJECTS:
        found = waiting.popleft()
        yield found
        if not isinstance(found, (ModuleType, type)):
            new = [other for other in gc.get_referents(found) if id(other) not in seen]
            seen.update(map(id, new))
            waiting.extend(new)


GENERATORS = Generators()


def seeded(run: Run, seed: Any) -> None:
    """Take note of a seed of the global generator, from which the next draw starts."""
    run.note("a seed of torch was ignored")
    run.torch_seed = int(seed)
