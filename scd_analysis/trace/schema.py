"""What a trace holds: its variables, their units and meanings. Version 1.

A slot of the window is one position: ``position = base + slot``. Slots past the last token, slots at
the end of a window for which a pass drafted nothing, and iterations after a sequence was complete, are unused: -1 in
integer variables and NaN in the others on disk, NaN in every variable once opened with xarray, so that means and counts
skip them.
"""

from __future__ import annotations

from dataclasses import dataclass

SCHEMA_VERSION = 1

BY_SWEEP = ("sequence", "iteration")
BY_SLOT = ("sequence", "iteration", "slot")
BY_TOKEN = ("sequence", "iteration", "slot", "vocab")
BY_RANK = ("sequence", "iteration", "slot", "rank")

HALF_SCALE = 2.0**-15
"""Unit of a probability stored in half precision: one is 32,768 of them, and the smallest number above zero 1.8e-12."""


@dataclass(frozen=True)
class Variable:
    """One array of a trace.

    Attributes
    ----------
    dims : tuple of str
        Its dimensions.
    dtype : str
        On disk.
    units : str
        ``"1"`` for counts, tokens, flags and probabilities; ``"nats"`` for entropies.
    description : str
        One sentence.
    scale : float
        What a stored number is multiplied by to be the quantity; xarray does it.
    """

    dims: tuple[str, ...]
    dtype: str
    units: str
    description: str
    scale: float = 1.0

    @property
    def is_integer(self) -> bool:
        """Whether unused entries are -1 on disk rather than NaN."""
        return self.dtype.startswith("int")


VARIABLES: dict[str, Variable] = {
    "base": Variable(BY_SWEEP, "int32", "1", "Number of tokens committed before the pass; the first slot's position."),
    "num_committed": Variable(BY_SWEEP, "int32", "1", "Tokens committed by the pass, a bonus token included."),
    "bonus_token": Variable(
        BY_SWEEP, "int32", "1", "Token drawn behind the drafts, where a pass accepted all of them or made none."
    ),
    "draft_token": Variable(BY_SLOT, "int32", "1", "Token that was verified."),
    "next_token": Variable(BY_SLOT, "int32", "1", "Token after the pass: the committed one, or the next draft."),
    "accepted": Variable(BY_SLOT, "int8", "1", "1 if verification accepts the draft, taken alone; else 0."),
    "committed": Variable(BY_SLOT, "int8", "1", "1 if the pass committed the position; else 0."),
    "residual_drawn": Variable(
        BY_SLOT, "int8", "1", "1 if the committed token was drawn from the residual law; else 0."
    ),
    "age": Variable(BY_SLOT, "int32", "1", "Passes since the position entered the window; 0 for an initial draft."),
    "uniform": Variable(BY_SLOT, "float64", "1", "Acceptance variate in [0, 1)."),
    "draft_prob_of_token": Variable(BY_SLOT, "float32", "1", "Probability of the draft under its declared law."),
    "target_prob_of_token": Variable(BY_SLOT, "float32", "1", "Probability of the draft under the target law."),
    "total_variation": Variable(BY_SLOT, "float32", "1", "Total variation between draft law and target law."),
    "collision_independent": Variable(
        BY_SLOT, "float32", "1", "Probability that independent draws from draft law and target law collide."
    ),
    "collision_gumbel": Variable(
        BY_SLOT,
        "float32",
        "1",
        "Probability that draws from the two laws collide when they share Gumbel noise; to 3e-3 above 512 tokens.",
    ),
    "entropy": Variable(BY_SLOT, "float32", "nats", "Shannon entropy of the target law."),
    "renyi2": Variable(BY_SLOT, "float32", "nats", "Renyi-2 entropy of the target law."),
    "draft_probs": Variable(BY_TOKEN, "float32", "1", "Declared law of the draft."),
    "target_probs": Variable(BY_TOKEN, "float32", "1", "Law the forward pass gave for the position."),
    "draft_probs_half": Variable(BY_TOKEN, "float16", "1", "Declared law of the draft, in half precision.", HALF_SCALE),
    "target_probs_half": Variable(
        BY_TOKEN, "float16", "1", "Law the forward pass gave for the position, in half precision.", HALF_SCALE
    ),
    "draft_top_tokens": Variable(
        BY_RANK, "int32", "1", "The draft, then the other tokens most probable under its declared law."
    ),
    "draft_top_probs": Variable(BY_RANK, "float32", "1", "Probability of each of them under that law."),
    "target_top_tokens": Variable(
        BY_RANK, "int32", "1", "The draft, then the other tokens most probable under the target law."
    ),
    "target_top_probs": Variable(BY_RANK, "float32", "1", "Probability of each of them under that law."),
    "tokens": Variable(("sequence", "position"), "int32", "1", "Finished sequence."),
    "nfe": Variable(("sequence",), "int32", "1", "Forward passes until the sequence was complete."),
}

LAWS = ("draft_probs", "target_probs")
FLAGS = ("accepted", "committed", "residual_drawn")
COMPACT = (
    "draft_probs_half",
    "target_probs_half",
    "draft_top_tokens",
    "draft_top_probs",
    "target_top_tokens",
    "target_top_probs",
)
"""Laws in fewer bytes, under names of their own: who looks for laws does not take rounded ones for exact."""

SCALARS_OF_LAWS = (
    "draft_prob_of_token",
    "target_prob_of_token",
    "total_variation",
    "collision_independent",
    "collision_gumbel",
    "entropy",
    "renyi2",
)
REQUIRED = tuple(name for name in VARIABLES if name not in (*LAWS, *COMPACT))
