"""Where greedy decoding departs from the most probable token, and by how much.

Every token is compared with the model's law given the subject's own tokens before it, so that one other token does not
make all that follow it others (theory, section 9).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from scd_analysis.evidence.batch import Floats, Longs

GAPS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, math.inf)
"""Upper ends of the gaps that are counted together, nats. Rounding a logit between 16 and 32 to bfloat16 moves it by up
to 1/16."""


@dataclass(frozen=True)
class Divergence:
    """A token that is not the most probable one.

    Attributes
    ----------
    sequence, position : int
    token, most_probable : int
        What came, and what the model gives the largest probability; the first of several equal ones.
    gap : float
        ln of the largest probability over the token's own, nats; infinite where the token has probability zero.
    """

    sequence: int
    position: int
    token: int
    most_probable: int
    gap: float

    def __str__(self) -> str:
        below = "has probability zero" if math.isinf(self.gap) else f"lies {self.gap:.3g} nats below it"
        return (
            f"token {self.token} at position {self.position} of sequence {self.sequence}, where only "
            f"{self.most_probable} is the most probable, {below}"
        )


@dataclass(frozen=True)
class GapCount:
    """How many divergences have a gap above ``above`` and up to ``up_to``, nats."""

    above: float
    up_to: float
    count: int


@dataclass(frozen=True)
class GreedyReport:
    """How far a subject's tokens lie from greedy decoding.

    Attributes
    ----------
    margin : float
        The gap that is forgiven, nats.
    num_sequences, num_distinct, num_tokens : int
        Sequences that were compared, how many of them differ from each other, and the tokens of these.
    num_divergences, num_beyond : int
        Tokens that are not a most probable one, and those of them that lie further below it than ``margin``. What equal
        tokens before it make come again is counted once.
    first, first_beyond, largest : Divergence or None
        The first of all, the first beyond the margin, and that of the largest gap.
    by_gap : tuple of GapCount
        Where there are any.
    """

    margin: float
    num_sequences: int
    num_distinct: int
    num_tokens: int
    num_divergences: int
    num_beyond: int
    first: Divergence | None = None
    first_beyond: Divergence | None = None
    largest: Divergence | None = None
    by_gap: tuple[GapCount, ...] = ()

    @property
    def amount(self) -> str:
        """How many tokens were compared, and what of it came out."""
        seen = f"{self.num_tokens:,} tokens of {self.num_distinct:,} different sequences"
        if not self.num_divergences:
            return f"{seen} were compared with the most probable ones, and each is one"
        beyond = f"{self.num_beyond:,} by more than the margin of {self.margin:g} nats"
        return f"of {seen}, {self.num_divergences:,} are not the most probable, {beyond}"

    def __str__(self) -> str:
        said = [f"Greedy: {self.amount}."]
        if self.first is not None:
            said.append(f"First: {self.first}.")
        if self.largest is not None and self.largest != self.first:
            said.append(f"Largest gap: {self.largest}.")
        if self.by_gap:
            said.append("Gaps (nats): " + ", ".join(f"{one.count:,} {gap_in_words(one)}" for one in self.by_gap) + ".")
        return "\n".join(said)


def gap_in_words(counted: GapCount) -> str:
    """Between which gaps it counts."""
    if math.isinf(counted.up_to):
        return f"above {counted.above:g}"
    return f"up to {counted.up_to:g}" if not counted.above else f"from {counted.above:g} to {counted.up_to:g}"


class Divergences:
    """Collects divergences over an audit.

    Parameters
    ----------
    margin : float
        Nats.
    """

    def __init__(self, margin: float) -> None:
        self.margin = margin
        self._seen: set[bytes] = set()
        self._known: set[bytes] = set()
        self._counts = np.zeros(len(GAPS), dtype=np.int64)
        self._sequences = self._tokens = self._beyond = 0
        self._first: Divergence | None = None
        self._first_beyond: Divergence | None = None
        self._largest: Divergence | None = None

    def add(self, tokens: Longs, target_probs: Floats) -> np.ndarray:
        """Compare sequences Long[S, N] with their laws Float[S, N, V]; return Bool[S], which go beyond the margin."""
        own = np.take_along_axis(target_probs, tokens[..., None], axis=-1)[..., 0]
        with np.errstate(divide="ignore"):
            gap = np.log(target_probs.max(axis=-1)) - np.log(own)
        self._collect(tokens, target_probs, gap)
        return np.asarray((gap > self.margin).any(axis=1))

    def _collect(self, tokens: Longs, target_probs: Floats, gap: Floats) -> None:
        for i, sequence in enumerate(tokens):
            key = sequence.tobytes()
            if key not in self._seen:
                self._seen.add(key)
                self._tokens += len(sequence)
                for j in np.flatnonzero(gap[i] > 0):
                    before = sequence[: j + 1].tobytes()
                    if before not in self._known:
                        self._known.add(before)
                        most = int(target_probs[i, j].argmax())
                        self._note(Divergence(self._sequences + i, int(j), int(sequence[j]), most, float(gap[i, j])))
        self._sequences += len(tokens)

    def _note(self, found: Divergence) -> None:
        self._counts[int(np.searchsorted(GAPS, found.gap))] += 1
        self._first = self._first or found
        if found.gap > self.margin:
            self._beyond += 1
            self._first_beyond = self._first_beyond or found
        if self._largest is None or found.gap > self._largest.gap:
            self._largest = found

    def report(self) -> GreedyReport:
        """Say where it stands."""
        lower = (0.0, *GAPS[:-1])
        counted = zip(lower, GAPS, self._counts.tolist(), strict=True)
        return GreedyReport(
            margin=self.margin,
            num_sequences=self._sequences,
            num_distinct=len(self._seen),
            num_tokens=self._tokens,
            num_divergences=int(self._counts.sum()),
            num_beyond=self._beyond,
            first=self._first,
            first_beyond=self._first_beyond,
            largest=self._largest,
            by_gap=tuple(GapCount(above, up_to, count) for above, up_to, count in counted if count),
        )
