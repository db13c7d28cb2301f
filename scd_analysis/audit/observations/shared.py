"""Drafts against the noise of other positions and sequences: neighbours, and positions further away."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from scd_analysis.audit.commits import Bools, Drawn
from scd_analysis.audit.observations.variates import VARIATE_BINS, bins_of
from scd_analysis.audit.observations.view import Observations, View, earlier_position, is_redrawn
from scd_analysis.evidence.batch import Floats, Longs
from scd_analysis.evidence.pit import Ordering, between, pit_interval, randomised_pit
from scd_analysis.evidence.races import second_winner


@dataclass(frozen=True)
class Races(Observations):
    """Drafts under their declared laws, and where Gumbel noise that has already drawn another would draw them.

    Attributes
    ----------
    drawn : Bool[S, N]
    noise : Float[S, N]
        Randomises PITs.
    """

    drawn: Bools
    noise: Floats

    @cached_property
    def _laws(self) -> Floats:
        """Declared laws, Float[S, N, V]; flat where nothing was drawn."""
        probs = self.view.commits.draft_probs
        assert probs is not None
        return np.where(self.drawn[..., None], probs, 1 / probs.shape[-1])

    @cached_property
    def _tokens(self) -> Longs:
        """Drafts, Long[S, N], -1 where nothing was drawn."""
        return np.where(self.drawn, self.view.commits.draft, -1)

    def previous(self) -> Longs:
        """The draft before it."""
        return self.pick(earlier_position(self._tokens, 1, -1))

    def before_that(self) -> Longs:
        """The draft two before it."""
        return self.pick(earlier_position(self._tokens, 2, -1))

    def above(self) -> Longs:
        """The draft of the sequence before."""
        return self.pick(np.vstack([np.full((1, self._tokens.shape[1]), -1), self._tokens[:-1]]))

    def in_odd_slot(self) -> Bools | None:
        """Whether it was drawn in a slot of odd number."""
        earlier = self.view.commits.earlier
        return None if earlier is None else self.pick(earlier.drawn_slot % 2 == 1)

    def token_pit_before(self) -> Floats:
        """The PIT, by token number, of the draft before it, from -1 to 1."""
        return self._pit_before("token")

    def rank_pit_before(self) -> Floats:
        """The PIT, by probability, of the draft before it, from -1 to 1."""
        return self._pit_before("rank")

    def _pit_before(self, ordering: Ordering) -> Floats:
        pit = randomised_pit(self._laws, np.maximum(self._tokens, 0), self.noise, ordering)
        return self.pick(earlier_position(np.where(self.drawn, 2 * pit - 1, 0), 1, 0))

    def beside(self) -> Floats | None:
        """The noise of the slot beside."""
        earlier = self.view.commits.earlier
        return None if earlier is None else self._raced(earlier.beside)

    def same_slot(self) -> Floats | None:
        """The noise that the slot had before the window moved."""
        earlier = self.view.commits.earlier
        return None if earlier is None else self._raced(earlier.same_slot)

    def diagonal(self) -> Floats | None:
        """The noise of the slot after, one pass before."""
        earlier = self.view.commits.earlier
        return None if earlier is None else self._raced(earlier.diagonal)

    def of_previous(self) -> Floats | None:
        """The noise of the position before."""
        return self._raced(Drawn(earlier_position(self._tokens, 1, -1), earlier_position(self._laws, 1, np.nan)))

    def _raced(self, other: Drawn) -> Floats | None:
        """Return the law of a draft whose noise has already drawn another, NaN where there is none."""
        if other.probs is None:
            return None
        token, probs = self.pick(other.token), self.pick(other.probs)
        known, out = (token >= 0) & ~np.isnan(probs.sum(axis=-1)), np.full(self.laws.shape, np.nan)
        out[known] = second_winner(self.laws[known], probs[known], token[known])
        return out


def races(view: View, noise: Floats) -> Races | None:
    """Drafts under their declared laws."""
    commits = view.commits
    if commits.draft_probs is None:
        return None
    drawn = is_redrawn(commits)
    at = np.nonzero(drawn)
    return Races(view, at, commits.draft[at], commits.draft_probs[at], drawn, noise)


# -- further away: a table with fewer rows than positions, a ring that is not filled anew ------------------------------

DISTANCES = range(2, 9)
ENTRIES = 64
"""Of a larger vocabulary V one position in V / 64 is looked at: races of all would take as long as everything else."""


@dataclass(frozen=True)
class Distance:
    """How many positions before, as a bet's law.

    Attributes
    ----------
    positions : int or None
        A number of positions.
    name : str
        ``"window"`` or ``"row"``, where it is one of these; then ``positions`` is None.
    """

    positions: int | None = None
    name: str = ""

    def __call__(self, seen: Apart) -> Floats | None:
        """The law of a draft with the noise of the position so far before; None where it is not looked at."""
        back = seen.distances.get(self)
        return None if back is None else seen.with_noise_of(back)


WINDOW, ROW = Distance(name="window"), Distance(name="row")


@dataclass(frozen=True)
class Apart(Observations):
    """Drafts of which some at a distance may have used the same noise.

    Attributes
    ----------
    drawn : Bool[S, N]
    """

    drawn: Bools

    @cached_property
    def distances(self) -> dict[Distance, int]:
        """The distances that there are, each once: a row counts for more than a window, that for more than a number."""
        known = {Distance(d): d for d in DISTANCES} | {WINDOW: self.view.commits.passes.used.shape[2]}
        known |= {ROW: self.view.grid_width} if self.view.grid_width else {}
        once = {d: distance for distance, d in reversed(known.items()) if 1 < d < self.view.commits.final.shape[1]}
        return {distance: d for d, distance in once.items()}

    def with_noise_of(self, back: int) -> Floats:
        """The law of each draft with the noise of the one ``back`` positions before, NaN where there is none."""
        raise NotImplementedError

    def _before(self, back: int) -> tuple[Bools, tuple[Longs, Longs]]:
        """Which of the places have one that was redrawn ``back`` positions before, and these."""
        there = self.pick(earlier_position(self.drawn, back, False))
        return there, (self.at[0][there], self.at[1][there] - back)


class RacesApart(Apart):
    """Drafts with the Gumbel noise of another, further away."""

    def with_noise_of(self, back: int) -> Floats:
        """See :class:`Apart`."""
        commits = self.view.commits
        assert commits.draft_probs is not None
        there, before = self._before(back)
        law = np.full(self.laws.shape, np.nan)
        law[there] = second_winner(self.laws[there], commits.draft_probs[before], commits.draft[before])
        return law


def races_apart(view: View, noise: Floats) -> RacesApart | None:
    """Drafts under their declared laws; of large vocabularies, at some positions."""
    declared = view.commits.draft_probs
    if declared is None:
        return None
    drawn = is_redrawn(view.commits)
    stride = max(1, declared.shape[-1] // ENTRIES)
    at = np.nonzero(drawn & (np.arange(drawn.shape[1]) % stride == 0))
    if not len(at[0]):
        return None
    return RacesApart(view, at, view.commits.draft[at], declared[at], drawn)


@dataclass(frozen=True)
class InverseCdfsApart(Apart):
    """Drafts with the variate of another of the same pass, further away.

    Attributes
    ----------
    low, high : Float[S, N]
        Intervals of their variates.
    """

    low: Floats
    high: Floats

    def with_noise_of(self, back: int) -> Floats:
        """See :class:`Apart`."""
        iteration = self.view.commits.iteration
        there, before = self._before(back)
        same = iteration[before] == self.pick(iteration)[there]  # committed together, so redrawn together
        there[there], before = same, (before[0][same], before[1][same])
        law = np.full(self.laws.shape, np.nan)
        law[there] = between(self.laws[there], self.low[before], self.high[before])
        return law


def inverse_cdfs_apart(view: View, noise: Floats) -> InverseCdfsApart | None:
    """Where drafts lie in their declared laws."""
    commits = view.commits
    if commits.draft_probs is None:
        return None
    drawn = is_redrawn(commits)
    at = np.nonzero(drawn)
    if not len(at[0]):
        return None
    low, high = pit_interval(commits.draft_probs[at], commits.draft[at])
    ends = np.full((2, *drawn.shape), np.nan)
    ends[0][at], ends[1][at] = low, high
    flat = np.full((len(low), VARIATE_BINS), 1 / VARIATE_BINS)
    return InverseCdfsApart(view, at, bins_of(low + noise[at] * (high - low)), flat, drawn, *ends)
