"""What an audit of n sequences would have found: the resolution along stated directions.

For a weak departure, ``n`` sequences of relative entropy KL each give a bettor a normal score with mean
``sqrt(2 n KL)`` and variance one along its direction. A learned one-parameter bet with shrinkage ``s = n / (n + c)``
then has ``ln E = (s z^2 + ln(1 - s)) / 2``, and a null-centred Dirichlet mixture over K cells the same with a
noncentral chi-square of K - 1 degrees of freedom. Total variation follows from ``TV = sqrt(KL / pi)``, exact to first
order when the log ratio is normal, as it is for a sum over many tokens or cells.
"""

from __future__ import annotations

import math

import numpy as np

from scd_analysis.evidence.batch import Floats

POWER_QUANTILE = 2.3263478740408408
"""The 0.99 quantile of the normal law."""

LEARNING_LOSS = 1.0
"""Nats that a plug-in estimate loses against the mixture that it stands for; checked by simulation in the tests."""


def _total_variation(noncentrality: float, num_sequences: int) -> float:
    return min(1.0, math.sqrt(noncentrality / (2 * num_sequences) / math.pi))


def one_direction(
    log_threshold: float, log_weight: float, num_sequences: int, num_tokens: int, priors: Floats
) -> float:
    """Return the smallest TV of sequence laws found with power 0.99 along one learned direction.

    Parameters
    ----------
    log_threshold : float
        ln(1/alpha), nats.
    log_weight : float
        ln of the weight of one arm.
    num_sequences, num_tokens : int
        How much was seen that could have been otherwise; one is returned where nothing was.
    priors : Float[arms]
        The grid of c, in tokens.
    """
    if num_sequences < 1 or num_tokens < 1:
        return 1.0
    best = math.inf
    for prior in np.asarray(priors, dtype=np.float64):
        shrink = num_tokens / (num_tokens + prior)
        needed = (2 * (log_threshold - log_weight + LEARNING_LOSS) - math.log1p(-shrink)) / shrink
        best = min(best, (math.sqrt(needed) + POWER_QUANTILE) ** 2)
    return _total_variation(best, num_sequences)


def one_observation(log_threshold: float, log_weight: float, num_observations: int, priors: Floats) -> float:
    """Return the smallest TV of single observations, the same at each, found with power 0.99 along one direction.

    By Pinsker's inequality in its first-order form, ``TV <= sqrt(KL / 2)`` of one observation.
    """
    whole = one_direction(log_threshold, log_weight, num_observations, num_observations, priors)
    return min(1.0, whole * math.sqrt(math.pi / 2))


def one_coin(log_threshold: float, log_weight: float, num_coins: int, stakes: Floats) -> float:
    """Return by how much the mean of coins must exceed its bound to be found with power 0.99, by one of fixed stakes.

    A coin is the difference of two indicators, one of each arm, whose variance is 1/2 at most. A stake earns
    ``stake * excess - stake**2 / 4`` nats a coin, to first order.

    Parameters
    ----------
    log_threshold, log_weight
        See :func:`one_direction`.
    num_coins : int
    stakes : Float[K]
    """
    if num_coins < 1:
        return 1.0
    needed = log_threshold - log_weight + LEARNING_LOSS
    luck = POWER_QUANTILE / math.sqrt(2 * num_coins)
    return min(1.0, float(np.min(needed / (num_coins * stakes) + stakes / 4 + luck)))


def every_cell(
    log_threshold: float, log_weight: float, num_sequences: int, num_cells: int, concentrations: Floats
) -> float:
    """Return the smallest TV found with power 0.99 along a random direction in all cells of a small space."""
    if num_sequences < 1:
        return 1.0
    freedom = max(num_cells - 1, 1)
    best = math.inf
    for concentration in np.asarray(concentrations, dtype=np.float64):
        shrink = num_sequences / (num_sequences + concentration)
        needed = (2 * (log_threshold - log_weight) - freedom * math.log1p(-shrink)) / shrink
        best = min(best, _noncentrality(needed, freedom))
    return _total_variation(best, num_sequences)


def _noncentrality(needed: float, freedom: int) -> float:
    """Solve for the noncentrality whose chi-square exceeds ``needed`` with power 0.99 (normal approximation)."""
    low, high = 0.0, 4 * needed + 100.0
    for _ in range(60):
        middle = (low + high) / 2
        quantile = freedom + middle - POWER_QUANTILE * math.sqrt(2 * freedom + 4 * middle)
        low, high = (middle, high) if quantile < needed else (low, middle)
    return high
