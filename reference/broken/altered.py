"""Models that are not quite the target: what a decoder with a fault of the kind *target* really asks."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from reference.models.base import LikeModel, TargetModel, read_laws

Alter = Callable[[TargetModel, Tensor, Tensor], Tensor]


class Altered(LikeModel):
    """A model whose laws pass through a function.

    Parameters
    ----------
    model : TargetModel
        The right one.
    alter : callable
        ``(model, tokens, laws) -> laws``, Long[B, t] and Float[B, t + 1, V].
    """

    def __init__(self, model: TargetModel, alter: Alter) -> None:
        super().__init__(model)
        self.alter = alter

    def next_token_probs(self, tokens: Tensor) -> Tensor:
        """Wrong laws; see :class:`reference.models.base.TargetModel`."""
        return self.alter(self.model, tokens, read_laws(self.model, tokens))
