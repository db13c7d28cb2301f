"""Logit processors as models: the processed law *is* the target law, so that "lossless" means equal to it.

Logits enter only up to a constant a row, so log-probabilities serve, and any target model can be wrapped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from reference.models.base import LikeModel, Session, TargetModel, open_session, read_laws
from scd_analysis.errors import InputError
from scd_analysis.validate import check_at_least, check_between


def _log(probs: Tensor) -> Tensor:
    return probs.clamp(min=torch.finfo(probs.dtype).tiny).log().masked_fill(probs == 0, float("-inf"))


def _argmax_law(probs: Tensor) -> Tensor:
    return torch.zeros_like(probs).scatter_(-1, probs.argmax(-1, keepdim=True), 1.0)


@dataclass(frozen=True)
class Processors:
    """Temperature, then top-k, then top-p, as ``transformers`` orders them.

    Attributes
    ----------
    temperature : float
        0 is the point mass on the most probable token (the first, if tied).
    top_k : int or None
        Keep the k most probable tokens, and any tied with the last of them.
    top_p : float or None
        Keep the fewest most probable tokens whose probabilities reach ``top_p``, in (0, 1].
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        check_at_least(self.temperature, 0.0, "temperature")
        if self.top_k is not None:
            check_at_least(self.top_k, 1, "top_k")
        if self.top_p is not None:
            check_between(self.top_p, 0.0, 1.0, "top_p")
            if self.top_p == 0:
                raise InputError("top_p = 0: keeps no token")

    def __call__(self, probs: Tensor) -> Tensor:
        """Process laws, Float[..., V]."""
        if self.temperature == 0:
            return _argmax_law(probs)
        if self.temperature != 1:
            probs = (_log(probs) / self.temperature).softmax(-1)
        if self.top_k is not None and self.top_k < probs.shape[-1]:
            least = probs.topk(self.top_k, dim=-1).values[..., -1:]
            probs = probs.masked_fill(probs < least, 0.0)
            probs = probs / probs.sum(-1, keepdim=True)
        if self.top_p is not None and self.top_p < 1:
            ordered, order = probs.sort(dim=-1, descending=True, stable=True)
            before = ordered.cumsum(-1) - ordered
            kept = ordered.masked_fill(before >= self.top_p, 0.0)
            probs = torch.zeros_like(probs).scatter_(-1, order, kept)
            probs = probs / probs.sum(-1, keepdim=True)
        return probs


def guide(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance: ``log p_u + scale (log p_c - log p_u)``, of logits up to a constant a row.

    A token that is impossible in one is impossible.

    References
    ----------
    Ho, Salimans: Classifier-free diffusion guidance. arXiv:2207.12598.
    """
    both = conditional.isneginf() | unconditional.isneginf()  # no inf - inf
    guided = unconditional + scale * (conditional - unconditional)
    return guided.masked_fill(both, float("-inf"))


class ProcessedModel(LikeModel):
    """A target model whose laws are those of ``model`` after ``processors``."""

    def __init__(self, model: TargetModel, processors: Processors) -> None:
        super().__init__(model)
        self.processors = processors

    def next_token_probs(self, tokens: Tensor) -> Tensor:
        """Processed laws; see :class:`reference.models.base.TargetModel`."""
        return self.processors(read_laws(self.model, tokens))

    def open_session(self, num_sequences: int, device: torch.device) -> Session:
        """Start a batch of the model underneath."""
        return _MappedSession([open_session(self.model, num_sequences, device)], self._combine)

    def _combine(self, laws: list[Tensor]) -> Tensor:
        return self.processors(laws[0])


class GuidedModel(LikeModel):
    """Classifier-free guidance of two models, normalised; see :func:`guide`.

    Parameters
    ----------
    conditional, unconditional : TargetModel
        Of equal sizes.
    scale : float
        1 is the conditional model.
    """

    def __init__(self, conditional: TargetModel, unconditional: TargetModel, scale: float) -> None:
        check_at_least(scale, 0.0, "guidance")
        for name in ("vocab_size", "num_tokens"):
            mine, other = getattr(conditional, name), getattr(unconditional, name)
            if mine != other:
                raise InputError(f"unconditional.{name} = {other}: the conditional model has {mine}")
        super().__init__(conditional)
        self.conditional, self.unconditional, self.scale = conditional, unconditional, scale

    def next_token_probs(self, tokens: Tensor) -> Tensor:
        """Guided laws; see :class:`reference.models.base.TargetModel`."""
        first = _log(read_laws(self.conditional, tokens))  # before the other is asked, which may use the same memory
        return guide(first, _log(read_laws(self.unconditional, tokens)), self.scale).softmax(-1)

    def open_session(self, num_sequences: int, device: torch.device) -> Session:
        """Start a batch of both models."""
        parts = [open_session(m, num_sequences, device) for m in (self.conditional, self.unconditional)]
        return _MappedSession(parts, self._combine)

    def _combine(self, laws: list[Tensor]) -> Tensor:
        return guide(_log(laws[0]), _log(laws[1]), self.scale).softmax(-1)


class _MappedSession:
    """Sessions whose laws are combined by a function."""

    def __init__(self, parts: list[Session], combine: Callable[[list[Tensor]], Tensor]) -> None:
        self.parts, self.combine = parts, combine
        self.replayable = all(getattr(part, "replayable", False) for part in parts)

    def laws(self, tokens: Tensor, rows: Tensor, reach: int) -> Tensor:
        """See :class:`reference.models.base.Session`."""
        return self.combine([part.laws(tokens, rows, reach) for part in self.parts])

    def keep(self, index: Tensor) -> None:
        """See :class:`reference.models.base.Session`."""
        for part in self.parts:
            part.keep(index)
