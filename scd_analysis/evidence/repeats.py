"""Sequences that come twice: one seed for two sequences, or a pool that is drawn from again.

The bet on a whole sequence is ``(1 - e) p + e h``, with h even over the sequences that it could repeat. A law over
sequences is a law for each token given the ones before, so the bet is predictable; a long sequence seen twice refutes
at once, because ``h / p`` is then the inverse of a tiny probability.

In a small space whole sequences come again under any law, and a bet on those that came before wins against every wrong
one. So a win is told as a shared seed only where sequences come again that would not otherwise: twice in a row, more
often than by how often each comes at all; or ever, where the target would hardly repeat one.
"""

from __future__ import annotations

from collections import Counter, deque

import numpy as np

from scd_analysis.evidence.batch import Batch, Floats

SHARES = (0.01, 0.3)
"""The weight e of a repetition in each bet: rare, and of every second or third sequence."""

SHARED_SEED = "whole sequences are repeated too often, as when two of them share a seed"
FREQUENT = "whole sequences come again more often than under the target, as they do wherever its law is wrong"

SURELY = 4.0
"""Standard deviations by which sequences come twice in a row too often, to be told as a shared seed."""


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
        self._probs: dict[bytes, float] = {}
        self._expected = self._excess = self._variance = 0.0

    @property
    def arms(self) -> tuple[str, ...]:
        """Name the two bets, by share."""
        return tuple(f"repeats:{what}:{share:g}" for share in SHARES for what in ("last", "recent"))

    def bet(self, batch: Batch) -> Floats:
        """Bet on each sequence in turn."""
        log_probs = np.log(batch.token_probs).sum(axis=1)
        shares = np.array(
            [
                self._shares(tokens.tobytes(), float(p))
                for tokens, p in zip(batch.tokens, np.exp(log_probs), strict=True)
            ]
        )
        nothing = shares.sum(axis=1) < 0  # nothing to repeat yet: no bet
        ratio = np.log(np.maximum(shares, 1e-300)) - log_probs[:, None]
        bets = []
        for share in SHARES:
            known = np.where(shares > 0, ratio + np.log(share), -np.inf)
            bets.append(np.where(nothing[:, None], 0, np.logaddexp(np.log1p(-share), known)))
        return np.concatenate(bets, axis=1)

    def _shares(self, sequence: bytes, prob: float) -> tuple[float, float]:
        """Return h of both arms for this sequence, then remember it; negative when nothing was seen."""
        if not self._recent:
            shares = (-1.0, -1.0)
        else:
            shares = (float(self._recent[-1] == sequence), self._counts[sequence] / len(self._recent))
            self._count_repeats(sequence)
        self._recent.append(sequence)
        self._counts[sequence] += 1
        self._probs[sequence] = prob
        if len(self._recent) > self._memory:
            oldest = self._recent.popleft()
            self._counts[oldest] -= 1
            if not self._counts[oldest]:
                del self._counts[oldest], self._probs[oldest]
        return shares

    def _count_repeats(self, sequence: bytes) -> None:
        """Compare repetitions with what the target, and how often each sequence comes, lets expect."""
        last = self._recent[-1]
        often = (self._counts[last] - 1) / max(len(self._recent) - 1, 1)
        self._excess += (last == sequence) - often
        self._variance += often * (1 - often)
        self._expected += min(sum(self._probs.values()), 1.0) if self._expected < 1 else 0.0

    @property
    def is_of_seeds(self) -> bool:
        """Whether sequences come again that no wrong law of single ones repeats."""
        in_a_row = self._excess > SURELY * max(self._variance, 1.0) ** 0.5
        return in_a_row or self._expected < 1

    def describe(self, arm: int) -> str:
        """Say what a win means."""
        return SHARED_SEED if self.is_of_seeds else FREQUENT
