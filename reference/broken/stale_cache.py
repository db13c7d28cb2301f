"""The cache entry of a rejected token is left in place."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from reference.broken.fault import Fault
from reference.methods import get_method
from reference.models.base import LikeModel, PlainSession, TargetModel
from reference.plain import PlainDecoder, PlainState, Slot, Window
from scd_analysis.conditions import Condition


class Remembering(LikeModel):
    """A model that sees, of every committed position, the draft that was in its window last.

    Parameters
    ----------
    model : TargetModel
        The right one.
    forever : bool
        Whether the wrong entries stay; else only that of the last committed position is wrong, for one pass.
    """

    def __init__(self, model: TargetModel, *, forever: bool) -> None:
        super().__init__(model)
        self.forever, self.next_token_probs = forever, model.next_token_probs

    def open_session(self, num_sequences: int, device: torch.device) -> _Session:
        """Start a batch with a cache that is not kept up."""
        return _Session(self, num_sequences, device)


class _Session:
    def __init__(self, model: Remembering, num_sequences: int, device: torch.device) -> None:
        self.inner, self.forever = PlainSession(model.model), model.forever
        self.seen = torch.full((num_sequences, model.num_tokens), -1, dtype=torch.long, device=device)

    def laws(self, tokens: Tensor, rows: Tensor, reach: int) -> Tensor:
        """See :class:`reference.models.base.Session`."""
        position = torch.arange(tokens.shape[1], device=tokens.device)
        base = rows[:, :1]
        stale = (position < base) & (self.seen >= 0)
        if not self.forever:
            stale &= position == base - 1
        context = torch.where(stale, self.seen, tokens)
        inside = (position >= base) & (position < base + rows.shape[1] - 1)
        self.seen = torch.where(inside, tokens, self.seen)
        return self.inner.laws(context, rows, reach)

    def keep(self, index: Tensor) -> None:
        """See :class:`reference.models.base.Session`."""
        self.seen = self.seen.index_select(0, index)


@dataclass(frozen=True)
class StaleState(PlainState):
    """With what the model sees of the committed tokens."""

    seen: tuple[int, ...] = ()


class Plain(PlainDecoder):
    """The same, one sequence."""

    forever = True

    def initial_state(self) -> PlainState:
        """Nothing committed, nothing seen."""
        return StaleState((), (), 0)

    def state_key(self, state: PlainState) -> Hashable:
        """The entries of the cache count too."""
        return super().state_key(state), self._context(state)

    def _context(self, state: PlainState) -> tuple[int, ...]:
        assert isinstance(state, StaleState)
        return state.seen if self.forever else (*state.committed[:-1], *state.seen[-1:])

    def _next(
        self, state: PlainState, window: Window, committed: tuple[int, ...], survivors: tuple[Slot, ...]
    ) -> PlainState:
        assert isinstance(state, StaleState)
        drafts = [slot.token for slot in window.slots][: len(committed) - window.base]
        seen = (*state.seen, *drafts, *committed[window.base + len(drafts) :])
        return replace(state, committed=committed, slots=survivors, iteration=state.iteration + 1, seen=seen)


FAULT = Fault(
    name="stale-cache",
    condition=Condition.TARGET,
    summary="the cache keeps the entry of a rejected draft, which later positions go on to see",
    source="seen in released code: no rollback",
    of=get_method("sjd"),
    plain=Plain,
    corrupt=lambda model: Remembering(model, forever=True),
)
