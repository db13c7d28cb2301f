"""Acceptance variates that are equal, which full ones almost never are."""

from __future__ import annotations

import numpy as np

from scd_analysis.audit.commits import Bools, Passes
from scd_analysis.audit.observations.view import Observations, View, earlier_position
from scd_analysis.evidence.batch import Floats, Longs

MOST_BITS = 32
"""Binary digits of a variate that are looked at."""

MOSTLY, FEWEST_LEFT = 0.99, 16
"""Share of the slots left uncommitted, and how many at least, that show that drafts follow verification."""


class EarlierVariates:
    """Acceptance variates of the last sequences, for later ones to be compared with.

    Parameters
    ----------
    memory : int
        How many sequences are remembered.
    """

    def __init__(self, memory: int = 1024) -> None:
        self._memory = memory
        self._last: Floats | None = None
        self._by_first: dict[float, Floats] = {}

    def others(self, uniform: Floats) -> Floats:
        """Variates of the sequence that each is compared with, Float[S, N], NaN where there is none.

        That is the last one with the same first variate, behind that variate, since it was chosen by it; or else the
        one before.

        Parameters
        ----------
        uniform : Float[S, N]
            NaN where no draft was verified.
        """
        out = np.full(uniform.shape, np.nan)
        for row, other in zip(uniform, out, strict=True):
            if self._last is not None:
                other[:] = self._last
            self._last = row
            if np.isnan(row).all():
                continue
            first = int(np.argmin(np.isnan(row)))
            known = self._by_first.pop(float(row[first]), None)
            if known is not None:
                other[: first + 1], other[first + 1 :] = np.nan, known[first + 1 :]
            self._by_first[float(row[first])] = row
            if len(self._by_first) > self._memory:
                del self._by_first[next(iter(self._by_first))]
        return out


class Repetitions(Observations):
    """Whether variates are equal, each with a bound on its chance."""

    def always(self) -> Floats:
        """They always are."""
        return np.broadcast_to(np.array([0.0, 1.0]), self.laws.shape)


def in_pass(view: View, noise: Floats) -> Repetitions | None:
    """Whether a position's acceptance variate equals that of the position before, at the same pass."""
    commits = view.commits
    same_pass = (commits.slot > 0) & (commits.iteration == earlier_position(commits.iteration, 1, -1))
    return _compared(view, earlier_position(commits.deciding, 1, np.nan), same_pass)


def in_slot(view: View, noise: Floats) -> Repetitions | None:
    """Whether it equals that of the same slot at the pass before, which was another position's."""
    variates = view.commits.noise
    return None if variates is None else _compared(view, variates.slot_uniform, view.commits.iteration > 0)


def on_diagonal(view: View, noise: Floats) -> Repetitions | None:
    """Whether it equals that of the slot after at the pass before, if that was another position's."""
    variates = view.commits.noise
    return None if variates is None else _compared(view, variates.diagonal_uniform, view.commits.iteration > 0)


def in_batch(view: View, noise: Floats) -> Repetitions | None:
    """Whether it equals that of another sequence, for the same position."""
    return _compared(view, view.other_variates, np.ones(view.other_variates.shape, dtype=bool))


def in_sequence(view: View, noise: Floats) -> Repetitions | None:
    """Whether it equals that of any earlier position of the sequence."""
    commits = view.commits
    variates = commits.deciding
    known = ~np.isnan(variates)
    if not known.any():
        return None
    order = np.argsort(variates, axis=1, kind="stable")  # of equal ones, earlier first
    ordered = np.take_along_axis(variates, order, axis=1)
    equal = np.zeros(known.shape, dtype=np.int64)
    np.put_along_axis(equal, order[:, 1:], (ordered[:, 1:] == ordered[:, :-1]).astype(np.int64), axis=1)
    each = np.where(known, 2.0 ** -_bits(variates), 0)
    chance = np.minimum(np.cumsum(each, axis=1) - each, 1)
    return _repetitions(view, equal, chance, known)


def for_life(view: View, noise: Floats) -> Repetitions | None:
    """Whether it equals that of the same position at the pass before, where that one made the draft.

    It decided nothing yet; but what verification says of a slot is its next draft under maximal coupling.
    """
    variates = view.commits.noise
    if variates is None or not _drafts_follow(view.commits.passes):
        return None
    return _compared(view, variates.last_uniform, view.commits.age > 0)


def _drafts_follow(passes: Passes) -> bool:
    """Whether the drafts that stay are those that were accepted, as far as slots say that were not committed."""
    left, kept = passes.used & ~passes.committed, passes.after == passes.draft
    accepted, rejected = left & passes.accepted, left & ~passes.accepted
    enough = min(accepted.sum(), rejected.sum()) >= FEWEST_LEFT
    return bool(enough and kept[accepted].mean() >= MOSTLY and (~kept[rejected]).mean() >= MOSTLY)


def _bits(uniform: Floats) -> Floats:
    """Binary digits of variates, up to :data:`MOST_BITS`."""
    scaled = np.nan_to_num(uniform) * 2.0**MOST_BITS
    number = scaled.astype(np.int64)
    lowest = np.where(number > 0, number & -number, 2**MOST_BITS)  # zero has no digit
    return np.where(scaled == number, MOST_BITS - np.log2(lowest), MOST_BITS)


def _compared(view: View, other: Floats, where: Bools) -> Repetitions | None:
    variates = view.commits.deciding
    known = where & ~np.isnan(variates) & ~np.isnan(other)
    if not known.any():
        return None
    chance = 2.0 ** -_bits(other)  # at most: a generator that gave these digits has as many, or more
    return _repetitions(view, (variates == other).astype(np.int64), chance, known)


def _repetitions(view: View, equal: Longs, chance: Floats, known: Bools) -> Repetitions:
    at = np.nonzero(known)
    return Repetitions(view, at, equal[at], np.stack([1 - chance[at], chance[at]], axis=-1))
