"""Evidence that two arms sample from laws that are further than epsilon apart, neither of which is known.

The null is that after whatever tokens the law of the next token in one arm lies within total variation epsilon of that
in the other, and that sequences are independent. Then, where a sequence x of the first arm and a sequence y of the
second have the same tokens before a position, and for any set of tokens that was chosen before these two came,
``d = 1[x in set] - 1[y in set]`` has a mean of epsilon at most, which a total variation is the largest of. So
``1 + stake (d - epsilon) / (1 + epsilon)`` is a fair factor for any stake below one. Which sequences are paired at a
position depends on the tokens before it alone, so that factors of all positions multiply. Whole sequences of N tokens
are sets too, and their laws ``1 - (1 - epsilon)^N`` apart at most.

References
----------
.. [1] S. Shekhar, A. Ramdas (2023). Nonparametric two-sample testing by betting. IEEE Trans. Inf. Theory 70(2).
       doi:10.1109/TIT.2023.3305867
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scd_analysis.evidence.batch import Floats, Longs
from scd_analysis.evidence.contexts import LEVELS, ContextCounts, Laws
from scd_analysis.evidence.robust import EPSILONS, RobustFamily, RobustPortfolio, grid

STAKES = np.array([0.9, 0.5, 0.25, 0.12, 0.06, 0.03, 0.015])
"""Shares of the largest stake at which no factor can be zero."""

CUTS = (0.3, 0.1, 0.03, 0.01)
"""Probabilities in both arms together below which tokens make a set."""

WAYS = ("more", "less")
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Pairs:
    """Sequences Long[S, N] of the first arm and as many of the second."""

    first: Longs
    second: Longs


def matched(pairs: Pairs) -> Iterator[tuple[Longs, Longs]]:
    """Pair sequences of the arms, anew at every position, that have the same tokens before it.

    Yields
    ------
    Long[M], Long[M]
        Rows of the first arm and of the second, each at most once at a position.
    """
    size, num_tokens = pairs.first.shape
    tokens = np.concatenate([pairs.first, pairs.second])
    group = np.zeros(len(tokens), dtype=np.int64)
    for j in range(num_tokens):
        one, other = _in_turn(group[:size]), _in_turn(group[size:])
        _, first, second = np.intersect1d(one, other, assume_unique=True, return_indices=True)
        yield first, second
        _, group = np.unique(group * (tokens.max() + 1) + tokens[:, j], return_inverse=True)


def _in_turn(group: Longs) -> Longs:
    """Number the members of every group, and return a key of group and number, Long[S]."""
    order = np.argsort(group, kind="stable")
    rank = np.arange(len(group)) - np.searchsorted(group[order], group[order])
    out = np.empty(len(group), dtype=np.int64)
    out[order] = group[order] * len(group) + rank
    return out


@dataclass(frozen=True)
class Coins:
    """How often d was 1, 0 and -1, for K sets: Long[K, 3]."""

    counts: Longs

    def growth(self, epsilons: Floats) -> Floats:
        """Return ln of the product of the factors, Float[K, stakes, E]."""
        d = np.array([1.0, 0.0, -1.0])
        stakes = STAKES[:, None, None] / (1 + epsilons[:, None])
        return np.einsum("kd,ted->kte", self.counts.astype(np.float64), np.log1p(stakes * (d - epsilons[:, None])))


def coins_of(differences: npt.NDArray[np.int64]) -> Coins:
    """Count the values of Long[K, coins], where 2 is none."""
    return Coins(np.stack([(differences == d).sum(axis=1) for d in (1, 0, -1)], axis=1))


def at_positions(pairs: Pairs, sets: tuple[Flags, Flags], active: Flags) -> Coins:
    """Toss a coin for every pair of every position.

    Parameters
    ----------
    pairs : Pairs
    sets : (Bool[K, S, N], Bool[K, S, N])
        Whether tokens of each arm are in the sets.
    active : Bool[K, S, N]
        Of the first arm, whether there is a set; that follows from the tokens before.
    """
    found = []
    for j, (first, second) in enumerate(matched(pairs)):
        d = sets[0][:, first, j].astype(np.int64) - sets[1][:, second, j]
        found.append(np.where(active[:, first, j], d, 2))
    return coins_of(np.concatenate(found, axis=1))


class Learned:
    """Bets on the sets of tokens that came more often in the first arm, by context.

    Parameters
    ----------
    counts : ContextCounts
        Shared, and learned from elsewhere.
    epsilons : Float[E]
    names : (str, str)
        Of the arms, in words.
    """

    def __init__(self, counts: ContextCounts, epsilons: Floats, names: tuple[str, str]) -> None:
        self._counts, self._epsilons, self._names = counts, epsilons, names

    @property
    def arms(self) -> tuple[str, ...]:
        """Name each level and stake."""
        return tuple(f"set:{level}:{stake:g}" for level in LEVELS for stake in STAKES)

    def bet(self, batch: Pairs) -> Floats:
        """Bet on every position, Float[1, arms, E]."""
        laws = [self._counts.laws(tokens) for tokens in (batch.first, batch.second)]
        members = [np.stack([_leans(law) for law in arm.values()]) for arm in laws]
        active = np.stack([(law.contexts > 0).all(axis=-1) for law in laws[0].values()])
        growth = at_positions(batch, (members[0], members[1]), active).growth(self._epsilons)
        return growth.reshape(1, -1, len(self._epsilons))

    def describe(self, arm: int) -> str:
        """Name the token whose frequency differs most."""
        return self._counts.most_different(LEVELS[arm // len(STAKES)], self._names)


def _leans(laws: Laws) -> Flags:
    """Whether a token came more often in the first arm, with one count of both together in either context."""
    one, other = ((laws.cells[..., i] + laws.both) / (laws.contexts[..., i] + 1.0) for i in (0, 1))
    return np.asarray(one > other)


class Cuts(Learned):
    """Bets on sets of improbable tokens, either way, as of a law that is cut off, sharper or flatter."""

    @property
    def arms(self) -> tuple[str, ...]:
        """Name each set, which way, and each stake."""
        return tuple(f"below:{cut:g}:{way}:{stake:g}" for way in WAYS for cut in CUTS for stake in STAKES)

    def bet(self, batch: Pairs) -> Floats:
        """Bet on every position, Float[1, arms, E]."""
        laws = [self._counts.laws(tokens)["position-previous"] for tokens in (batch.first, batch.second)]
        members = [np.stack([law.both < cut for cut in CUTS]) for law in laws]
        known = (laws[0].contexts > 0).all(axis=-1)
        active = np.broadcast_to(known, (len(CUTS), *known.shape))
        more = at_positions(batch, (members[0], members[1]), active).counts
        return Coins(np.concatenate([more, more[:, ::-1]])).growth(self._epsilons).reshape(1, -1, len(self._epsilons))

    def describe(self, arm: int) -> str:
        """Say which set, and in which arm it comes more often."""
        way, rest = divmod(arm // len(STAKES), len(CUTS))
        more, less = self._names if way == 0 else self._names[::-1]
        return f"tokens of a probability below {CUTS[rest]:g} come more often {more} than {less}"


class Whole(Learned):
    """Bets on the set of whole sequences that learned laws give to the first arm."""

    @property
    def arms(self) -> tuple[str, ...]:
        """Name each level and stake."""
        return tuple(f"sequences:{level}:{stake:g}" for level in LEVELS for stake in STAKES)

    def bet(self, batch: Pairs) -> Floats:
        """Bet on every pair of sequences, Float[1, arms, E]."""
        first, second = (self._counts.scores(tokens, (1.0,)).T > 0 for tokens in (batch.first, batch.second))
        apart = 1 - (1 - self._epsilons) ** batch.first.shape[1]
        return coins_of(first.astype(np.int64) - second).growth(apart).reshape(1, -1, len(apart))


def pair_balls(counts: ContextCounts, epsilon: float, names: tuple[str, str]) -> RobustPortfolio[Pairs]:
    """Build the bettors on two arms.

    Parameters
    ----------
    counts : ContextCounts
        What was learned of both; it is learned from after every bet, elsewhere.
    epsilon : float
        The radius that decides; 0 where none does and the size alone is asked for.
    names : (str, str)
        Of the arms, in words.
    """
    epsilons = grid(epsilon)
    families = [
        RobustFamily("sets", 4.0, Learned(counts, epsilons, names)),
        RobustFamily("cuts", 2.0, Cuts(counts, epsilons, names)),
        RobustFamily("sequences", 2.0, Whole(counts, epsilons, names)),
    ]
    return RobustPortfolio(families, epsilons, epsilon or EPSILONS[0])
