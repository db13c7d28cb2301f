"""Models that are not quite the target: what a decoder with a fault of the kind *target* really asks."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from reference.models.base import TargetModel, device_of, grid_of, read_laws

Alter = Callable[[TargetModel, Tensor, Tensor], Tensor]


class Altered:
    """A model whose laws pass through a function.

    Parameters
    ----------
    model : TargetModel
        The right one.
    alter : callable
        ``(model, tokens, laws) -> laws``, Long[B, t] and Float[B, t + 1, V].
    """

    def __init__(self, model: TargetModel, alter: Alter) -> None:
        self.model, self.alter = model, alter
        self.vocab_size, self.num_tokens = model.vocab_size, model.num_tokens
        self.grid = grid_of(model)

    @property
    def device(self) -> torch.device | str:
        """Where the model underneath is."""
        return device_of(self.model)

    def next_token_probs(self, tokens: Tensor) -> Tensor:
        """Wrong laws; see :class:`reference.models.base.TargetModel`."""
        return self.alter(self.model, tokens, read_laws(self.model, tokens))
