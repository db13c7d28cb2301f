"""Sequences that come twice: one seed for two sequences, or a pool that is drawn from again.

The bet on a whole sequence is ``(1 - e) p + e h``, with h even over the sequences that it could repeat. A law over
sequences is a law for each token given the ones before, so the bet is predictable; a long sequence seen twice refutes
at once, because ``h / p`` is then the inverse of a tiny probability.
"""

from __future__ import annotations

from collections import Counter, deque

import numpy as np

from scd_analysis.evidence.batch import Batch, Floats

SHARES = (0.01, 0.3)
"""The weight e of a repetition in each bet: rare, and of every second or third sequence."""


class Repeats:
    """Bet that a sequence equals the one before it, or one of the last ``memory``.

    Parameters
    ----------
    memory : int
        How many sequences are remembered.
    """

    def __init__(self, memory: int = 1024) -> None:
        self._recent: deque[bytes] = deque()
        self._counts: Counter[bytes] = Counter()
        self._memory = memory

    @property
    def arms(self) -> tuple[str, ...]:
        """Name the two bets, by share."""
        return tuple(f"repeats:{what}:{share:g}" for share in SHARES for what in ("last", "recent"))

    def bet(self, batch: Batch) -> Floats:
        """Bet on each sequence in turn."""
        log_probs = np.log(batch.token_probs).sum(axis=1)
        shares = np.array([self._shares(tokens.tobytes()) for tokens in batch.tokens])
        nothing = shares.sum(axis=1) < 0  # nothing to repeat yet: no bet
        ratio = np.log(np.maximum(shares, 1e-300)) - log_probs[:, None]
        bets = []
        for share in SHARES:
            known = np.where(shares > 0, ratio + np.log(share), -np.inf)
            bets.append(np.where(nothing[:, None], 0, np.logaddexp(np.log1p(-share), known)))
        return np.concatenate(bets, axis=1)

    def _shares(self, sequence: bytes) -> tuple[float, float]:
        """Return h of both arms for this sequence, then remember it; negative when nothing was seen."""
        if not self._recent:
            shares = (-1.0, -1.0)
        else:
            shares = (float(self._recent[-1] == sequence), self._counts[sequence] / len(self._recent))
        self._recent.append(sequence)
        self._counts[sequence] += 1
        if len(self._recent) > self._memory:
            oldest = self._recent.popleft()
            self._counts[oldest] -= 1
            if not self._counts[oldest]:
                del self._counts[oldest]
        return shares

    def describe(self, arm: int) -> str:
        """Say what a win means."""
        return "whole sequences are repeated too often, as when two of them share a seed"
