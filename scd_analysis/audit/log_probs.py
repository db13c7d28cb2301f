"""The audit of reported log-probabilities by themselves: whether they are a model's, and which ones.

An engine that samples rightly may report another law than the one it samples from: before its processors or after them,
of another precision, or of the row beside. Nothing is bet on: both numbers are there, and are compared.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

import numpy as np

from scd_analysis.audit.adapters.reported_rows import Reported, reported_rows
from scd_analysis.audit.processing import Entries, Processing, recognise
from scd_analysis.audit.target import Target
from scd_analysis.common.finite import finite
from scd_analysis.errors import InputError
from scd_analysis.evidence.batch import Floats, Longs
from scd_analysis.validate import check_between, check_tokens

TOLERANCE = 1e-3
"""Total variation of two computations of one law in float32, and much to spare."""

RECOGNISED_BY = 2**22
"""Probabilities that a processing is recognised by, at most: the first positions."""

MOST_NAMED = 20
"""Rows that are named in words, of those that lack something."""


class LogProbsOutcome(Enum):
    """What an audit of reported log-probabilities says."""

    AGREE = "The reported log-probabilities are the model's, within the tolerance."
    PROCESSED = "The reported log-probabilities are not the model's, but those of its laws after a processing."
    DIFFER = "The reported log-probabilities are neither the model's nor a processing of them that is known."
    INCOMPLETE = "What is reported agrees, but of some positions nothing is."


@dataclass(frozen=True)
class Drift:
    """How far reported laws are from a model's.

    Attributes
    ----------
    mean, largest : float
        Total variation of a position, with tokens that are not listed as one cell.
    row : str
        Where it is largest.
    sequence, position, token : int
        The token of that position whose probabilities differ most.
    reported, expected : float
        Their logarithms, nats.
    """

    mean: float
    largest: float
    row: str
    sequence: int
    position: int
    token: int
    reported: float
    expected: float

    def __str__(self) -> str:
        return (
            f"total variation {self.mean:.3g} a position in the mean, {self.largest:.3g} at most, at position "
            f"{self.position} of {self.row}: token {self.token} is reported at {self.reported:.6g}, expected at "
            f"{self.expected:.6g}"
        )


@dataclass(frozen=True)
class Lacking:
    """A row of which something is not reported.

    Attributes
    ----------
    row : str
    positions : tuple of int
    of : int
        How many the row has.
    """

    row: str
    positions: tuple[int, ...]
    of: int

    def __str__(self) -> str:
        if len(self.positions) == self.of:
            return f"{self.row}: all {self.of} positions"
        some = ", ".join(map(str, self.positions[:5])) + (", ..." if len(self.positions) > 5 else "")
        return f"{self.row}: position{'s' if len(self.positions) > 1 else ''} {some} of {self.of}"


@dataclass(frozen=True)
class LogProbsReport:
    """The result of an audit of reported log-probabilities.

    Attributes
    ----------
    outcome : LogProbsOutcome
    tolerance : float
        Total variation of a position up to which two laws are the same.
    num_sequences, num_positions, num_numbers : int
        Rows, positions of which something is reported, and numbers that were compared.
    raw : Drift
        From the model's laws.
    processing : Processing
        What the reported laws look like.
    processed : Drift
        From the model's laws after it.
    missing : tuple of Lacking
    """

    outcome: LogProbsOutcome
    tolerance: float
    num_sequences: int
    num_positions: int
    num_numbers: int
    raw: Drift
    processing: Processing
    processed: Drift
    missing: tuple[Lacking, ...] = ()

    @property
    def sentence(self) -> str:
        """The outcome in words."""
        return self.outcome.value

    def to_json(self) -> str:
        """Return it as one JSON object; an infinite number is written as a string."""
        fields = {**asdict(self), "audit": "log-probs", "outcome": self.outcome.name, "sentence": self.sentence}
        fields["processing"] |= {"words": str(self.processing)}
        return json.dumps(finite(fields), indent=2, sort_keys=True, allow_nan=False)

    def __str__(self) -> str:
        lines = [
            f"{self.outcome.name}: {self.num_numbers:,} numbers of {self.num_positions:,} positions in "
            f"{self.num_sequences:,} rows, tolerance {self.tolerance:g}.",
            self.sentence,
            f"From the model's laws: {self.raw}.",
        ]
        if not self.processing.is_raw:
            lines.append(f"After {self.processing}: {self.processed}.")
        lines += [f"Missing: {lacking}." for lacking in self.missing[:MOST_NAMED]]
        if len(self.missing) > MOST_NAMED:
            lines.append(f"Missing: something of {len(self.missing) - MOST_NAMED:,} further rows.")
        return "\n".join(lines)


def audit_log_probs(recorded: Any, model: Any, *, tolerance: float = TOLERANCE) -> LogProbsReport:
    """Compare the log-probabilities that an engine reports with a model's own, on the engine's tokens.

    Parameters
    ----------
    recorded : path or iterable of mapping
        A recorded file, or rows as one has them: ``tokens``, and ``logprobs`` (V numbers a token, or the drawn token's
        alone) or ``top_logprobs`` (with ``top_tokens``, or as mappings); natural logarithms. Rows and positions that
        lack them are named in the result. All continue one prompt, the model's.
    model : TargetModel
        Whose laws they should be: those before the logits processors, or after them.
    tolerance : float
        Total variation of a position up to which two laws are the same.

    Returns
    -------
    LogProbsReport
        Also where they differ: how much, where most, and whether they are the model's after a temperature, top-k or
        top-p (and the model's own those before it, where the model has the processors).

    Raises
    ------
    InputError
        If the file or the model is not what the contract says, rows have several prompts, or nothing is reported.
    """
    check_between(tolerance, 0, 1, "tolerance", open_ends=True)
    target = model if isinstance(model, Target) else Target(model)
    rows = list(reported_rows(recorded))
    _check(rows, target)
    processing = recognise(_first(rows, target))
    raw, processed = _Largest(), _Largest()
    for number, row, entries in _compared(rows, target):
        raw.add(number, row, entries, entries.laws)
        processed.add(number, row, entries, processing(entries.laws))
    missing = tuple(Lacking(row.where, row.missing, len(row.tokens)) for row in rows if row.missing)
    found = raw.drift(), processed.drift()
    if found[0].largest <= tolerance:
        outcome = LogProbsOutcome.INCOMPLETE if missing else LogProbsOutcome.AGREE
        processing, found = Processing(), (found[0], found[0])
    else:
        known = not processing.is_raw and found[1].largest <= tolerance
        outcome = LogProbsOutcome.PROCESSED if known else LogProbsOutcome.DIFFER
    return LogProbsReport(
        outcome, tolerance, len(rows), raw.positions, raw.numbers, found[0], processing, found[1], missing
    )


def _check(rows: list[Reported], target: Target) -> None:
    if not rows:
        raise InputError("recorded: holds no sequence")
    for row in rows:
        if row.prompt != rows[0].prompt:
            raise InputError(f"{row.where} and {rows[0].where}: have two prompts; compare those of each with its model")
        if len(row.tokens) > target.num_tokens:
            raise InputError(f"{row.where}: tokens has {len(row.tokens)} entries, the model {target.num_tokens}")
        check_tokens(row.tokens, target.vocab_size, f"{row.where}: tokens")
        for j, position in enumerate(row.positions):
            if position is not None:
                check_tokens(position[0], target.vocab_size, f"{row.where}: reported tokens[{j}]")
    if not any(position is not None for row in rows for position in row.positions):
        raise InputError(f"{rows[0].where}: no row reports a log-probability")


def _compared(rows: list[Reported], target: Target) -> Iterator[tuple[int, Reported, Entries]]:
    """Every row that reports something, with the model's laws of those positions."""
    at_once = target.sequences_at_once
    for start in range(0, len(rows), at_once):
        block = rows[start : start + at_once]
        tokens = np.zeros((len(block), target.num_tokens), dtype=np.int64)
        for i, row in enumerate(block):
            tokens[i, : len(row.tokens)] = row.tokens
        for i, (row, laws) in enumerate(zip(block, target.laws(tokens), strict=True)):
            if len(row.missing) < len(row.tokens):
                yield start + i, row, _entries(row, laws)


def _entries(row: Reported, laws: Floats) -> Entries:
    there = [j for j, position in enumerate(row.positions) if position is not None]
    listed = [position for position in row.positions if position is not None]
    place = np.repeat(np.arange(len(there)), [len(tokens) for tokens, _ in listed])
    tokens, logs = (np.concatenate(part) for part in zip(*listed, strict=True))
    return Entries(laws[there], place, tokens, logs)


def _first(rows: list[Reported], target: Target) -> Entries:
    """Entries of the first positions, together."""
    parts, size = list[Entries](), 0
    for _, _, entries in _compared(rows, target):
        parts.append(entries)
        size += entries.laws.size
        if size >= RECOGNISED_BY:
            break
    starts = np.cumsum([0, *(len(part.laws) for part in parts[:-1])])
    position = [part.position + start for part, start in zip(parts, starts, strict=True)]
    return Entries(
        np.concatenate([part.laws for part in parts]),
        np.concatenate(position),
        np.concatenate([part.token for part in parts]),
        np.concatenate([part.log_prob for part in parts]),
    )


class _Largest:
    """Adds drift up, and keeps where it is largest."""

    def __init__(self) -> None:
        self.positions = self.numbers = 0
        self._total, self._largest = 0.0, -1.0
        self._at: tuple[str, int, int, int, float, float] = ("", 0, 0, 0, 0.0, 0.0)

    def add(self, number: int, row: Reported, entries: Entries, laws: Floats) -> None:
        variation = entries.variation(laws)
        self.positions += len(variation)
        self.numbers += len(entries.token)
        self._total += float(variation.sum())
        place = int(variation.argmax())
        if variation[place] > self._largest:
            self._largest = float(variation[place])
            self._at = (row.where, number, *_worst(row, entries, laws, place))

    def drift(self) -> Drift:
        return Drift(self._total / max(self.positions, 1), self._largest, *self._at)


def _worst(row: Reported, entries: Entries, laws: Floats, place: int) -> tuple[int, int, float, float]:
    """Position, token, and both logarithms, where a position's probabilities differ most."""
    own: Longs = np.flatnonzero(entries.position == place)
    token, told = entries.token[own], entries.log_prob[own]
    expected = laws[place, token]
    k = int(np.abs(np.exp(told) - expected).argmax())
    position = [j for j, found in enumerate(row.positions) if found is not None][place]
    log = math.log(expected[k]) if expected[k] > 0 else -math.inf
    return position, int(token[k]), float(told[k]), log
