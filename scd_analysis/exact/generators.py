"""Generators of PyTorch that the sampler passes: their states say when noise comes again.

A draw is enumerated and leaves the generator it names untouched, so it is moved on here. Then a state from which a draw
was made in a run before is one that was put back, seeded again, or copied: its noise comes again.
"""

from __future__ import annotations

import torch

from scd_analysis.exact.context import refuse
from scd_analysis.exact.run import AGAIN, Run

_RAND = torch.rand


class Generators:
    """Those that were passed while draws are intercepted, with the states they had."""

    def __init__(self) -> None:
        self._first: dict[int, tuple[torch.Generator, torch.Tensor]] = {}

    def drawn_from(self, run: Run, generator: torch.Generator) -> None:
        """Take note of a draw.

        Raises
        ------
        CannotEnumerate
            If a draw was made from this state in the same run.
        """
        if generator is torch.default_generator:
            return  # guarded by itself
        state = generator.get_state()
        self._first.setdefault(id(generator), (generator, state))
        key = state.numpy().tobytes()
        if key in run.states:
            refuse("a torch.Generator", f"a draw was made from the same state in this run, and {AGAIN}")
        run.states.add(key)
        _RAND(1, generator=generator, device=generator.device)

    def restore(self) -> None:
        """Give every generator the state it had."""
        for generator, state in self._first.values():
            generator.set_state(state)
        self._first.clear()


GENERATORS = Generators()
