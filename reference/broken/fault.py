"""What a planted fault is: how to run it in batches, how to write out its law, and what an audit must say of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from reference.decoder import DecodeOutput, decode
from reference.drafting import DraftingRule, Independent
from reference.methods import Method
from reference.models.base import TargetModel
from reference.models.tabular import TabularModel
from reference.plain import PlainDecoder, plain_decoder
from reference.verification import MRS, VerificationRule
from scd_analysis.conditions import Condition


def small_model() -> TargetModel:
    """Four tokens over a vocabulary of three: small enough to write out, large enough to go wrong."""
    return TabularModel.random(vocab_size=3, num_tokens=4, concentration=0.7, seed=0)


def same(model: TargetModel) -> TargetModel:
    """The model itself: a decoder without a fault of the kind *target*."""
    return model


SJD = Independent()
Run = Callable[["Fault", TargetModel, int, int, int, str | None], DecodeOutput]


@dataclass(frozen=True)
class Fault:
    """A decoder that is wrong in one way.

    Attributes
    ----------
    name : str
        As in ``faults()``.
    condition : Condition
        What is broken, hence what an audit of a trace must name.
    summary : str
        What it does, in one sentence.
    source : str
        Where it is seen: a paper and how well we know it, or code.
    drafting, verification
        What it decodes with; those of SJD unless one of them is the fault.
    of : Method or None
        Another decoder than of these two, as where a right one asks the wrong model.
    plain : type
        Its plain twin, for the exact law.
    corrupt : callable
        From the target model to the one that the decoder really uses.
    window : int
        L at which the fault shows on that model.
    model : callable
        Makes a small model on which the fault shows.
    run : callable or None
        ``(fault, model, window, num_sequences, seed, record) -> DecodeOutput`` where ``decode`` does not do.
    rival : bool
        Whether it is a published rule that does not claim to be lossless, rather than a slip.
    same_noise : bool
        Whether the plain twin draws from the same variates, and so gives the same tokens.
    """

    name: str
    condition: Condition
    summary: str
    source: str
    drafting: DraftingRule = SJD
    verification: VerificationRule = MRS
    of: Method | None = None
    plain: type[PlainDecoder] = PlainDecoder
    corrupt: Callable[[TargetModel], TargetModel] = same
    model: Callable[[], TargetModel] = small_model
    window: int = 3
    run: Run | None = None
    rival: bool = False
    same_noise: bool = True
    verdict: str = field(default="REFUTED", init=False)

    @property
    def method(self) -> Method:
        """The decoder."""
        return self.of or Method(self.name, self.drafting, verification=self.verification, lossless=False)

    def decode(
        self, model: TargetModel, window: int, num_sequences: int, seed: int, record: str | None = None
    ) -> DecodeOutput:
        """Draw sequences, wrongly; arguments as for :func:`reference.decode`."""
        if self.run is not None:
            return self.run(self, model, window, num_sequences, seed, record)
        return decode(self.corrupt(model), self.method, window, num_sequences, seed, record, progress=False)

    def subject(self, window: int = 3) -> Callable[[Any, int, int], Any]:
        """As a subject of an audit of samples: ``(model, num_sequences, seed) -> Long[num_sequences, N]``."""
        return lambda model, num_sequences, seed: self.decode(model, window, num_sequences, seed).tokens

    def traced(self, window: int = 3, record: str = "laws") -> Callable[[Any, int, int], Any]:
        """As a subject of an audit of traces: ``(model, num_sequences, seed) -> xarray.Dataset``."""
        return lambda model, num_sequences, seed: self.decode(model, window, num_sequences, seed, record).trace

    def loop(self, model: TargetModel, window: int = 3) -> PlainDecoder:
        """One sequence, step by step, for ``scd_analysis.exact_law``."""
        return plain_decoder(self.corrupt(model), self.method, window, self.plain)
