"""Drafting rules: how a position that was not committed gets its next draft, and the law declared for that draft.

A rule sees one sweep of the window and returns a :class:`Draft`. Exactness asks one thing of it: given everything drawn
at earlier positions, its tokens must have the law it declares (condition *declared-law*). To add a rule, write a frozen
dataclass with ``draft`` and the two flags, and hand ``Method("name", rule)`` to :func:`reference.decode`. With its
plain form, ``draft_one``, its exact law can be written out, too. In :mod:`reference.methods`, it is found by a name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from reference.draws import inverse_cdf
from reference.fast.blocks import race_winner
from reference.plain_forms import Law, OneRedraft, floats, plain_form, specifies, tensor
from scd_analysis.errors import InputError
from scd_analysis.validate import check_between


class Sweep(NamedTuple):
    """What a rule may use: one pass over the window, every tensor aligned with the slots.

    Attributes
    ----------
    target_probs : Tensor
        Float[B, L, V], the laws this pass gave, p^t.
    previous_probs : Tensor or None
        Float[B, L, V], p^(t-1), for rules with ``needs_previous``; equal to p^t where there was no earlier pass.
    verified : Tensor
        Long[B, L], the output of modified rejection sampling in every slot.
    uniform : Tensor
        Float64[B, L], fresh, for an independent draw.
    coin : Tensor
        Float64[B, L], fresh, for a choice between rules.
    race : Tensor or None
        Float[B, L, V], the position's own exponentials, for rules with ``needs_race``; the same at every iteration.
    draft_token, draft_probs : Tensor
        Long[B, L] and Float[B, L, V], the drafts that were verified and the laws declared for them.
    accepted : Tensor
        Bool[B, L], what verification said. An exact rule declares no law that depends on it.
    position : Tensor
        Long[B, L].
    """

    target_probs: Tensor
    previous_probs: Tensor | None
    verified: Tensor
    uniform: Tensor
    coin: Tensor
    race: Tensor | None
    draft_token: Tensor
    draft_probs: Tensor
    accepted: Tensor
    position: Tensor


class Draft(NamedTuple):
    """Next drafts, Long[B, L], and the laws declared for them, Float[B, L, V]."""

    tokens: Tensor
    probs: Tensor


class DraftingRule(Protocol):
    """A way to draft; see the module's first lines."""

    @property
    def needs_previous(self) -> bool:
        """Whether ``Sweep.previous_probs`` is used."""

    @property
    def needs_race(self) -> bool:
        """Whether ``Sweep.race`` is used."""

    def draft(self, sweep: Sweep) -> Draft:
        """Draft for every slot."""


@dataclass(frozen=True)
class Independent:
    """A fresh draw from the new law, independent of the last draft.

    References
    ----------
    Teng et al.: Accelerating auto-regressive text-to-image generation with training-free speculative Jacobi decoding.
    ICLR 2025 (arXiv:2410.01699), Algorithm 1.
    """

    needs_previous: bool = False
    needs_race: bool = False

    def draft(self, sweep: Sweep) -> Draft:
        """Draw by inverse CDF, one uniform a slot."""
        return Draft(inverse_cdf(sweep.target_probs, sweep.uniform), sweep.target_probs)

    @specifies("draft")
    def draft_one(self, slot: OneRedraft) -> tuple[int, Law]:
        """Draw, one slot."""
        return slot.draw(slot.target), slot.target


@dataclass(frozen=True)
class Maximal:
    """The verified token itself: MRS is a maximal coupling of the old and the new law.

    References
    ----------
    So et al.: Speculative coupled decoding, ICML 2026 (arXiv:2510.24211), maximal coupling.
    """

    needs_previous: bool = False
    needs_race: bool = False

    def draft(self, sweep: Sweep) -> Draft:
        """Keep what verification said, in every slot."""
        return Draft(sweep.verified, sweep.target_probs)

    @specifies("draft")
    def draft_one(self, slot: OneRedraft) -> tuple[int, Law]:
        """Keep it, one slot."""
        return slot.verified()[0], slot.target


@dataclass(frozen=True)
class Gumbel:
    """The winner of a race with noise the position keeps for life: ``argmax_v p(v) / e(v)``, ``g = -ln e``.

    References
    ----------
    So et al.: Speculative coupled decoding, ICML 2026 (arXiv:2510.24211), Gumbel sharing.
    """

    needs_previous: bool = False
    needs_race: bool = True

    def draft(self, sweep: Sweep) -> Draft:
        """Run the race; a token of probability zero cannot win."""
        assert sweep.race is not None
        return Draft(race_winner(sweep.target_probs, sweep.race), sweep.target_probs)

    @specifies("draft")
    def draft_one(self, slot: OneRedraft) -> tuple[int, Law]:
        """Run the race, one slot."""
        return slot.race(slot.target), slot.target


@dataclass(frozen=True)
class Mixture:
    """With probability ``alpha``, by a coin of its own for each position and iteration, ``coupled``; else independent.

    Attributes
    ----------
    coupled : DraftingRule
        A rule that declares the new law.
    alpha : float
        Between 0 (SJD) and 1 (SCD).

    References
    ----------
    So et al.: arXiv:2510.24211, coupling strength.
    """

    coupled: DraftingRule
    alpha: float

    def __post_init__(self) -> None:
        check_between(self.alpha, 0.0, 1.0, "alpha")
        if self.coupled.needs_previous:
            raise InputError(f"coupled = {self.coupled}: declares another law than the independent draft's")

    @property
    def needs_previous(self) -> bool:
        """As the coupled rule."""
        return self.coupled.needs_previous

    @property
    def needs_race(self) -> bool:
        """As the coupled rule."""
        return self.coupled.needs_race

    def draft(self, sweep: Sweep) -> Draft:
        """Toss one coin a slot."""
        coupled, independent = self.coupled.draft(sweep), Independent().draft(sweep)
        return Draft(torch.where(sweep.coin < self.alpha, coupled.tokens, independent.tokens), coupled.probs)

    @specifies("draft")
    def draft_one(self, slot: OneRedraft) -> tuple[int, Law]:
        """Toss one coin, one slot.

        Raises
        ------
        InputError
            If the coupled rule has no plain form, or declares another law than the target's.
        """
        coupled = plain_form(self.coupled, "draft_one", "coupled")
        if not slot.coin() < slot.number(self.alpha):
            return Independent().draft_one(slot)
        token, declared = coupled(slot)
        if declared != slot.target:
            raise InputError(f"coupled = {self.coupled!r}: declares another law than the independent draft's")
        return token, declared


class DrawnFrom:
    """An independent draw from one law, declared as perhaps another; exact only where they are the same.

    A subclass says ``laws``.
    """

    needs_previous: bool = False
    needs_race: bool = False

    def laws(self, target_probs: Tensor, previous_probs: Tensor | None) -> tuple[Tensor, Tensor]:
        """The law drawn from and the law declared, Float[..., V] each, from p^t and (if needed) p^(t-1)."""
        raise NotImplementedError

    def draft(self, sweep: Sweep) -> Draft:
        """Draw by inverse CDF."""
        drawn, declared = self.laws(sweep.target_probs, sweep.previous_probs)
        return Draft(inverse_cdf(drawn, sweep.uniform), declared)

    @specifies("draft")
    def draft_one(self, slot: OneRedraft) -> tuple[int, Law]:
        """Draw from ``laws`` in floats, one slot."""
        previous = slot.target if slot.previous is None else slot.previous
        drawn, declared = self.laws(tensor(slot.target), tensor(previous))
        return slot.draw(floats(drawn)), floats(declared)
