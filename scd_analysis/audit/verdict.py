"""What an audit says: the outcome, the evidence behind it, and how to repeat it."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any


class Outcome(Enum):
    """The four things an audit can say. Samples alone never prove losslessness, so no outcome claims it of them."""

    REFUTED = "The subject does not sample from the target law: the evidence against it crossed ln(1/alpha)."
    NOT_REFUTED = "The evidence found no difference from the target law down to the stated resolution."
    EXACT = "The exact law of the subject equals the target law: every branch was enumerated."
    INCONCLUSIVE = "Too little evidence for the resolution asked for: allow more sequences, or ask for less."


@dataclass(frozen=True)
class Finding:
    """One way in which the subject departs from the target.

    Attributes
    ----------
    name : str
        The bettor that won, such as ``"temperature"``.
    message : str
        What its winning says, in words.
    log_e_value : float
        Its own ln E (nats), before any correction.
    significant : bool
        Whether it stands after control of the false discovery rate over all findings of the audit.
    """

    name: str
    message: str
    log_e_value: float
    significant: bool


@dataclass(frozen=True)
class Verdict:
    """The result of an audit.

    Attributes
    ----------
    outcome : Outcome
        What was decided.
    log_e_value : float
        ln E (nats) when the audit stopped; ``inf`` when a token of probability zero was seen.
    alpha : float
        The bound on the probability of refuting a lossless subject.
    num_sequences, num_tokens : int
        How much was judged, up to the sequence at which the audit stopped.
    resolution : float
        The largest, over the stated directions, of the total variation that would have been found with power 0.99.
    findings : tuple of Finding
        What the winning bettors say, largest evidence first.
    record : dict
        Everything needed to repeat the audit: seed, batch plan, versions, weights, directions of the resolution.
    """

    outcome: Outcome
    log_e_value: float
    alpha: float
    num_sequences: int
    num_tokens: int
    resolution: float
    findings: tuple[Finding, ...]
    record: dict[str, Any]

    def to_json(self) -> str:
        """Return the verdict as one JSON object; an infinite number is written as the string ``"inf"``."""
        fields = {**asdict(self), "outcome": self.outcome.name, "sentence": self.outcome.value}
        return json.dumps(_finite(fields), indent=2, sort_keys=True, allow_nan=False)

    def __str__(self) -> str:
        first = (
            f"{self.outcome.name}: ln E = {self.log_e_value:.2f} against {math.log(1 / self.alpha):.2f} "
            f"after {self.num_sequences:,} sequences ({self.num_tokens:,} tokens), resolution {self.resolution:.3g}."
        )
        return "\n".join([first, self.outcome.value, *(f"- {finding.message}" for finding in self.findings)])


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value
