"""A fault that is known by name: the law that its tokens would have, where the draft model is known.

Write p for the target's law of a token and q for the draft model's. A draft drawn from d, accepted with probability a
and replaced by a draw from r comes out with the law ``out(y) = d(y) a(y) + (1 - sum_x d(x) a(x)) r(y)``, which is
closed for every named fault (theory.md, section 11). Not every token was a draft: after a window that was accepted
whole a token is drawn from the target. So each fault is bet on as ``(1 - w) p + w out``, w on a grid. Nothing is
learned, so the only price is the logarithm of the weight of a bet, and which fault wins says what broke.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scd_analysis.audit.bets import ESTABLISHED
from scd_analysis.audit.watch import CLEAR
from scd_analysis.conditions import Condition
from scd_analysis.evidence.batch import Batch, Floats
from scd_analysis.evidence.portfolio import Family, Portfolio

DRAFT = "draft"
"""The draft model's laws among the companions of a batch."""

SHARES = (0.65, 0.95)
"""Of tokens that were drafts: two thirds with windows of one or two, nearly all with long ones. A third share in
between would cost more than it brings."""

WHOLLY = (1 - 1e-6,)
"""Of a fault of the target's law itself, which every token has."""

NAMED_SHARE = 2 / 3
"""Weight of the named faults among all bets: all others lose ln 3 = 1.10 nats to them."""


def draft_probs(batch: Batch) -> Floats:
    """Return the draft model's law of every token, Float[S, N, V]."""
    return batch.companions[DRAFT]


@dataclass(frozen=True)
class NamedFault:
    """One fault.

    Attributes
    ----------
    name : str
        As in the names of arms.
    condition : Condition
        What it breaks.
    cause : str
        What a decoder with it does, in words.
    law : callable
        From a batch and a setting to the law of its tokens, Float[S, N, V]: a function of the tokens before each.
    settings : tuple of float
        The grid of what is not known of it.
    shares : tuple of float
        The grid of w.
    """

    name: str
    condition: Condition
    cause: str
    law: Callable[[Batch, float], Floats]
    settings: tuple[float, ...] = (1.0,)
    shares: tuple[float, ...] = SHARES


class NamedBets:
    """Bet ``1 - w + w out(x) / p(x)`` on every token, one arm a setting and share of a fault."""

    def __init__(self, fault: NamedFault) -> None:
        self._fault, self._shares = fault, np.asarray(fault.shares)

    @property
    def arms(self) -> tuple[str, ...]:
        """Name every setting and share."""
        fault = self._fault
        return tuple(f"named:{fault.name}:{s:g}:{w:.2g}" for s in fault.settings for w in fault.shares)

    def bet(self, batch: Batch) -> Floats:
        """Bet on every token that could have been another one."""
        open_ = batch.target_probs.max(axis=-1) < 1
        return np.concatenate([self._growth(batch, setting, open_) for setting in self._fault.settings], axis=1)

    def _growth(self, batch: Batch, setting: float, open_: npt.NDArray[np.bool_]) -> Floats:
        law = self._fault.law(batch, setting)
        ratio = np.take_along_axis(law, batch.tokens[..., None], axis=-1)[..., 0] / batch.token_probs
        ratio = np.where(open_, ratio, 1)
        return np.asarray(np.log1p(self._shares * (ratio[..., None] - 1)).sum(axis=1))

    def describe(self, arm: int) -> str:
        """Say what a decoder with the fault does."""
        return self._fault.cause


def strongest(portfolio: Portfolio, named: Sequence[NamedFault]) -> tuple[NamedFault, float, float] | None:
    """Return the named fault that the evidence speaks for, its ln E (nats), and its lead over the next.

    None where no fault is established, or where a bet that knows no fault is clearly richer: then it is another one.
    """
    standings = {family.name: family.log_e_value for family in portfolio.families()}
    known = {one: standings.pop(f"named:{one.name}") for one in named}
    best, *others = sorted(known, key=lambda one: -known[one])
    if known[best] < ESTABLISHED or known[best] < max(standings.values()) - CLEAR:
        return None
    return best, known[best], known[best] - max(known[one] for one in others)


def with_named(portfolio: Portfolio, named: Sequence[NamedFault]) -> Portfolio:
    """Add the named faults, evenly, to the bettors of a portfolio."""
    total = sum(family.weight for family in portfolio.members)
    each = total * NAMED_SHARE / (1 - NAMED_SHARE) / len(named)
    return Portfolio([*portfolio.members, *(Family(f"named:{one.name}", each, NamedBets(one)) for one in named)])
