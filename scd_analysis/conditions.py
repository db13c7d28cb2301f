"""The five conditions under which a speculative Jacobi decoder is lossless, by name.

Write F_<j for everything drawn at positions before j, at all iterations. A decoder that fulfils all five at every
position j, and commits exactly the positions up to and including the first rejection, samples from its target law: the
draft committed on has the declared law given F_<j, modified rejection sampling turns that into the target's
conditional, and the chain rule does the rest.
"""

from __future__ import annotations

from enum import StrEnum


class Condition(StrEnum):
    """One of the five conditions."""

    DECLARED_LAW = "declared-law"
    SELECTION = "selection"
    VERIFICATION = "verification"
    TARGET = "target"
    INDEPENDENCE = "independence"

    @property
    def statement(self) -> str:
        """What it asks, in one sentence."""
        return _STATEMENTS[self]

    @property
    def order(self) -> int:
        """Place among the five."""
        return list(Condition).index(self)


_STATEMENTS = {
    Condition.DECLARED_LAW: "a draft has the law declared for it, which never depends on its own position's history",
    Condition.SELECTION: "whether a position is committed now depends on earlier positions only",
    Condition.VERIFICATION: "a draft is accepted with probability min(1, p/q), else redrawn from (p - q)+, freshly",
    Condition.TARGET: "the law verified against is the model's conditional on the final prefix",
    Condition.INDEPENDENCE: "the noise of a position is independent of every other's",
}
