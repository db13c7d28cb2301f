"""Accept flags under ``min(1, p/q)``, and what they would follow where commits are chosen or noise is shared."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from scd_analysis.audit.commits import Bools, Commits
from scd_analysis.audit.observations.view import Observations, View, earlier_position
from scd_analysis.evidence.batch import Floats


@dataclass(frozen=True)
class Acceptances(Observations):
    """Accept flags, in circumstances that must not matter, and under other rules.

    Attributes
    ----------
    ratio : Float[S, N]
        p/q of the drafts, zero where there is none.
    known : Bool[S, N]
    """

    ratio: Floats
    known: Bools

    @cached_property
    def probability(self) -> Floats:
        """``min(1, p/q)``, Float[S, N]."""
        return np.clip(self.ratio, 0, 1)

    # -- circumstances ------------------------------------------------------------------------------------------------

    def first_slot(self) -> Floats:
        """One in the first slot of a window."""
        return self.pick((self.view.commits.slot == 0).astype(float))

    def later_slot(self) -> Floats:
        """One behind the first slot."""
        return self.pick((self.view.commits.slot > 0).astype(float))

    def early_slot(self) -> Floats:
        """Falls from the first slot on."""
        return self.pick(np.exp(-np.maximum(self.view.commits.slot, 0) / 4))

    def initial(self) -> Floats:
        """One of a first draft."""
        return self.pick((self.view.commits.age == 0).astype(float))

    def redrafted(self) -> Floats:
        """One of a later draft."""
        return self.pick((self.view.commits.age > 0).astype(float))

    def last_slot(self) -> Floats:
        """One in the last slot of a window."""
        return self.pick(_is_last_slot(self.view.commits))

    def unchanged(self) -> Floats:
        """One where the draft is what it was a pass before."""
        commits, earlier = self.view.commits, self.view.commits.earlier
        if earlier is None:
            return np.zeros(len(self.tokens))
        return self.pick(((commits.age > 0) & (earlier.draft == commits.draft)).astype(float))

    def uncertain(self) -> Floats:
        """One where acceptance is a toss, zero where it is certain."""
        return self.pick(4 * self.probability * (1 - self.probability))

    def next_is_acceptable(self) -> Floats:
        """How acceptable the draft after is, from -1 to 1; zero where nothing is known of it."""
        following = np.clip(np.nan_to_num(self.view.commits.behind.next_ratio, posinf=1), 0, 1)
        return self.pick(np.where(self._is_alone, 0, following * 2 - 1))

    def run_is_acceptable(self) -> Floats:
        """How much more acceptable the run of drafts is that begins here."""
        return self.pick(np.where(self._is_alone, 0, self._run - self.probability))

    @cached_property
    def _is_alone(self) -> Bools:
        """Where a slot is judged by itself, Bool[S, N]: nothing is known of the slot after it.

        That is so of all, if it is of one that was rejected inside the window: what lies behind a rejection may not
        have been recorded, or not been drafted, so that something being there says what the flag is.
        """
        commits = self.view.commits
        alone = np.isnan(commits.behind.next_ratio)
        hidden = self.known & ~commits.accepted & alone & (_is_last_slot(commits) == 0)
        return np.ones_like(alone) if hidden.any() else alone

    @cached_property
    def _run(self) -> Floats:
        return np.clip(np.nan_to_num(self.view.commits.behind.run_ratio, posinf=1), 0, 1)

    # -- other rules --------------------------------------------------------------------------------------------------

    def _law(self, probability: Floats) -> Floats:
        return self.pick(acceptance_law(probability))

    def by_run(self) -> Floats:
        """A block test: by the run of drafts that begins here."""
        return self._law(np.where(self._is_alone, self.probability, self._run))

    def by_same_variate(self) -> Floats:
        """One variate for all slots of a pass."""
        return self._law(np.minimum(1, self.probability / np.maximum(self._before[0], 1e-12)))

    def by_mirrored_variate(self) -> Floats:
        """One less the variate of the slot before."""
        last = np.nan_to_num(accepted_before(self.view.commits), nan=1.0)
        return self._law(np.clip(self.probability + last - 1, 0, 1) / np.maximum(last, 1e-12))

    def best_of_two(self) -> Floats:
        """The longest of two tries is kept."""
        return self._law(_best_of(2, self._before[1], self.probability))

    def best_of_four(self) -> Floats:
        """The longest of four tries is kept."""
        return self._law(_best_of(4, self._before[1], self.probability))

    def relaxed(self) -> Floats:
        """``min(1, 1.5 p/q)``."""
        return self._law(np.clip(1.5 * self.ratio, 0, 1))

    def much_relaxed(self) -> Floats:
        """``min(1, 3 p/q)``."""
        return self._law(np.clip(3 * self.ratio, 0, 1))

    def root(self) -> Floats:
        """``min(1, p/q)`` to the power 1/2."""
        return self._law(np.sqrt(self.probability))

    def twice(self) -> Floats:
        """Two tries, either of which may accept."""
        return self._law(1 - (1 - self.probability) ** 2)

    @cached_property
    def _before(self) -> tuple[Floats, Floats]:
        """Over earlier slots of the same pass, the least acceptance probability and the product of them."""
        commits, probability = self.view.commits, self.probability
        least, product = np.ones_like(probability), np.ones_like(probability)
        for j in range(1, probability.shape[1]):
            same_pass = (commits.slot[:, j] > 0) & (commits.iteration[:, j] == commits.iteration[:, j - 1])
            least[:, j] = np.where(same_pass, np.minimum(least[:, j - 1], probability[:, j - 1]), 1)
            product[:, j] = np.where(same_pass, product[:, j - 1] * probability[:, j - 1], 1)
        return least, product


def acceptances(view: View, noise: Floats) -> Acceptances | None:
    """Acceptance of each draft under ``min(1, p/q)``."""
    commits = view.commits
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = commits.target_prob / commits.draft_prob
    known = commits.drafted & ~np.isnan(ratio)
    if not known.any():
        return None
    ratio, at = np.where(known, ratio, 0), np.nonzero(known)
    laws = acceptance_law(np.clip(ratio[at], 0, 1))
    return Acceptances(view, at, commits.accepted[at].astype(np.int64), laws, ratio, known)


def held_acceptances(view: View, noise: Floats) -> Observations | None:
    """Accept flags, under ``min(1, p/q)``, of drafts that a pass left to a later one."""
    held = view.commits.held
    if held is None:
        return None
    known = (held.iteration >= 0) & ~np.isnan(held.ratio)
    if not known.any():
        return None
    at = np.nonzero(known)
    laws = acceptance_law(np.clip(held.ratio[at], 0, 1))
    return Observations(view, at, held.accepted[at].astype(np.int64), laws)


def acceptance_law(probability: Floats) -> Floats:
    """Law of an accept flag, Float[..., 2]."""
    return np.stack([1 - probability, probability], axis=-1)


def accepted_before(commits: Commits) -> Floats:
    """Probability with which the slot before was accepted at the same pass, Float[S, N], NaN for a first slot."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.clip(commits.target_prob / commits.draft_prob, 0, 1)
    same_pass = (commits.slot > 0) & (earlier_position(commits.iteration, 1, -1) == commits.iteration)
    return np.where(same_pass, earlier_position(ratio, 1, np.nan), np.nan)


def _is_last_slot(commits: Commits) -> Floats:
    """Whether the slot is the last of its window, or holds the last token."""
    end = np.minimum(commits.passes.used.shape[2], commits.final.shape[1] - commits.passes.first(commits.iteration))
    return np.asarray(commits.slot == end - 1).astype(float)


def _best_of(tries: int, reached: Floats, probability: Floats) -> Floats:
    """Return the acceptance probability of a slot when the longest of several tries is kept, given its being reached.

    A try comes so far with probability A, the longest with ``1 - (1 - A)^tries``.
    """
    further = -np.expm1(tries * np.log1p(-np.minimum(reached * probability, 1 - 1e-12)))
    return np.asarray(further / -np.expm1(tries * np.log1p(-np.clip(reached, 1e-12, 1 - 1e-12))))
