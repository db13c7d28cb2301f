"""Evidence that two arms sample from different laws, neither of which is known.

Given an unordered pair, one sequence from each arm, it is a fair coin which is which if the arms have one law and their
sequences are independent. With laws a and b that are learned from earlier pairs, the factor
``2 a(x) b(y) / (a(x) b(y) + a(y) b(x))`` is therefore fair, whatever a and b are [1]_: what both arms share, such as
precision or processors that nobody knows of, cancels. It depends on the difference of two scores only, ``ln a/b`` of
each sequence, so that any function of a sequence can be a score. A factor is 2 at most: some twenty pairs are the
least that refute at 1e-6. For laws that are near each other a pair tells half of what a sequence tells against a known
law.

Counts are learned between chunks of pairs, weights between coins, and evidence is looked at where a chunk ends.

References
----------
.. [1] S. Shekhar, A. Ramdas (2023). Nonparametric two-sample testing by betting. IEEE Trans. Inf. Theory 70(2).
       doi:10.1109/TIT.2023.3305867
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from scd_analysis.errors import InputError
from scd_analysis.evidence.batch import Floats, Longs
from scd_analysis.evidence.contexts import LEVELS, ContextCounts
from scd_analysis.evidence.portfolio import Standing
from scd_analysis.evidence.two_sample_ball import Pairs, pair_balls

CONCENTRATIONS = (1.0, 10.0, 100.0, 1000.0)
"""Prior counts of a context, which hold both arms to the law of both together."""

PRIORS = (10.0, 100.0, 1000.0)
"""Of a learned direction, in coins."""

CHUNK = 16
"""Pairs, or a multiple of it, that are bet on before anything is learned from them."""

BLOCKS = (2, 16)
"""Neighbouring sequences of one arm that are compared with each other."""

MESSAGES = {
    "sharpness": ("tokens are more probable {first} than {second}", "tokens are less probable {first} than {second}"),
    "first-token": (
        "the first token is more probable {first} than {second}",
        "the first token is less probable {first} than {second}",
    ),
    "rarest": (
        "the least probable token of a sequence is less rare {first} than {second}",
        "the least probable token of a sequence is rarer {first} than {second}",
    ),
    "unseen": (
        "tokens come {first} that had not come before in their place",
        "tokens come {second} that had not come before in their place",
    ),
    "repeats": (
        "a token is repeated at once more often {first} than {second}",
        "a token is repeated at once less often {first} than {second}",
    ),
    "again": (
        "tokens of a sequence come again in it more often {first} than {second}",
        "tokens of a sequence come again in it less often {first} than {second}",
    ),
}
"""What it means that the first arm has more of a feature, or less."""

ALIKE = 32
"""Sequences of a batch that are all the same, which a law that makes others hardly does."""

AGREEMENT = ("equal", "leading", "agreeing")


def log_factor(first: Floats, second: Floats) -> Floats:
    """Return ln of the factor of a pair, from the scores of its two sequences: ``ln 2 sigma(first - second)``.

    The factors of a pair and of the same pair exchanged add up to two, so that it is fair.

    Parameters
    ----------
    first, second : Float[...]
        ln a/b (nats) of the sequence of the first arm, and of the second.
    """
    return np.asarray(math.log(2) - np.logaddexp(0.0, -(first - second)))


class PairBettor(Protocol):
    """A family of predictable bets on which sequence of a pair is of which arm."""

    @property
    def arms(self) -> tuple[str, ...]:
        """Name each bet."""

    def bet(self, first: Longs, second: Longs) -> Floats:
        """Return Float[arms], the growth of ln wealth over S pairs Long[S, N], Long[S, N]; then learn from them."""

    def describe(self, arm: int, names: tuple[str, str]) -> str:
        """Say in words what it means that this bet wins; ``names`` are of the arms."""


class Direction:
    """Learned weights of K features of a coin: each by itself, and all together.

    The growth of a bet ``theta`` on a difference d is ``theta d / 2 - (theta d)^2 / 8`` to second order, so the best
    weights of the coins so far follow from two sums. They are shrunk as if ``prior`` coins more had shown nothing.

    Parameters
    ----------
    num_features : int
    priors : tuple of float
    """

    def __init__(self, num_features: int, priors: tuple[float, ...] = PRIORS) -> None:
        self._priors, self._coins = np.asarray(priors), 0
        self._sum = np.zeros(num_features)
        self._squares = np.zeros((num_features, num_features))

    def weights(self) -> Floats:
        """Return Float[P (K + 1), K]: for each prior, each feature by itself, then all together."""
        size = len(self._sum)
        out = np.zeros((len(self._priors), size + 1, size))
        if self._coins:
            scale = np.diag(self._squares)
            used = np.flatnonzero(scale > 0)
            for i, prior in enumerate(self._priors):
                shrunk = scale[used] * (1 + prior / self._coins)
                out[i, used, used] = 2 * self._sum[used] / shrunk
                together = self._squares[np.ix_(used, used)].copy()
                together[np.diag_indices(len(used))] = shrunk
                out[i, size, used] = 2 * np.linalg.lstsq(together, self._sum[used], rcond=None)[0]
        return out.reshape(-1, size)

    def bet(self, differences: Floats) -> Floats:
        """Return Float[arms], the growth over M coins Float[M, K]; what came before is learned from as it goes."""
        growth, start = np.zeros(len(self._priors) * (len(self._sum) + 1)), 0
        while start < len(differences):
            part = differences[start : start + max(1, self._coins // 8)]
            scores = part @ self.weights().T
            growth += log_factor(scores, np.zeros_like(scores)).sum(axis=0)
            self._coins += len(part)
            self._sum += part.sum(axis=0)
            self._squares += part.T @ part
            start += len(part)
        return growth

    def strongest(self, arm: int) -> tuple[int, bool]:
        """Return the feature that moves a bet most, and whether the first arm has more of it."""
        weights = self.weights()[arm] * np.sqrt(np.diag(self._squares))
        feature = int(np.abs(weights).argmax())
        return feature, bool(weights[feature] > 0)

    def names(self, features: Sequence[str]) -> tuple[str, ...]:
        """Name each bet."""
        return tuple(f"{name}:{prior:g}" for prior in self._priors for name in (*features, "together"))


class Contexts:
    """Bets on learned laws of tokens: by position, by the token before, by both, and by the whole prefix.

    Parameters
    ----------
    counts : ContextCounts
        Shared with other bettors, and learned from elsewhere.
    """

    def __init__(self, counts: ContextCounts) -> None:
        self._counts = counts

    @property
    def arms(self) -> tuple[str, ...]:
        """Name each level and concentration."""
        return tuple(f"{level}:{c:g}" for level in LEVELS for c in CONCENTRATIONS)

    def bet(self, first: Longs, second: Longs) -> Floats:
        """Bet with the counts of earlier pairs."""
        scores = [self._counts.scores(tokens, CONCENTRATIONS) for tokens in (first, second)]
        return np.asarray(log_factor(scores[0], scores[1]).sum(axis=0))

    def describe(self, arm: int, names: tuple[str, str]) -> str:
        """Name the token whose frequency differs most."""
        return self._counts.most_different(LEVELS[arm // len(CONCENTRATIONS)], names)


class Features:
    """Bets on features of a sequence that tell a law that is sharper, cut off, or repeats itself."""

    def __init__(self, counts: ContextCounts) -> None:
        self._counts, self.direction = counts, Direction(len(MESSAGES))

    @property
    def arms(self) -> tuple[str, ...]:
        """Name each prior and feature."""
        return self.direction.names(tuple(MESSAGES))

    def bet(self, first: Longs, second: Longs) -> Floats:
        """Bet on differences of features."""
        return self.direction.bet(self._of(first) - self._of(second))

    def _of(self, tokens: Longs) -> Floats:
        log_probs, unseen = self._counts.pooled(tokens)
        again = np.array([len(row) - len(np.unique(row)) for row in tokens], dtype=np.float64)
        repeats = (tokens[:, 1:] == tokens[:, :-1]).sum(axis=1)
        columns = (log_probs.sum(axis=1), log_probs[:, 0], log_probs.min(axis=1), unseen.sum(axis=1), repeats, again)
        return np.stack(columns, axis=1).astype(np.float64)

    def describe(self, arm: int, names: tuple[str, str]) -> str:
        """Say which feature differs most, and to which side."""
        feature, is_more = self.direction.strongest(arm)
        more, less = MESSAGES[tuple(MESSAGES)[feature]]
        return (more if is_more else less).format(first=names[0], second=names[1])


class Agreement:
    """Bets that neighbouring sequences of one arm agree more with each other than those of the other arm do.

    A coin is a block of sequences of each arm. What both arms share cancels here too.

    Parameters
    ----------
    block : int
        Sequences; an even number.
    """

    def __init__(self, block: int) -> None:
        self._block, self.direction = block, Direction(len(AGREEMENT))

    @property
    def arms(self) -> tuple[str, ...]:
        """Name each prior and kind of agreement."""
        return tuple(f"{self._block}-neighbours:{name}" for name in self.direction.names(AGREEMENT))

    def bet(self, first: Longs, second: Longs) -> Floats:
        """Bet on differences of agreement, a coin a whole block."""
        inside = [_between(*_halves(tokens, self._block)) for tokens in (first, second)]
        return self.direction.bet(inside[0] - inside[1])

    def describe(self, arm: int, names: tuple[str, str]) -> str:
        """Say in which arm neighbours agree more."""
        _, is_more = self.direction.strongest(arm)
        more, less = names if is_more else names[::-1]
        return (
            f"sequences drawn next to each other agree more {more} than {less}, as where they share a seed or variates"
        )


def _halves(tokens: Longs, block: int) -> tuple[Longs, Longs]:
    """Cut Long[S, N] into blocks, and these into halves: twice Long[blocks, block / 2, N]; what is left over is not."""
    whole = len(tokens) // block
    cut = tokens[: whole * block].reshape(whole, 2, block // 2, tokens.shape[1])
    return cut[:, 0], cut[:, 1]


def _between(one: Longs, other: Longs) -> Floats:
    """Agreement of sequences Long[M, H, N] with others Long[M, H, N], Float[M, 3]: :data:`AGREEMENT`."""
    same = one[:, :, None] == other[:, None]
    leading = np.logical_and.accumulate(same, axis=-1)
    columns = (same.all(axis=-1), leading.mean(axis=-1), same.mean(axis=-1))
    return np.stack([column.mean(axis=(1, 2)) for column in columns], axis=1)


class Mixture:
    """Families of bets with fixed weights: one e-process, whose value is looked at where a chunk ends.

    Attributes
    ----------
    log_wealth : Float[arms]
    arms : tuple of str

    Parameters
    ----------
    families : sequence of (str, float, PairBettor)
        Name, weight and bettor; a weight is divided evenly.
    """

    def __init__(self, families: Sequence[tuple[str, float, PairBettor]]) -> None:
        self.families = tuple(families)
        self.arms = tuple(arm for _, _, bettor in families for arm in bettor.arms)
        total = sum(weight for _, weight, _ in families)
        shares = [np.full(len(b.arms), weight / total / len(b.arms)) for _, weight, b in families]
        self._log_weights = np.log(np.concatenate(shares))
        self.log_wealth = np.zeros(len(self.arms))

    @property
    def log_weights(self) -> Floats:
        """Return Float[arms], ln of the fixed weights."""
        return self._log_weights.copy()

    @property
    def log_e_value(self) -> float:
        """Return ln E (nats)."""
        return float(np.logaddexp.reduce(self._log_weights + self.log_wealth))

    def bet(self, first: Longs, second: Longs) -> float:
        """Bet on a chunk of pairs, and return ln E after it.

        Raises
        ------
        InputError
            If a bet is NaN, which would otherwise read as no evidence.
        """
        growth = np.concatenate([bettor.bet(first, second) for _, _, bettor in self.families])
        if np.isnan(growth).any():
            raise InputError(f"log bet of arm {self.arms[int(np.isnan(growth).argmax())]!r} = nan: a bet is a number")
        self.log_wealth += growth
        return self.log_e_value


class TwoSample:
    """The e-process against "both arms have one law, and their sequences are independent".

    With an epsilon it is against "their laws of a token given those before it lie within total variation epsilon of
    each other" (:mod:`scd_analysis.evidence.two_sample_ball`), which is bet on without one too, for the size.

    Attributes
    ----------
    mixture : Mixture
        Against one law.
    balls : RobustPortfolio
        Against balls of several radii.
    epsilon : float

    Parameters
    ----------
    epsilon : float
        Which null decides.
    names : (str, str)
        Of the arms, in words.
    """

    def __init__(self, epsilon: float = 0.0, names: tuple[str, str] = ("in the first arm", "in the second")) -> None:
        self._counts, self._names, self.epsilon = ContextCounts(), names, epsilon
        self.features = Features(self._counts)
        families: list[tuple[str, float, PairBettor]] = [
            ("contexts", 4.0, Contexts(self._counts)),
            ("features", 4.0, self.features),
        ]
        families += [(f"neighbours-{block}", 1.0, Agreement(block)) for block in BLOCKS]
        self.mixture = Mixture(families)
        self.balls = pair_balls(self._counts, epsilon, names)

    def bet(self, first: Longs, second: Longs) -> float:
        """Bet on S pairs Long[S, N], Long[S, N]; return ln E (nats) after them, and learn from them."""
        self.balls.bet(Pairs(first, second))
        value = self.balls.log_e_value if self.epsilon else self.mixture.bet(first, second)
        self._counts.learn(first, second)
        return value

    @property
    def log_weights(self) -> dict[str, float]:
        """Fixed weights (ln) of the arms that decide."""
        deciding = self.balls if self.epsilon else self.mixture
        return dict(zip(deciding.arms, map(float, deciding.log_weights), strict=True))

    def standings(self) -> tuple[Standing, ...]:
        """Say where each family that decides stands, in the order of the families."""
        if self.epsilon:
            return self.balls.families()
        out, start = [], 0
        for name, _, bettor in self.mixture.families:
            wealth = self.mixture.log_wealth[start : start + len(bettor.arms)]
            best = int(wealth.argmax())
            value = float(np.logaddexp.reduce(wealth) - math.log(len(wealth)))
            out.append(Standing(name, bettor.arms[best], bettor.describe(best, self._names), value))
            start += len(wealth)
        return tuple(out)


class Independence:
    """The e-process against "sequences of one arm are independent of their neighbours, and have one law".

    From a batch, halves of a block are compared with each other, and with those of a block half a batch away: which
    halves were neighbours is a fair coin. Two batches that are all alike, each in itself but not with each other, are
    sequences that share a seed; of independent ones this has probability ``(p (1 - p)) ** 32`` at most.

    Attributes
    ----------
    log_e_value : float
        ln E (nats), after whole batches.
    """

    def __init__(self) -> None:
        self._directions = [Direction(len(AGREEMENT)) for _ in BLOCKS]
        arms = len(BLOCKS) * len(self._directions[0].weights())
        self._log_wealth, self.log_e_value = np.full(arms, -math.log(arms)), 0.0
        self._alike: Longs | None = None

    def bet(self, tokens: Longs) -> float:
        """Bet on a batch Long[S, N] as it was drawn; return ln E after it, and learn from it."""
        if len(tokens) >= ALIKE and (tokens == tokens[:1]).all():
            if self._alike is not None and (self._alike != tokens[0]).any():
                self.log_e_value = math.inf
            self._alike = tokens[0].copy()
        half = len(tokens) // 2
        growth: list[npt.NDArray[np.float64]] = []
        for block, direction in zip(BLOCKS, self._directions, strict=True):
            one, other = _halves(tokens[:half], block), _halves(tokens[half : 2 * half], block)
            near = _between(*one) + _between(*other)
            growth.append(direction.bet(near - _between(one[0], other[1]) - _between(other[0], one[1])))
        self._log_wealth += np.concatenate(growth)
        if not math.isinf(self.log_e_value):
            self.log_e_value = float(np.logaddexp.reduce(self._log_wealth))
        return self.log_e_value
