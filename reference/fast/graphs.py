"""A pass as one CUDA graph: a card is done with a small network before the host has launched its operations one by one.

Of sessions that are ``replayable`` (:class:`reference.models.base.Session`); the environment variable ``SCD_COMPILE``
set to ``never`` turns this off, too. Both ways give the same tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from reference.fast.compiling import compile_mode
from reference.models.base import TargetModel, open_session

_SHRINK_REPLAYED = 4
"""A pass that is replayed keeps its size until so many times fewer sequences are left: to capture it anew takes as long
as tens of passes."""

_SHRINK = 16 / 15
"""Of any other pass: to move the state of all who are left takes as long as a few sequences' share of a pass."""

_MORE_REPLAYED = 4
"""Times the sequences in a batch, where passes are replayed: they take hardly longer."""

R = TypeVar("R")
Pass = Callable[[Any, int], tuple[Any, R]]


def replays(session: object, device: torch.device) -> bool:
    """Whether passes of a session are replayed there."""
    return device.type == "cuda" and getattr(session, "replayable", False) and compile_mode() != "never"


def more_at_once(model: TargetModel, device: torch.device) -> int:
    """How many times more sequences than elsewhere a batch should hold there."""
    return _MORE_REPLAYED if device.type == "cuda" and replays(open_session(model, 1, device), device) else 1


class Replay(Generic[R]):
    """A pass, captured: every call runs it again on the same memory.

    Parameters
    ----------
    function : callable
        State (a dataclass of tensors) and reach to the next state and what else came of the pass.
    state : dataclass
        From which the first call goes on; later ones go on from what the one before returned, copied to its memory.
    reach : int
        For the function.
    """

    def __init__(self, function: Pass[R], state: Any, reach: int) -> None:
        self._graph, self._before, self._called = torch.cuda.CUDAGraph(), state, False
        here, aside = torch.cuda.current_stream(), torch.cuda.Stream()
        aside.wait_stream(here)
        with torch.cuda.stream(aside):
            self._graph.capture_begin()
            try:
                self._after, self._rest = function(state, reach)
            finally:
                self._graph.capture_end()
        here.wait_stream(aside)

    def __call__(self) -> tuple[Any, R]:
        """Run the pass; what it returned before is overwritten."""
        if self._called:
            overwrite(self._before, self._after)
        self._called = True
        self._graph.replay()
        return self._after, self._rest


def overwrite(state: Any, after: Any) -> None:
    """Copy every tensor of a state into the memory of another."""
    for field in fields(state):
        old, new = getattr(state, field.name), getattr(after, field.name)
        if isinstance(old, Tensor) and old is not new:
            old.copy_(new)


class Passes(Generic[R]):
    """One pass of a batch after another: at first as they are, and replayed from then on if ``replayed``."""

    def __init__(self, function: Pass[R], replayed: bool) -> None:
        self.replayed, self._function = replayed, function
        self.restart()

    def restart(self) -> None:
        """The batch has another size now."""
        self._replay: Replay[R] | None = None
        self._warm = False

    def pays_to_leave(self, size: int, live: int) -> bool:
        """Whether a batch of ``size`` with ``live`` sequences left should go on with these only."""
        return live * (_SHRINK_REPLAYED if self.replayed else _SHRINK) <= size

    def __call__(self, state: Any, reach: int) -> tuple[Any, R]:
        """The next pass."""
        if self._replay is None and self._warm and self.replayed:
            self._replay = Replay(self._function, state, reach)
        if self._replay is not None:
            return self._replay()
        self._warm = not state.opening  # what a capture needs was made by a pass of the same kind
        return self._function(state, reach)
