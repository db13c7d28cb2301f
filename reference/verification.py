"""Verification of drafts: modified rejection sampling (MRS) over a whole window at once, and the contract of any rule.

A rule that decides each position on its own is four laws: the draft's, the declared one, an acceptance probability and
a replacement. :func:`scd_analysis.laws.verified_law` says what comes of them; MRS is the rule for which that is the
target.

References
----------
Leviathan, Kalman, Matias: Fast inference from transformers via speculative decoding. ICML 2023, Theorem 1 and A.1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from reference.draws import inverse_cdf
from reference.fast.compiling import compiled_where_large
from reference.fast.scan import LawScalars, draw_excess, law_scalars
from reference.plain_forms import Law, OneCheck, floats, specifies, tensor
from scd_analysis.laws.kernels import acceptance, excess


class Check(NamedTuple):
    """What a verification rule may use: one pass over the window, every tensor aligned with the slots.

    Attributes
    ----------
    target_probs, draft_probs : Tensor
        Float[B, L, V], the laws this pass gave and the laws declared for the drafts.
    draft_token : Tensor
        Long[B, L].
    uniform, residual_uniform : Tensor
        Float64[B, L] in [0, 1): one to accept, one for the residual.
    in_window : Tensor
        Bool[B, L]; slots past the last token hold nothing.
    age : Tensor
        Long[B, L], of the draft; 0 is an initial one.
    race : Tensor or None
        Float[B, L, V], the position's exponentials, for rules with ``needs_race``.
    measure : bool
        Whether the laws' scalars will be asked for, so that a rule may compute them while it reads the laws.
    """

    target_probs: Tensor
    draft_probs: Tensor
    draft_token: Tensor
    uniform: Tensor
    residual_uniform: Tensor
    in_window: Tensor
    age: Tensor
    race: Tensor | None
    measure: bool = False


class Verification(NamedTuple):
    """What a rule says of every draft in a window.

    Attributes
    ----------
    accepted : Tensor
        Bool[..., L].
    tokens : Tensor
        Long[..., L], the draft where accepted, else its replacement.
    uniform : Tensor
        Float64[..., L], the variate that decided.
    limit : Tensor or None
        Long[B], commit at most so many positions, 1 or more; an exact rule does not look at drafts for it.
    scalars : LawScalars or None
        Of the laws that were compared, if the rule computed them.
    """

    accepted: Tensor
    tokens: Tensor
    uniform: Tensor
    limit: Tensor | None = None
    scalars: LawScalars | None = None


class VerificationRule(Protocol):
    """A way to verify; see the module's first lines."""

    @property
    def needs_race(self) -> bool:
        """Whether ``Check.race`` is used."""

    def verify(self, check: Check) -> Verification:
        """Decide every slot; slots are committed up to and including the first that is not accepted."""

    def bonus_probs(self, probs: Tensor) -> Tensor:
        """Law of the token after a window that was accepted whole, Float[B, V], from all rows Float[B, L + 1, V]."""


@compiled_where_large
def verify(
    target_probs: Tensor,
    draft_probs: Tensor,
    draft_tokens: Tensor,
    uniform: Tensor,
    residual_uniform: Tensor,
    measure: bool = False,
) -> Verification:
    """Turn drafts from ``draft_probs`` into draws from ``target_probs``: accept iff ``u * q(x) < p(x)``.

    Parameters
    ----------
    target_probs, draft_probs : Tensor
        Float[..., L, V], normalised.
    draft_tokens : Tensor
        Long[..., L], drawn from ``draft_probs``.
    uniform, residual_uniform : Tensor
        Float64[..., L] in [0, 1): one to accept, one for the residual.
    measure : bool
        Whether to compute the scalars of the laws in the same reading.

    Returns
    -------
    Verification
        Where the laws are equal every draft is accepted. Where they are so but for rounding, the residual is empty,
        and a draft that is rejected stays: it is a draw from the target.
    """
    index = draft_tokens[..., None]
    target_of_token = target_probs.gather(-1, index)[..., 0].double()
    draft_of_token = draft_probs.gather(-1, index)[..., 0].double()
    accepted = uniform * draft_of_token < target_of_token

    sums, replacement = draw_excess(target_probs, draft_probs, residual_uniform)
    tokens = torch.where(accepted | (sums.sum(-1) == 0), draft_tokens, replacement)
    scalars = law_scalars(target_probs, draft_probs, sums) if measure else None
    return Verification(accepted, tokens, uniform, None, scalars)


def residual(target_probs: Tensor, draft_probs: Tensor) -> Tensor:
    """``(p - q)+``, not normalised; p where it is empty: laws equal but for rounding, any token of the target will do.

    Parameters
    ----------
    target_probs, draft_probs : Tensor
        Float[..., V].

    Returns
    -------
    Tensor
        Float[..., V].
    """
    weights: Tensor = excess(target_probs, draft_probs)
    return torch.where(weights.sum(-1, keepdim=True) == 0, target_probs, weights)


@dataclass(frozen=True)
class ModifiedRejection:
    """MRS: the only rule here that turns every draft law into the target law."""

    needs_race: bool = False

    def verify(self, check: Check) -> Verification:
        """See :func:`verify`."""
        laws, variates = (check.target_probs, check.draft_probs), (check.uniform, check.residual_uniform)
        return verify(*laws, check.draft_token, *variates, check.measure)

    def bonus_probs(self, probs: Tensor) -> Tensor:
        """The row after the window."""
        return probs[:, -1]

    @specifies("verify")
    def verify_one(self, slot: OneCheck) -> tuple[int, bool]:
        """Verify, one slot, in any arithmetic."""
        if slot.uniform() * slot.declared[slot.draft] < slot.target[slot.draft]:
            return slot.draft, True
        return slot.residual(slot.target, slot.declared), False

    @specifies("bonus_probs")
    def bonus_one(self, rows: Sequence[Callable[[], Law]]) -> Law:
        """Return the last of L + 1 rows, each of which is computed when it is asked for."""
        return rows[-1]()


MRS = ModifiedRejection()


@dataclass(frozen=True)
class PositionRule(ModifiedRejection):
    """A rule that decides each position on its own, written as its acceptance and its replacement.

    Subclasses override one or both. Everything else here is MRS.
    """

    def acceptance(self, target_probs: Tensor, draft_probs: Tensor) -> Tensor:
        """Probability of accepting each token, Float[..., V]; here ``min(1, p / q)``, one where q is zero."""
        accept: Tensor = acceptance(target_probs, draft_probs)
        return accept

    def replacement(self, target_probs: Tensor, draft_probs: Tensor, draft_token: Tensor) -> Tensor:
        """Weights of the token after a draft is rejected, Float[..., V], not normalised; here ``(p - q)+``."""
        return residual(target_probs, draft_probs)

    def verify(self, check: Check) -> Verification:
        """Accept iff ``u < a(x)``; else draw the replacement by inverse CDF."""
        accept = self.acceptance(check.target_probs, check.draft_probs)
        accepted = check.uniform < accept.gather(-1, check.draft_token[..., None])[..., 0].double()
        weights = self.replacement(check.target_probs, check.draft_probs, check.draft_token)
        other = inverse_cdf(weights, check.residual_uniform)
        return Verification(accepted, torch.where(accepted, check.draft_token, other), check.uniform)

    @specifies("verify")
    def verify_one(self, slot: OneCheck) -> tuple[int, bool]:
        """Verify, one slot, in floats."""
        laws = tensor(slot.target), tensor(slot.declared)
        if slot.uniform() < float(self.acceptance(*laws)[slot.draft]):
            return slot.draft, True
        return slot.draw(floats(self.replacement(*laws, torch.tensor(slot.draft)))), False
