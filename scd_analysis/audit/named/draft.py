"""The draft model as the audit sees it: the law that every draft has, given the tokens before it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from scd_analysis.audit.named.fault import DRAFT
from scd_analysis.audit.target import Target
from scd_analysis.errors import InputError
from scd_analysis.evidence.batch import Batch
from scd_analysis.evidence.tabulated import Tabulated


class DraftModel(Target):
    """A draft model behind the ``TargetModel`` contract.

    Parameters
    ----------
    model : TargetModel
        Over the target's vocabulary; it gives the law of as many tokens at least.
    target : Target
        Whose sequences are judged.
    timeout : float, optional
        Seconds that one call of it may take.

    Raises
    ------
    InputError
        If the model lacks a part of the contract, has another vocabulary, or stops before the target does.
    """

    def __init__(self, model: Any, target: Target, timeout: float | None = None) -> None:
        super().__init__(model, timeout, "draft_model")
        if self.vocab_size != target.vocab_size:
            raise InputError(
                f"draft_model.vocab_size = {self.vocab_size}: the target has {target.vocab_size}; a draft model of "
                "another vocabulary is stated by its laws over the target's"
            )
        if self.num_tokens < target.num_tokens:
            raise InputError(
                f"draft_model.num_tokens = {self.num_tokens}: the target's sequences have {target.num_tokens}, and "
                "each of their tokens needs a draft law"
            )

    def _write_out(self) -> Tabulated:
        """Write the laws out; none follow from them."""
        return Tabulated(self._rows(), {})

    def beside(self, batch: Batch) -> Batch:
        """Return the batch with the draft laws of its tokens."""
        return replace(batch, companions={**batch.companions, DRAFT: self.laws(batch.tokens)})
