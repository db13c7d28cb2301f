"""Recovered tokens under the residual ``(p - q)+`` and bonus tokens under the model's law."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from scd_analysis.audit.commits import Bools, Commits
from scd_analysis.audit.observations.acceptance import accepted_before
from scd_analysis.audit.observations.view import Observations, View, earlier_position
from scd_analysis.evidence.batch import Floats, Longs
from scd_analysis.evidence.pit import between, pit_interval
from scd_analysis.evidence.races import second_winner
from scd_analysis.laws.kernels import RESIDUAL_FLOOR, excess, residual


@dataclass(frozen=True)
class Replacements(Observations):
    """Recovered tokens.

    Attributes
    ----------
    target, declared : Float[A, V]
        The two laws of the position.
    draft : Long[A]
        What was rejected.
    """

    target: Floats
    declared: Floats
    draft: Longs

    def from_target(self) -> Floats:
        """The target law itself."""
        return _normalised(self.target)

    def without_draft(self) -> Floats:
        """The target law without the draft."""
        struck = self.target.copy()
        np.put_along_axis(struck, self.draft[..., None], 0.0, axis=-1)
        return _normalised(struck)

    def from_declared(self) -> Floats:
        """The draft law."""
        return _normalised(self.declared)

    def floored(self) -> Floats:
        """The residual with a floor."""
        return _normalised(np.maximum(self._excess, RESIDUAL_FLOOR))

    def absolute(self) -> Floats:
        """``|p - q|``."""
        return _normalised(np.abs(self.target - self.declared))

    def reversed(self) -> Floats:
        """``(q - p)+``."""
        return _normalised(excess(self.declared, self.target))

    def of_logits(self) -> Floats:
        """A residual of logarithms."""
        log_rise = np.log(np.maximum(self.target, 1e-9)) - np.log(np.maximum(self.declared, 1e-9))
        return _normalised(np.maximum(log_rise, 0))

    def unnormalised(self) -> Floats:
        """The residual as it is, the rest of the mass on the last token: an inverse CDF that runs over the end."""
        rest = self._excess.copy()
        rest[..., -1] += np.maximum(1 - self._excess.sum(axis=-1), 0)
        return _normalised(rest)

    def of_same_race(self) -> Floats:
        """The winner among what is left, with the Gumbel noise that drew the draft."""
        return _normalised(second_winner(residual(self.target, self.declared), self.declared, self.draft))

    def of_same_variate(self) -> Floats:
        """An inverse CDF with the variate that rejected the draft."""
        commits = self.view.commits
        with np.errstate(divide="ignore", invalid="ignore"):
            threshold = self.pick(commits.target_prob / commits.draft_prob)
        return between(self.laws, threshold, np.ones(len(self.tokens)))

    def of_last_replacement(self) -> Floats:
        """An inverse CDF with the variate of the replacement before it in its sequence, NaN for a first."""
        sequence, out = self.at[0], np.full_like(self.laws, np.nan)
        second = np.flatnonzero(sequence[1:] == sequence[:-1]) + 1
        out[second] = between(self.laws[second], *pit_interval(self.laws[second - 1], self.tokens[second - 1]))
        return out

    def of_last_variate(self) -> Floats:
        """An inverse CDF with the variate that accepted the position before."""
        last = self.pick(accepted_before(self.view.commits))
        return np.where(np.isnan(last)[:, None], np.nan, between(self.laws, np.zeros(len(last)), last))

    @cached_property
    def _excess(self) -> Floats:
        return np.asarray(excess(self.target, self.declared))


def _normalised(part: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(part / part.sum(axis=-1, keepdims=True))


def residual_laws(view: View) -> tuple[Bools, Floats] | None:
    """Where a replacement was committed whose residual is known, Bool[S, N], and the residuals, Float[A, V]."""
    commits, target = view.commits, view.target_probs
    if target is None:
        return None
    known = commits.rejected if commits.draft_probs is not None else commits.rejected & (commits.draft_prob == 1)
    known = known.copy()
    for laws in (commits.draft_probs, target):  # looked at where they are needed only
        if laws is not None:
            known[known] = ~np.isnan(laws[known]).any(axis=-1)
    return known, residual(target[known], _declared(commits, known, target.shape[-1]))


def replacements(view: View, noise: Floats) -> Replacements | None:
    """Recovered tokens under the residual."""
    commits, target, found = view.commits, view.target_probs, residual_laws(view)
    if found is None or target is None:
        return None
    known, null = found
    declared = _declared(commits, known, target.shape[-1])
    return Replacements(
        view, np.nonzero(known), commits.final[known], null, target[known], declared, commits.draft[known]
    )


def _declared(commits: Commits, known: Bools, vocab_size: int) -> Floats:
    """Declared laws of some places, Float[A, V]; a point mass is known without its law having been recorded."""
    if commits.draft_probs is not None:
        return commits.draft_probs[known]
    return (np.arange(vocab_size) == commits.draft[known][:, None]).astype(np.float64)


class Bonuses(Observations):
    """Tokens past a window that was accepted whole."""

    def row_before(self) -> Floats:
        """The law of the position before."""
        laws = self.view.model_probs
        assert laws is not None
        return np.asarray(laws[self.at[0], np.maximum(self.at[1] - 1, 0)])

    def of_last_variate(self) -> Floats:
        """An inverse CDF with the variate that accepted the last draft."""
        commits = self.view.commits
        with np.errstate(divide="ignore", invalid="ignore"):
            last = earlier_position(np.nan_to_num(commits.target_prob / commits.draft_prob, nan=1.0), 1, 1.0)
        return between(self.laws, np.zeros(len(self.tokens)), self.pick(last))


def bonuses(view: View, noise: Floats) -> Bonuses | None:
    """Bonus tokens under the model's law."""
    laws, commits = view.model_probs, view.commits
    if laws is None or not commits.bonus.any():
        return None
    at = np.nonzero(commits.bonus)
    return Bonuses(view, at, commits.final[at], laws[at])
