"""Numbers and verdicts in words."""

from __future__ import annotations

import math

from scd_analysis.audit.pair_verdict import PairVerdict
from scd_analysis.audit.verdict import Outcome, Verdict, distance_in_words

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

WORD = {
    Outcome.REFUTED: "Refuted",
    Outcome.NOT_REFUTED: "Not refuted",
    Outcome.EXACT: "Exact",
    Outcome.INCONCLUSIVE: "Inconclusive",
    Outcome.CONTROL_REFUTED: "Control refuted",
}

MARK = {
    Outcome.REFUTED: "✗",
    Outcome.NOT_REFUTED: "✓",
    Outcome.EXACT: "=",
    Outcome.INCONCLUSIVE: "?",
    Outcome.CONTROL_REFUTED: "!",
}


def number(value: float | None, digits: int = 3) -> str:
    """A number in ``digits`` significant digits; a dash for None or NaN."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:.{digits}g}".replace("-", "−")


def nats(value: float) -> str:
    """A value of ln E, with two decimals."""
    return f"{value:.2f}".replace("-", "−") if math.isfinite(value) else number(value)


def rate(value: float) -> str:
    """A probability: ``10⁻⁶`` for a power of ten below a hundredth, else in digits."""
    exponent = round(math.log10(value))
    if exponent <= -3 and math.isclose(value, 10.0**exponent):
        return "10" + str(exponent).translate(_SUPERSCRIPT)
    return f"{value:.3g}"


def count(many: int, what: str) -> str:
    """``1 sequence``, ``2,000 sequences``."""
    return f"{many:,} {what}" if many == 1 else f"{many:,} {what}s"


def _enumerated(verdict: Verdict, name: str) -> tuple[str, str, str]:
    """The headline where the law itself is known."""
    apart = distance_in_words(verdict.record)
    said = {
        Outcome.EXACT: f": every branch of {name} was enumerated, and its law is the target law",
        Outcome.REFUTED: f": the exact law of {name} is off its target law by a total variation of {apart}",
        Outcome.INCONCLUSIVE: f": the total variation of {name} from its target law lies {apart}",
    }
    return WORD[verdict.outcome], said[verdict.outcome], " (nothing was drawn, so no error rate applies)."


def _compared(verdict: PairVerdict, name: str) -> tuple[str, str, str]:
    """The headline where two arms were compared."""
    first, seen = WORD[verdict.outcome], count(verdict.num_sequences, "pair")
    said = {
        Outcome.REFUTED: f": {name} samples another law with speculation on than with it off",
        Outcome.NOT_REFUTED: f": {seen} of {name} show no difference between speculation on and off",
        Outcome.CONTROL_REFUTED: f": {name} is refuted with speculation off already, so that speculation is not judged",
        Outcome.INCONCLUSIVE: f": {seen} of {name} do not decide. Missing: {'; '.join(verdict.missing)}",
    }
    if verdict.outcome is Outcome.NOT_REFUTED:
        first = f"{first} at resolution {number(verdict.resolution)}"
    alarm = f" (arms that have one law are refuted with probability at most {rate(verdict.alpha)})."
    return first, said[verdict.outcome], alarm


def headline(verdict: Verdict, name: str) -> tuple[str, str, str]:
    """The verdict on ``name`` in one sentence: its first words, what they mean, and the error rate."""
    if verdict.is_enumerated:
        return _enumerated(verdict, name)
    if isinstance(verdict, PairVerdict):
        return _compared(verdict, name)
    seen, size = count(verdict.num_sequences, "sequence"), number(verdict.resolution)
    alarm = f" (a lossless decoder is refuted with probability at most {rate(verdict.alpha)})."
    first = WORD[verdict.outcome]
    match verdict.outcome:
        case Outcome.REFUTED:
            broken = verdict.fails_to
            if verdict.condition is not None:
                broken = (
                    f"breaks the condition of {verdict.condition.value}, on which sampling from its target law rests"
                )
            return first, f": {name} {broken}", alarm
        case Outcome.NOT_REFUTED:
            if verdict.is_greedy and verdict.greedy is not None:
                return first, f": {name} decodes greedily in {seen}, within {verdict.greedy.margin:g} nats", "."
            beyond = f" of more than epsilon = {verdict.epsilon:g}" if verdict.epsilon else ""
            shown = (
                f": {seen} of {name} show no departure{beyond} from the target law, and one of that size would have "
                "been found with probability 0.99"
            )
            return f"{first} at resolution {size}", shown, alarm
        case Outcome.EXACT:
            return first, f": every branch of {name} was enumerated, and its law is the target law", "."
        case Outcome.INCONCLUSIVE if verdict.missing:
            return first, f": {seen} do not refute {name}. Missing: {'; '.join(verdict.missing)}", alarm
        case _:
            wanted = verdict.record.get("resolution_wanted")
            asked = f", and {number(wanted)} was asked for" if isinstance(wanted, float) else ""
            shown = f": {seen} do not refute {name}, but would have shown only departures of {size} or more{asked}"
            return first, shown, alarm
