"""What an audit says: the outcome, the evidence behind it, and how to repeat it."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from enum import Enum
from importlib.resources import files
from typing import Any

from scd_analysis.audit.divergences import GreedyReport
from scd_analysis.common.finite import finite
from scd_analysis.conditions import Condition
from scd_analysis.evidence.certificate import Certificate


class Outcome(Enum):
    """What an audit can say. Samples alone never prove losslessness, so no outcome claims it of them."""

    REFUTED = "The subject does not sample from the target law: the evidence against it crossed ln(1/alpha)."
    NOT_REFUTED = "The evidence found no difference from the target law down to the stated resolution."
    EXACT = "The exact law of the subject equals the target law: every branch was enumerated."
    INCONCLUSIVE = "Too little was tested, or seen, to say so at the resolution asked for."
    CONTROL_REFUTED = "The control departs too: the stated law, the precision or the seeds are wrong, not speculation."


BROKEN = (
    "The subject breaks a condition on which sampling from the target law rests: the evidence against {what} crossed "
    "ln(1/alpha)."
)
EVERY_RULE, EVERY_RULE_BUT = (
    "every exact rule that is known",
    "every exact rule that is known but {hidden}, which takes recorded laws,",
)

RECORDED = (
    "The evidence found no difference from the laws that the trace records, down to the stated resolution; whether "
    "these are a model's was not asked."
)

WITHIN = {
    Outcome.REFUTED: "The law of a token given those before it is further than epsilon = {epsilon:g} from the "
    "target's, in total variation, somewhere: the evidence crossed ln(1/alpha).",
    Outcome.NOT_REFUTED: "The evidence found no law of a token given those before it that is further than epsilon = "
    "{epsilon:g} from the target's, in total variation, down to the stated resolution.",
}


GREEDY = {
    Outcome.REFUTED: "The subject is not greedy: a token lies more than the margin below the most probable one.",
    Outcome.NOT_REFUTED: "Given the subject's own tokens, none lies more than the margin below the most probable one.",
}
UNTESTED = "untested"
"""Name of a finding that says what nothing in the audit could have shown."""

DIFFERS = "The exact law of the subject is not the target law: every branch that decides it was enumerated."
LEFT_OUT = "Branches that were left out decide whether the exact law of the subject is the target law."


@dataclass(frozen=True)
class Finding:
    """One way in which the subject departs from the target, or what could not be seen.

    Attributes
    ----------
    name : str
        The bettor that won, such as ``"temperature"``; ``"untested"`` where nothing in the audit could have shown a
        condition broken.
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
class Size:
    """How much, as a total variation.

    Attributes
    ----------
    low, high : float
        Interval, at all times together, with confidence 0.95; equal where it was computed and not estimated.
    what : str
        Between which laws.
    """

    low: float
    high: float
    what: str


@dataclass(frozen=True)
class Diagnosis:
    """What broke.

    Attributes
    ----------
    condition : Condition or None
        None where tokens alone speak against the subject.
    cause : str
        The likely cause, in words.
    position, iteration : int or None
        Where the evidence is largest, or of the first violation.
    first_seen : int or None
        The sequence at which the condition's own evidence crossed the threshold, or of the first violation.
    size : Size or None
    evidence : tuple of str
        What stands behind it, strongest first.
    lead : float
        By how many nats the condition leads over the next; infinite for a check.
    """

    condition: Condition | None
    cause: str
    position: int | None
    iteration: int | None
    first_seen: int | None
    size: Size | None
    evidence: tuple[str, ...]
    lead: float


@dataclass(frozen=True)
class DriftAt:
    """Mean drift of the positions that have one number in common.

    Attributes
    ----------
    by : str
        ``"slot"``, ``"age"``, ``"position"`` or ``"rejections before"``.
    value : int
        The number; of rejections before, the largest stands for more.
    mean : float
    count : int
        Positions.
    """

    by: str
    value: int
    mean: float
    count: int


@dataclass(frozen=True)
class Drift:
    """How far the laws that a decoder used are from the model's given the finished sequence, as total variations.

    Attributes
    ----------
    mean : float
        Over the positions whose law was recorded.
    low, high : float
        Of the mean, at all times together, with confidence ``1 - delta``.
    delta : float
    count : int
        Positions.
    quantiles : tuple of (float, float)
        Shares of the positions, and what their drift is at most.
    largest : float
    of_sequences : float
        What the total variation of whole sequences is at most, over these positions, where the conditions hold.
    log_e_value : float
        ln E (nats) against "the mean is epsilon at most".
    by : tuple of DriftAt
        Means by slot, age, position and number of rejections before.
    """

    mean: float
    low: float
    high: float
    delta: float
    count: int
    quantiles: tuple[tuple[float, float], ...]
    largest: float
    of_sequences: float
    log_e_value: float
    by: tuple[DriftAt, ...]

    def __str__(self) -> str:
        tail = ", ".join(f"{share:.0%} below {value:.3g}" for share, value in self.quantiles)
        return (
            f"mean {self.mean:.3g} ({self.low:.3g} to {self.high:.3g} with confidence {1 - self.delta:g}) over "
            f"{self.count:,} positions; {tail}; largest {self.largest:.3g}; of whole sequences at most "
            f"{self.of_sequences:.3g}"
        )


@dataclass(frozen=True)
class ConditionReport:
    """Where one of the five conditions stands.

    Attributes
    ----------
    condition : Condition
    status : str
        ``"broken"`` for the one that the diagnosis names, ``"disturbed"`` where there is evidence that another one
        explains, ``"not refuted"``, or ``"not tested"`` where the subject does not show what it takes.
    log_e_value : float
        Of its strongest process (nats); infinite where something impossible happened.
    observations : int
        On which that process bet, or which were checked.
    resolution : float or None
        Total variation of one such observation that would have been found with power 0.99; None where nothing was
        estimated.
    message : str
        What the strongest process says, or what was not tested and why.
    """

    condition: Condition
    status: str
    log_e_value: float
    observations: int
    resolution: float | None
    message: str


@dataclass(frozen=True)
class Verdict:
    """The result of an audit.

    Attributes
    ----------
    outcome : Outcome
        What was decided.
    log_e_value : float
        ln E (nats) when the audit stopped; ``inf`` when something impossible was seen.
    alpha : float
        The bound on the probability of refuting a lossless subject; zero where its law was enumerated.
    num_sequences, num_tokens : int
        How much was judged, up to the sequence at which the audit was decided.
    resolution : float
        The largest, over the stated directions, of the total variation that would have been found with power 0.99.
    findings : tuple of Finding
        What the winning bettors say, largest evidence first.
    record : dict
        Everything needed to repeat the audit: seed, batch plan, versions, weights, directions of the resolution.
    conditions : tuple of ConditionReport
        The five conditions, where the subject shows more than tokens; else empty.
    diagnosis : Diagnosis or None
        What broke, for a refuted subject.
    certificate : Certificate or None
        Bounds on a total variation that hold at all times, where its cells can be counted.
    path : tuple of (int, float)
        ln E over the number of sequences, at the ends of the parts that were bet on.
    missing : tuple of str
        What an inconclusive audit lacked, one sentence each.
    rule : str or None
        The verification rule that a trace or a kernel follows, as it was stated or is recognised; ``"any"`` for an
        exact one that is not known. None where tokens alone were judged, and where no rule stands.
    log_e_by_rule : tuple of (str, float)
        ln E (nats) of the conditions under every rule that was asked.
    greedy : GreedyReport or None
        How far the tokens are from the most probable ones, where the subject was judged as greedy.
    epsilon : float
        The null: every law of a token given those before it lies within this total variation of the target's.
    epsilon_refuted : float or None
        A lower bound on the largest of these total variations, at all times together, with confidence ``1 - alpha``;
        zero where none was refuted, None where none was asked.
    log_e_by_epsilon : tuple of (float, float)
        ln E (nats) against every epsilon that was asked about, at its largest.
    drift : Drift or None
        Of the laws that a trace records, where epsilon is above zero.
    """

    outcome: Outcome
    log_e_value: float
    alpha: float
    num_sequences: int
    num_tokens: int
    resolution: float
    findings: tuple[Finding, ...]
    record: dict[str, Any]
    conditions: tuple[ConditionReport, ...] = ()
    diagnosis: Diagnosis | None = None
    certificate: Certificate | None = None
    path: tuple[tuple[int, float], ...] = ()
    missing: tuple[str, ...] = ()
    rule: str | None = None
    log_e_by_rule: tuple[tuple[str, float], ...] = ()
    greedy: GreedyReport | None = None
    epsilon: float = 0.0
    epsilon_refuted: float | None = None
    log_e_by_epsilon: tuple[tuple[float, float], ...] = ()
    drift: Drift | None = None

    @property
    def condition(self) -> Condition | None:
        """The condition that broke, if one is named."""
        return self.diagnosis.condition if self.diagnosis is not None else None

    @property
    def middle(self) -> str:
        """What balls are around, in words."""
        return "the target's"

    @property
    def is_enumerated(self) -> bool:
        """Whether it comes from an exact law and not from samples."""
        return self.record.get("grade") == "exact"

    @property
    def is_greedy(self) -> bool:
        """Whether it was judged as greedy decoding, and not as sampling."""
        return self.record.get("grade") == "greedy"

    @property
    def fails_to(self) -> str:
        """What a refuted subject does not do, in words that go behind its name."""
        if self.is_greedy:
            return "does not decode greedily"
        if self.epsilon:
            return f"does not sample within epsilon = {self.epsilon:g} of its target law"
        return "does not sample from its target law"

    @property
    def is_rule_stated(self) -> bool:
        """Whether its rule was stated, and not recognised."""
        rules = self.record.get("rules")
        return self.rule is not None and isinstance(rules, dict) and rules.get("stated") == self.rule

    @property
    def sentence(self) -> str:
        """The outcome in words; where a condition is named, the evidence is against that condition.

        A subject that is not refuted is told with what nothing in the audit could have shown.
        """
        unseen = [finding.message for finding in self.findings if finding.name == UNTESTED]
        return " ".join([self._outcome_in_words, *(f"{what[0].upper()}{what[1:]}." for what in unseen)])

    @property
    def _outcome_in_words(self) -> str:
        if self.is_enumerated:
            return {Outcome.REFUTED: DIFFERS, Outcome.INCONCLUSIVE: LEFT_OUT}.get(self.outcome, self.outcome.value)
        if self.is_greedy and self.outcome in GREEDY:
            return GREEDY[self.outcome]
        if self.condition is not None and self.record.get("grade") not in ("kernel", "samples"):
            return BROKEN.format(what=f"the rule {self.rule!r}" if self.is_rule_stated else self._every_rule)
        if self.outcome is Outcome.NOT_REFUTED and self.record.get("target_laws") == "recorded":
            return RECORDED
        if self.epsilon and self.outcome in WITHIN:
            return WITHIN[self.outcome].format(epsilon=self.epsilon)
        return self.outcome.value

    @property
    def _every_rule(self) -> str:
        """The rules that were asked, in words."""
        rules = self.record.get("rules")
        hidden = rules.get("hidden") if isinstance(rules, dict) else None
        return EVERY_RULE_BUT.format(hidden=", ".join(map(repr, hidden))) if hidden else EVERY_RULE

    @property
    def is_refuted(self) -> bool:
        """Whether the outcome is that one."""
        return self.outcome is Outcome.REFUTED

    @property
    def amount(self) -> str:
        """How much evidence there is, and of how much, in words."""
        if self.is_enumerated:
            found = f"{self.record['branches']:,} branches and {self.record['outcomes']:,} outcomes"
            return f"total variation {distance_in_words(self.record)} from the target law, by {found}"
        return (
            f"ln E = {self.log_e_value:.2f} against {math.log(1 / self.alpha):.2f} after {self.num_sequences:,} "
            f"sequences ({self.num_tokens:,} tokens), resolution {self.resolution:.3g}"
        )

    def to_json(self) -> str:
        """Return the verdict as one JSON object; an infinite number is written as the string ``"inf"``."""
        fields = {**asdict(self), "sentence": self.sentence}
        return json.dumps(finite(fields), indent=2, sort_keys=True, allow_nan=False)

    def __str__(self) -> str:
        lines = [f"{self.outcome.name}: {self.amount}.", self.sentence]
        lines += [f"Missing: {what}." for what in self.missing]
        if self.diagnosis is not None:
            lines += _diagnosis_lines(self.diagnosis)
        lines += [f"{report.condition.value}: {report.status} ({report.message})" for report in self.conditions]
        if self.rule is not None:
            lines.append(f"Rule: {self.rule} ({'stated' if self.is_rule_stated else 'recognised'}).")
        if self.greedy is not None:
            lines.append(str(self.greedy))
        if self.certificate is not None:
            lines.append(f"Certificate: {self.certificate}.")
        if self.epsilon_refuted or (self.epsilon and self.epsilon_refuted is not None):
            lines.append(f"Size: {size_in_words(self)}.")
        if self.drift is not None:
            lines.append(f"Drift: {self.drift}.")
        told = [finding for finding in self.findings if finding.significant]  # the rest would read as claims
        if self.outcome is Outcome.REFUTED:
            told = told or list(self.findings[:1])
        return "\n".join([*lines, *(f"- {finding.message}" for finding in told)])


def verdict_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of :meth:`Verdict.to_json`, of one arm or two.

    It says which keys there are, of which kinds, and what they mean. Keys that it does not name are allowed: those that
    a later version writes. That numbers agree with each other is checked where a verdict is read
    (:func:`scd_analysis.report.load.read_verdict`).
    """
    stored: dict[str, Any] = json.loads((files("scd_analysis") / "verdict.schema.json").read_text(encoding="utf-8"))
    return stored


def distance_in_words(record: dict[str, Any]) -> str:
    """The total variation of an enumerated law, or its bounds."""
    low, high = record["total_variation"]
    return f"{high:.6g}" if low == high else f"between {low:.6g} and {high:.6g}"


def size_in_words(verdict: Verdict) -> str:
    """What is known from below of the largest total variation of a conditional law."""
    if not verdict.epsilon_refuted:
        return f"no total variation of a token's law from {verdict.middle} is refuted"
    return (
        f"some token's law is further than {verdict.epsilon_refuted:g} from {verdict.middle}, in total variation, with "
        f"confidence {1 - verdict.alpha:g}"
    )


def _diagnosis_lines(diagnosis: Diagnosis) -> list[str]:
    name = "no single condition" if diagnosis.condition is None else diagnosis.condition.value
    places = {
        "position": diagnosis.position,
        "iteration": diagnosis.iteration,
        "first seen in sequence": diagnosis.first_seen,
    }
    where = ", ".join(f"{what} {value}" for what, value in places.items() if value is not None)
    lines = [f"Broken: {name} - {diagnosis.cause}" + (f" ({where})" if where else "")]
    if diagnosis.size is not None:
        low, high = diagnosis.size.low, diagnosis.size.high
        amount = f"{low:.3g}" if low == high else f"between {low:.3g} and {high:.3g}"
        lines.append(f"Size: total variation {amount}; {diagnosis.size.what}.")
    return lines
