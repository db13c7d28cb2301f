"""Modified rejection sampling (MRS) over a whole window at once.

References
----------
Leviathan, Kalman, Matias: Fast inference from transformers via speculative decoding. ICML 2023, Theorem 1 and A.1.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from reference.draws import inverse_cdf


class Verification(NamedTuple):
    """What MRS says of every draft in a window, each slot on its own.

    Attributes
    ----------
    accepted : Tensor
        Bool[..., L], ``u * q(x) < p(x)``.
    tokens : Tensor
        Long[..., L], the draft where accepted, else a draw from the residual; its law is the target law.
    """

    accepted: Tensor
    tokens: Tensor


def verify(
    target_probs: Tensor, draft_probs: Tensor, draft_tokens: Tensor, uniform: Tensor, residual_uniform: Tensor
) -> Verification:
    """Turn drafts from ``draft_probs`` into draws from ``target_probs``.

    Parameters
    ----------
    target_probs, draft_probs : Tensor
        Float[..., L, V], normalised.
    draft_tokens : Tensor
        Long[..., L], drawn from ``draft_probs``.
    uniform, residual_uniform : Tensor
        Float64[..., L] in [0, 1): one to accept, one for the residual.

    Returns
    -------
    Verification
        Where the laws are equal every draft is accepted and the (empty) residual is never used.
    """
    index = draft_tokens[..., None]
    target_of_token = target_probs.gather(-1, index)[..., 0].double()
    draft_of_token = draft_probs.gather(-1, index)[..., 0].double()
    accepted = uniform * draft_of_token < target_of_token
    residual = (target_probs - draft_probs).clamp_(min=0)
    empty = residual.sum(-1, keepdim=True) == 0  # laws equal but for rounding: any token of the target will do
    residual = torch.where(empty, target_probs, residual)
    return Verification(accepted, torch.where(accepted, draft_tokens, inverse_cdf(residual, residual_uniform)))
