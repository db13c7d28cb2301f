"""What people use today to say whether a decoder samples from its target, as functions of counts and samples.

Each is a statistic that is large for a wrong decoder; what it takes to refute is calibrated on right ones, so that all
are compared at one error rate.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from scd_analysis.evidence import goodness

Floats = npt.NDArray[np.float64]
Longs = npt.NDArray[np.int64]


def pearson(counts: Longs, law: Floats) -> float:
    """Pearson's chi-square against a known law; cells of probability zero that were seen make it infinite."""
    expected = counts.sum() * law
    if (counts[expected == 0] > 0).any():
        return float("inf")
    inside = expected > 0
    return float((((counts - expected) ** 2)[inside] / expected[inside]).sum())


def likelihood_ratio(counts: Longs, law: Floats) -> float:
    """The G statistic against a known law, nats doubled."""
    expected = counts.sum() * law
    seen = counts > 0
    if (expected[seen] == 0).any():
        return float("inf")
    return float(2 * (counts[seen] * np.log(counts[seen] / expected[seen])).sum())


def oracle_size(
    probs: Floats, law: Floats, alpha: float, power: float, rng: np.random.Generator, runs: int = 100
) -> float:
    """Fewest observations at which the better of Pearson's and the G test, level alpha, has this power.

    Cells expected fewer than five times are pooled, without which neither is calibrated. Found by bisection over
    simulated samples, to about 5%.
    """
    sizes = []
    for test in (goodness.pearson, goodness.likelihood_ratio):
        low, high = 5.0, 2e6
        while high / low > 1.05:
            middle = int(np.sqrt(low * high))
            hits = [test(rng.multinomial(middle, probs), law).p_value < alpha for _ in range(runs)]
            low, high = (low, middle) if np.mean(hits) >= power else (middle, high)
        sizes.append(high)
    return float(min(sizes))


def mmd_hamming(first: Longs, second: Longs, vocab_size: int) -> float:
    """The maximum mean discrepancy with the Hamming kernel of two samples Long[n, N] and Long[m, N].

    Equal to ``mmd_hamming`` of the package ``model-equality-testing`` (a study checks that), from counts by position,
    so that its cost is linear in the samples.
    """
    n, m, length = len(first), len(second), first.shape[1]
    total = 0.0
    for j in range(length):
        a, b = (np.bincount(x[:, j], minlength=vocab_size).astype(float) for x in (first, second))
        within = (a @ a - n) / (n * (n - 1)) + (b @ b - m) / (m * (m - 1))
        total += within - 2 * (a @ b) / (n * m)
    return total / length


def two_sample_chi_square(first: Longs, second: Longs, vocab_size: int) -> float:
    """Sum over positions of the two-sample chi-square of token counts."""
    total = 0.0
    for j in range(first.shape[1]):
        a, b = (np.bincount(x[:, j], minlength=vocab_size).astype(float) for x in (first, second))
        seen = a + b > 0
        ratio = np.sqrt(len(second) / len(first))
        total += float(((a * ratio - b / ratio)[seen] ** 2 / (a + b)[seen]).sum())
    return total


def convergence_ratio(cells: Longs, law: Floats, rng: np.random.Generator, few: int, many: int) -> float:
    """How much less the empirical law approaches its target than it should, as inference engines test it.

    The distance (L2) of the empirical law to the target must shrink, from ``few`` to ``many`` observations, 20 times
    more than its mean distance to random laws. Returned is minus that ratio, so that large is bad; the criterion itself
    is ``ratio > 20``.
    """
    others = rng.dirichlet(np.ones(len(law)), size=20)

    def distances(n: int) -> tuple[float, float]:
        empirical = np.bincount(cells[:n], minlength=len(law)) / n
        to_target = float(np.linalg.norm(empirical - law))
        return to_target, float(np.linalg.norm(empirical - others, axis=1).mean())

    start, end = distances(few), distances(many)
    return -(start[0] / end[0]) / (start[1] / end[1])
