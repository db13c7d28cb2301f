"""SJD-VP: drafts from a law tilted toward tokens whose probability rose."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from reference.drafting import DrawnFrom
from reference.methods.method import Method, Named
from reference.plain_forms import Law, OneRedraft, specifies
from scd_analysis.laws.kernels import TILT_CLIP, tilted
from scd_analysis.validate import check_at_least


@dataclass(frozen=True)
class VerificationPrediction(DrawnFrom):
    """An independent draw from a law tilted toward tokens whose probability rose: q ~ p^t w, w = (p^t / p^(t-1))^gamma.

    With ``tracked`` the tilted law is declared and the decoder is exact. Without, the draft comes from the tilt while
    p^t is declared: not exact, kept as a known fault.

    Attributes
    ----------
    gamma : float
        Strength, 0 or more; 0 is SJD.
    clip : float
        ``w`` is clipped to ``[1 / clip, clip]``.
    tracked : bool
        Whether the declared law is the one drawn from.

    Notes
    -----
    SJD-VP (arXiv:2603.27115) is known to us by its abstract; this formula is a member of that family, not the authors'.
    """

    gamma: float = 1.0
    clip: float = TILT_CLIP
    tracked: bool = True
    needs_previous: bool = True
    needs_race: bool = False

    def __post_init__(self) -> None:
        check_at_least(self.gamma, 0.0, "gamma")
        check_at_least(self.clip, 1.0, "clip")

    def laws(self, target_probs: Tensor, previous_probs: Tensor | None) -> tuple[Tensor, Tensor]:
        """Tilt; declare the tilt or the target."""
        assert previous_probs is not None
        law: Tensor = tilted(target_probs, previous_probs, self.gamma, self.clip)
        return law, law if self.tracked else target_probs

    @specifies("draft", "laws")
    def draft_one(self, slot: OneRedraft) -> tuple[int, Law]:
        """Tilt, one slot, in any arithmetic."""
        tilted = self._tilted(slot)
        return slot.draw(tilted), tilted if self.tracked else slot.target

    def _tilted(self, slot: OneRedraft) -> Law:
        if slot.previous is None or self.gamma == 0:
            return slot.target
        power = int(self.gamma) if self.gamma == int(self.gamma) else self.gamma  # keeps a Fraction a Fraction
        most, least = slot.number(self.clip), slot.number(1) / slot.number(self.clip)
        pairs = zip(slot.target, slot.previous, strict=True)
        rise = [most if q == 0 else min(most, max(least, (p / q) ** power)) for p, q in pairs]
        weights = [p * w for p, w in zip(slot.target, rise, strict=True)]
        return tuple(w / sum(weights) for w in weights)


NAMED = Named(Method("sjd-vp", VerificationPrediction()), place=6)
