"""What to decode with, as a value: a drafting rule, how positions start, how drafts are verified, and greediness."""

from __future__ import annotations

from dataclasses import dataclass, replace

from reference.drafting import DraftingRule
from reference.verification import MRS, VerificationRule
from scd_analysis.errors import InputError
from scd_analysis.validate import check_known

INITIAL_DRAFTS = ("uniform", "left", "upper")
INITIAL_LAWS = ("point", "uniform")


@dataclass(frozen=True)
class Method:
    """A decoder's settings.

    Attributes
    ----------
    name : str
        For reports.
    drafting : DraftingRule or None
        How positions are redrafted; None drafts nothing: one token a pass, ancestral sampling.
    initial : str or None
        First draft of a position: ``"uniform"`` over the vocabulary, or a copy of the ``"left"`` or ``"upper"``
        neighbour (the left one, where nothing lies above). A copy needs something to copy: with these the first pass
        drafts nothing and draws one token. None is ``"left"`` for a model with a grid, else ``"uniform"``. ``"upper"``
        needs the grid's width, and on images is quicker still, the less so the wider the window.
    verification : VerificationRule
        How drafts are verified; only modified rejection sampling is lossless for every draft.
    initial_law : str
        The law declared for first drafts: ``"point"``, the point mass on the draft, right however it was found; or
        ``"uniform"``, right only where it was drawn so.
    greedy : bool
        Replace every target law by the point mass on its most probable token (the first, if tied).
    lossless : bool
        Whether theory says that the output law is the target's.
    """

    name: str
    drafting: DraftingRule | None
    initial: str | None = None
    greedy: bool = False
    lossless: bool = True
    verification: VerificationRule = MRS
    initial_law: str = "point"

    def __post_init__(self) -> None:
        if self.drafting is not None and not hasattr(self.drafting, "draft"):
            raise InputError(f"drafting = {self.drafting!r}: must be a drafting rule or None")
        if self.initial is not None:
            check_known(self.initial, INITIAL_DRAFTS, "initial")
        check_known(self.initial_law, INITIAL_LAWS, "initial_law")

    @property
    def needs_race(self) -> bool:
        """Whether positions need exponentials of their own."""
        return self.verification.needs_race or (self.drafting is not None and self.drafting.needs_race)

    @property
    def copies(self) -> bool:
        """Whether first drafts are copies, once settled for a model: then the first pass drafts nothing."""
        return self.initial in ("left", "upper")

    def for_grid(self, grid: tuple[int, int] | None) -> Method:
        """The method with its initial drafts settled for a model with this (height, width), or with none.

        Raises
        ------
        InputError
            If the upper neighbour is asked for where there is no grid.
        """
        if self.initial == "upper" and grid is None:
            raise InputError("initial = 'upper': needs a model with a grid (height, width)")
        return replace(self, initial=self.initial or ("uniform" if grid is None else "left"))


@dataclass(frozen=True)
class Named:
    """A method that is found by its name; a file of this folder holds one as ``NAMED``.

    Attributes
    ----------
    method : Method
    place : int, optional
        Where it stands among the others; those without one come last, in alphabetical order of their files.
    """

    method: Method
    place: int | None = None

    @property
    def name(self) -> str:
        """The method's."""
        return self.method.name
