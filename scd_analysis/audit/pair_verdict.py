"""What an audit of two arms says."""

from __future__ import annotations

from dataclasses import dataclass

from scd_analysis.audit.verdict import Outcome, Verdict

GRADE = "pair"

TOKEN_FOR_TOKEN = "With equal seeds both arms gave the same tokens in every sequence."

SENTENCES = {
    Outcome.REFUTED: (
        "The arms sample from different laws: the evidence against one law of both crossed ln(1/alpha), whatever the "
        "target law is."
    ),
    Outcome.NOT_REFUTED: "The evidence found no difference between the arms down to the stated resolution.",
    Outcome.CONTROL_REFUTED: (
        "The control, speculation off, is refuted by itself: the stated law, the precision or the seeds are wrong, and "
        "not speculation."
    ),
    Outcome.INCONCLUSIVE: "Too little was seen of both arms to say so at the resolution asked for.",
}

WITHIN = {
    Outcome.REFUTED: "After some tokens the law of the next one in one arm is further than epsilon = {epsilon:g} from "
    "that in the other: the evidence against arms within epsilon of each other crossed ln(1/alpha).",
    Outcome.NOT_REFUTED: "The evidence found no law of a token given those before it that is further than epsilon = "
    "{epsilon:g} in one arm from that in the other, in total variation, down to the stated resolution.",
    Outcome.CONTROL_REFUTED: "The control, speculation off, is refuted by itself at epsilon = {epsilon:g}: the stated "
    "law, the precision or the seeds are wrong, and not speculation.",
}


@dataclass(frozen=True)
class PairVerdict(Verdict):
    """The result of an audit of two arms, speculation on and off; what :class:`Verdict` has is about their difference.

    Attributes
    ----------
    control : Verdict or None
        Of speculation off against the model, where there is one.
    speculation : Verdict or None
        Of speculation on against the model. It decides nothing by itself: a law or a precision that both arms share
        may refute it.
    log_e_control : float
        ln E (nats) that sequences of the control depend on their neighbours, for which no model is needed.
    equal_seeds : tuple of (int, int)
        Sequences that were the same with equal seeds, and how many were compared so.
    """

    control: Verdict | None = None
    speculation: Verdict | None = None
    log_e_control: float = 0.0
    equal_seeds: tuple[int, int] = (0, 0)

    @property
    def sentence(self) -> str:
        """The outcome in words."""
        if self.outcome is Outcome.NOT_REFUTED and self.record.get("path", {}).get("taken") == "token for token":
            return TOKEN_FOR_TOKEN
        if self.epsilon and self.outcome in WITHIN:
            return WITHIN[self.outcome].format(epsilon=self.epsilon)
        return SENTENCES[self.outcome]

    @property
    def middle(self) -> str:
        """What balls are around."""
        return "that in the other arm"

    def notes(self) -> tuple[str, ...]:
        """What was compared beside the two arms, one sentence each."""
        same, compared = self.equal_seeds
        out = [f"Equal seeds: {same:,} of {compared:,} sequences were the same."] if compared else []
        named = {
            "Control (speculation off) against the model": self.control,
            "Speculation on against the model": self.speculation,
        }
        out += [f"{name}: {one.outcome.name}, {one.amount}." for name, one in named.items() if one is not None]
        if self.outcome is Outcome.CONTROL_REFUTED and (self.control is None or not self.control.is_refuted):
            out.append(
                f"Control: its sequences depend on their neighbours (ln E = {self.log_e_control:.2f}), as where they "
                "share a seed; a comparison needs independent ones."
            )
        return tuple(out)

    def __str__(self) -> str:
        head, *rest = super().__str__().split("\n")
        return "\n".join([head, rest[0], *self.notes(), *rest[1:]])
