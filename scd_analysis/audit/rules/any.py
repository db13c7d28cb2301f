"""Any exact rule: what holds of the tokens that a window commits, whatever the rule that committed them.

A rule is exact if what it commits, completed by draws from the target, has the target's law. Let bets depend on earlier
windows, on the laws of the window and on the tokens it committed before, but not on its drafts nor on how many were
accepted. The completion would multiply the wealth by factors of mean one, so it can be left out: over the committed
tokens alone the product of the bets has mean one at most, and windows multiply. So block verification, exact match and
rules that nobody has thought of are safe, and a wrong rule is found by what it does to tokens.

References
----------
Sun et al.: Block verification accelerates speculative decoding. ICLR 2025 (arXiv:2403.10444): what makes a rule exact.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from scd_analysis.audit.bets import PRIORS, Bet, Bets, Seen, batch_for, leaning
from scd_analysis.audit.commits import Bools, Commits
from scd_analysis.audit.observations.view import Observations, View
from scd_analysis.conditions import Condition
from scd_analysis.evidence.batch import Batch, Floats, Longs
from scd_analysis.evidence.features import Feature, least_probable, most_probable, number, sharpness, uniform
from scd_analysis.evidence.moments import Scaled
from scd_analysis.evidence.pit import between, pit_interval
from scd_analysis.evidence.portfolio import Portfolio, Standing
from scd_analysis.evidence.races import second_winner
from scd_analysis.evidence.resolution import one_observation
from scd_analysis.evidence.robust import RobustFamily, RobustPortfolio, grid
from scd_analysis.evidence.rules import RULES as SLIPS
from scd_analysis.evidence.rules import Rule
from scd_analysis.evidence.sets import CAME, OUTSIDE, Sets
from scd_analysis.laws.kernels import acceptance, output_law, residual

ROUNDING = 1e-6
"""Of probabilities that are float32's, below which two laws are one."""

MOST_RACES = 1024
"""Vocabulary up to which noise is looked for that raced for the token before."""


@dataclass(frozen=True)
class Committed(Observations):
    """Tokens that windows commit, under the target law.

    Attributes
    ----------
    draft_probs : Float[A, V]
        NaN for a bonus token, which no slip changes.
    siblings : Float[B, V] or None
        What the first token of each window would be if one variate decided on all of its drafts.
    """

    draft_probs: Floats
    siblings: Floats | None = None

    def of_siblings(self) -> Floats | None:
        """One variate for all drafts of the first token."""
        if self.siblings is None:
            return None
        law = self.siblings[self.at[0]]
        bent = (self.at[1] == 0) & (np.abs(law - self.laws).max(axis=-1) > ROUNDING)
        return np.where(bent[:, None], law, np.nan)

    def lenient(self) -> Floats:
        """Acceptance with the square root of its probability."""
        return self._with(np.sqrt(acceptance(self.laws, self.draft_probs)))

    def strict(self) -> Floats:
        """Acceptance with the square of its probability."""
        return self._with(acceptance(self.laws, self.draft_probs) ** 2)

    def _with(self, accept: Floats) -> Floats:
        return np.asarray(output_law(self.draft_probs, accept, residual(self.laws, self.draft_probs)))

    def is_bonus(self) -> Floats:
        """One of a token behind all drafts."""
        return np.isnan(self.draft_probs[:, 0]).astype(float)

    def of_draft_law(self) -> Floats:
        """The draft law of the slot before, of a bonus token."""
        before, draft = self._before, self.view.commits.draft_probs
        assert draft is not None
        there = (before >= 0) & (self.is_bonus() > 0)
        return np.where(there[:, None], draft[self.at[0], np.maximum(before, 0)], self.laws)

    def of_race_before(self) -> Floats:
        """The noise that raced for the token before."""
        there, laws, tokens = self._token_before
        if self.laws.shape[-1] > MOST_RACES:
            return self.laws
        out = self.laws.copy()
        out[there] = second_winner(out[there], laws, tokens)
        return out

    def of_variate_before(self) -> Floats:
        """The variate that drew the token before."""
        there, laws, tokens = self._token_before
        out = self.laws.copy()
        out[there] = between(out[there], *pit_interval(laws, tokens))
        return out

    def of_acceptance_before(self) -> Floats:
        """The variate that accepted the token before, if that was a draft."""
        there, laws, tokens = self._token_before
        draft = self.view.commits.draft_probs
        assert draft is not None
        place = self.at[0][there], self._before[there], tokens
        accept = acceptance(np.take_along_axis(laws, tokens[:, None], axis=1)[:, 0], draft[place])
        out = self.laws.copy()
        out[there] = between(out[there], np.zeros_like(accept), accept)
        return out

    @cached_property
    def _before(self) -> Longs:
        """The position before in the window, Long[A]; -1 of a first one."""
        return self.at[1] - 1

    @cached_property
    def _token_before(self) -> tuple[Bools, Floats, Longs]:
        """Of which one comes behind another, Bool[A]; the target laws of those others, and which tokens they are."""
        target, there = self.view.target_probs, self._before >= 0
        assert target is not None
        place = self.at[0][there], self._before[there]
        return there, target[place], self.view.commits.final[place]


@dataclass(frozen=True)
class Slip:
    """The law that a slip gives to committed tokens."""

    rule: Rule

    def __call__(self, seen: Committed) -> Floats:
        """Return Float[A, V]."""
        law = self.rule.law(seen.laws, seen.draft_probs, seen.draft_probs)
        return np.maximum(law, 0)  # rounding makes one negative where it is zero, and a direction of it has no bound


def _leaning_to(name: str, cause: str, law: Seen) -> Bet:
    return Bet(name, cause, f"committed tokens lean away from this: {cause}", law=law, stated=True)


BETS = (
    Bet("sharpness", "likely tokens are committed too often", "unlikely tokens are committed too often",
        sharpness, low=0.0),
    Bet("most-probable", "the most probable token is committed too often",
        "the most probable token is committed too rarely", most_probable, low=0.0),
    Bet("least-probable", "the least probable token is committed too often",
        "the least probable token is committed too rarely", least_probable, low=0.0),
    Bet("uniform", "committed tokens lean to the uniform law", "improbable tokens are committed too rarely", uniform),
    Bet("number", "tokens of a high number are committed too often",
        "tokens of a low number are committed too often", number, low=0.0),
    *(_leaning_to(rule.name, rule.cause, Slip(rule)) for rule in SLIPS if not rule.uses_earlier),
    _leaning_to("lenient", "drafts are accepted with a probability above the right one", Committed.lenient),
    _leaning_to("strict", "drafts are accepted with a probability below the right one", Committed.strict),
)  # fmt: skip

OF_NOISE = (
    Bet("race-before", "tokens of a window are drawn with one Gumbel noise",
        "a token avoids what the noise of the one before favours", law=Committed.of_race_before, stated=True),
    Bet("variate-before", "tokens of a window are drawn with one variate",
        "a token avoids what the variate of the one before favours", law=Committed.of_variate_before, stated=True),
    Bet("acceptance-before", "a token is drawn with the variate that accepted the draft before it",
        "a token avoids what the variate that accepted the draft before favours", law=Committed.of_acceptance_before,
        stated=True),
)  # fmt: skip
"""Bets on tokens given the ones before them in their window, with which they may share noise."""

OF_BONUSES = (
    Bet("bonus-of-draft", "bonus tokens are drawn from the draft's law", "bonus tokens lean away from the draft's law",
        law=Committed.of_draft_law, stated=True),
    Bet("bonus-sharpness", "likely bonus tokens come too often", "unlikely bonus tokens come too often", sharpness,
        times=Committed.is_bonus),
)  # fmt: skip

OF_TOKENS = BETS + OF_NOISE + OF_BONUSES
OF_TREES = (
    *OF_TOKENS,
    _leaning_to("siblings", "one variate decides on several drafts of a token", Committed.of_siblings),
)
_NAMES_OF_NOISE = [[bet.name] for bet in OF_NOISE] + [["siblings"]]


def committed_tokens(commits: Commits, noise: Floats, bets: Bets = OF_TOKENS, siblings: Floats | None = None) -> Batch:
    """Return the tokens that windows commit, for some bets.

    Parameters
    ----------
    commits : Commits
        Of windows, each a sequence; their laws were known before the drafts were drawn.
    noise : Float[B, L + 1]
        Variates of the PIT.
    bets : tuple of Bet
        :data:`OF_TOKENS`, or :data:`OF_TREES`.
    siblings : Float[B, V], optional
        See :class:`Committed`.
    """
    target, draft = commits.target_probs, commits.draft_probs
    assert target is not None
    assert draft is not None
    at = np.nonzero(commits.drafted | commits.bonus)
    view = View(commits, target, None, noise, target.shape[-1])
    with np.errstate(invalid="ignore"):
        return batch_for(bets, Committed(view, at, commits.final[at], target[at], draft[at], siblings), noise)


class AnyRule:
    """The e-process against "the rule is exact".

    Parameters
    ----------
    vocab_size : int
        V.
    bets : tuple of Bet
        See :func:`committed_tokens`.

    Attributes
    ----------
    portfolio : Portfolio
        Who bets.
    observations : int
        Committed tokens so far.
    """

    def __init__(self, vocab_size: int, bets: Bets = OF_TOKENS) -> None:
        self.portfolio = Portfolio(leaning("committed tokens")(bets, vocab_size))
        self.observations, self._bets = 0, bets

    def bet(self, commits: Commits, noise: Floats, siblings: Floats | None = None) -> Floats:
        """Bet and return ln E after each window, Float[B]; infinite from a token on that has probability zero."""
        batch, before = committed_tokens(commits, noise, self._bets, siblings), self.portfolio.log_e_value
        assert batch.sequence is not None
        after = np.searchsorted(batch.sequence, np.arange(len(commits)), side="right")  # tokens up to each window
        path = np.full(len(commits), before)
        if len(batch):
            path = np.where(after > 0, self.portfolio.bet(batch)[after - 1], before)
        self.observations += len(batch)
        assert commits.target_probs is not None
        probs = np.take_along_axis(commits.target_probs, commits.final[..., None], axis=-1)[..., 0]
        impossible = ((commits.drafted | commits.bonus) & (probs <= 0)).any(axis=1)
        return np.where(np.logical_or.accumulate(impossible), np.inf, path)

    @property
    def message(self) -> str:
        """What the richest family says."""
        return self._richest.message

    @property
    def condition(self) -> Condition | None:
        """Of which condition that speaks: where the tokens of a window share noise, independence."""
        return Condition.INDEPENDENCE if self._richest.best_arm.split(":")[1:2] in _NAMES_OF_NOISE else None

    @property
    def _richest(self) -> Standing:
        return max(self.portfolio.families(), key=lambda family: family.log_e_value)

    def resolution(self, log_threshold: float) -> float:
        """Return the total variation of a committed token that would have been found with power 0.99."""
        weight = float(max(self.portfolio.log_weights))
        return one_observation(log_threshold, weight, self.observations, np.asarray(PRIORS))


class AnyRuleWithin:
    """The e-process against "the rule is exact up to epsilon".

    What a window commits, completed by draws from the target, has its law within epsilon of the target's at every
    position, given the positions before. Factors that are fair over the ball have a mean below one under the target
    itself, so the completion counts: since bets depend on earlier parts and on laws only, each position that was not
    committed multiplies by the mean of its factor, which is the factor of a draw.

    Parameters
    ----------
    vocab_size : int
        V.
    epsilon : float
        Above zero.

    Attributes
    ----------
    portfolio : RobustPortfolio
        Who bets.
    observations : int
        Committed tokens so far.
    """

    def __init__(self, vocab_size: int, epsilon: float) -> None:
        directions, radii = (*(bet.feature for bet in BETS), OUTSIDE), grid(epsilon)
        families = [
            RobustFamily(f"sets{where}", 1, Sets(of, radii, PRIORS, at_once=True))
            for where, of in (("", directions), ("-first", tuple(map(_of_first, directions))))
        ]
        self.portfolio = RobustPortfolio(families, radii, epsilon)
        self.observations, self._epsilon = 0, epsilon

    def bet(self, commits: Commits, draft_probs: Floats) -> Floats:
        """Bet and return ln E after each window, Float[B].

        Parameters
        ----------
        commits : Commits
            Of windows, each a sequence.
        draft_probs : Float[B, L, V]
            The draft laws of all positions, whatever was committed; NaN where there is none.
        """
        target = commits.target_probs
        assert target is not None
        came = commits.drafted | commits.bonus
        draft = np.concatenate([draft_probs, target[:, -1:]], axis=1)  # a bonus has no draft
        draft = np.where(np.isnan(draft), target, draft)
        at = np.nonzero(np.ones_like(came))
        view = View(commits, target, None, np.zeros(came.shape), target.shape[-1])
        seen = Committed(view, at, commits.final[at], target[at], draft[at])
        laws = {bet.law: bet.law(seen).reshape(target.shape) for bet in BETS if bet.law is not None}
        self.observations += int(came.sum())
        return self.portfolio.bet(Batch(commits.final, target, np.zeros(came.shape), laws, context={CAME: came}))

    @property
    def message(self) -> str:
        """What the richest family says."""
        return max(self.portfolio.families(), key=lambda family: family.log_e_value).message

    def resolution(self, log_threshold: float) -> float:
        """Return epsilon, and beyond it what would have been found of a committed token with power 0.99."""
        weight = float(max(self.portfolio.log_weights))
        beyond = one_observation(log_threshold, weight, self.observations, np.asarray(PRIORS))
        return min(1.0, self._epsilon + beyond)


def _of_first(feature: Feature) -> Feature:
    """The direction at the first position of a window alone, which is always committed."""

    def first(batch: Batch) -> Floats:
        out = np.zeros(batch.tokens.shape)
        out[:, 0] = 1
        return out

    return replace(feature, name=f"{feature.name}-first", values=Scaled(feature.values, first))
