"""Whether windows share noise: what bets within a window cannot see.

Copies of a window in one call come out alike no more often than two independent draws do; and windows do not come out
alike again under another seed.
"""

from __future__ import annotations

import numpy as np

from scd_analysis.audit.commits import Bools
from scd_analysis.evidence.batch import Floats, Longs
from scd_analysis.laws.kernels import acceptance, residual

PAIRS, FEWEST_PAIRS = 1024, 256
"""Of copies of a window, at most, and where an audit is short."""

CALLS = 8
"""With other seeds, that copies are compared with in other calls."""

SHARES = (0.3, 0.95)
"""Shares of pairs that are bet to come out alike, beyond chance."""

SURE = 30.0
"""Nats: what has a probability below e^-30 is not taken for chance."""


def pairings(pairs: int) -> tuple[tuple[Longs, Longs], ...]:
    """Places in a call, Long[B] each, of windows and of their copies: side by side, half a call apart, mirrored."""
    number = np.arange(pairs)
    return (2 * number, 2 * number + 1), (number, number + pairs), (number, 2 * pairs - 1 - number)


def outcome_laws(draft: Floats, target: Floats, tokens: Longs, has_bonus: bool, lengths: Longs) -> Floats:
    """Return the law of what a window commits, by the number of accepted drafts and the token after them.

    Parameters
    ----------
    draft, target : Float[B, L, V], Float[B, L + 1, V]
    tokens : Long[B, L]
        The drafts.
    has_bonus : bool
        Whether a window accepted whole commits one token more; else its mass lies at token 0.
    lengths : Long[B]
        How many drafts each window has.

    Returns
    -------
    Float[B, L + 1, V]
        Sums to one over the last two axes.
    """
    own = tokens[..., None]
    accepted = np.take_along_axis(acceptance(target[:, :-1], draft), own, axis=-1)[..., 0]
    place = np.arange(target.shape[1])
    accepted = np.where(place[:-1] < lengths[:, None], accepted, 0)
    reached = np.concatenate([np.ones_like(accepted[:, :1]), accepted.cumprod(axis=1)], axis=1)
    rejected = (reached[:, :-1] * (1 - accepted))[..., None] * residual(target[:, :-1], draft)
    laws = np.concatenate([rejected, np.zeros_like(target[:, :1])], axis=1)
    rows = np.arange(len(laws))
    whole = target[rows, lengths] if has_bonus else np.eye(target.shape[-1])[0]
    laws[rows, lengths] = reached[rows, lengths, None] * whole
    return laws


def log_odds_of_sharing(laws: Floats, alike: Bools, as_many: Bools, num_accepted: Longs) -> float:
    """Return ln E (nats) of bets that pairs come out alike more often than by chance.

    As a whole, by the number of accepted drafts, and, of pairs that accept as many, by the token after them.

    Parameters
    ----------
    laws : Float[B, L + 1, V]
        Of :func:`outcome_laws`.
    alike, as_many : Bool[B]
        Which pairs came out alike, and which accept as many drafts.
    num_accepted : Long[B]
        How many, where they accept as many.
    """
    after = np.take_along_axis(laws, num_accepted[:, None, None], axis=1)[:, 0]
    total = after.sum(axis=1, keepdims=True)  # zero where a number of accepted drafts is impossible
    after = np.divide(after, total, out=np.ones_like(after), where=as_many[:, None] & (total > 0))
    chances = (laws**2).sum(axis=(1, 2)), (laws.sum(axis=2) ** 2).sum(axis=1), (after**2).sum(axis=1)
    bets = [_bet(chance, same) for chance, same in zip(chances, (alike, as_many, alike), strict=True)]
    return float(np.logaddexp.reduce(np.concatenate(bets)) - np.log(len(bets) * len(SHARES)))


def log_odds_of_one_call(within: tuple[Bools, ...], apart: tuple[Bools, ...]) -> float:
    """Return ln E (nats) of bets that copies of a call are alike more often than copies of two calls.

    Where windows share nothing both are pairs of independent draws, of whatever law: of the pairs that are alike in one
    way only, either way has probability 1/2. A kernel whose law is too narrow passes, one whose windows share fails.

    Parameters
    ----------
    within, apart : tuple of Bool[B]
        Which pairs are alike, in one call and in two, by each way to compare them.
    """
    bets = []
    for one, two in zip(within, apart, strict=True):
        for_sharing, against = int((one & ~two).sum()), int((two & ~one).sum())
        bets += [for_sharing * np.log1p(share) + against * np.log1p(-share) for share in SHARES]
    return float(np.logaddexp.reduce(bets) - np.log(len(bets)))


def _bet(chance: Floats, same: Bools) -> Floats:
    """Growth of bets on pairs, by share; a pair that is certain to be the same says nothing."""
    undecided = (chance < 1 - 1e-9)[:, None]
    share = np.array(SHARES)
    gain = 1 - share + share * same[:, None] / np.maximum(chance, 1e-300)[:, None]
    return np.asarray(np.log(np.where(undecided, gain, 1)).sum(axis=0))


def log_probability(laws: Floats, emitted: Longs, num_accepted: Longs) -> float:
    """Return ln of the probability of all that was committed (nats), Long[B, L + 1] and Long[B]."""
    rows = np.arange(len(laws))
    last = np.maximum(emitted[rows, np.minimum(num_accepted, emitted.shape[1] - 1)], 0)
    with np.errstate(divide="ignore"):
        return float(np.log(laws[rows, num_accepted, last]).sum())
