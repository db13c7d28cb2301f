"""What must have been tested before an audit may say ``NOT_REFUTED``: the rule, in one place.

An audit speaks for the law of finished sequences. Two things speak for it by themselves, and one of them is enough:

* *The tokens*: finished sequences, bet on against the model, down to the resolution that was asked for.
* *The conditions*: the five together, each down to that resolution, for whatever the decoder did. Drafts were drawn, so
  the law declared for them was compared; drafts were accepted or not, rejected ones replaced, bonus tokens drawn: each
  of these kinds of event was judged, at least half of the times that it happened. What did not happen needs no test: a
  decoder that drafts nothing breaks no rule on drafts, and a draft that is declared as a point mass has that law.

What is outside of a grade is not promised: a kernel has no model and draws no drafts, and an audit of a trace without a
model is one against the laws that the trace records. Where neither of the two speaks, the outcome is ``INCONCLUSIVE``,
and the verdict says what was missing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from scd_analysis.audit.bets import Process
from scd_analysis.audit.commits import Commits
from scd_analysis.conditions import Condition
from scd_analysis.evidence.batch import Longs
from scd_analysis.validate import check_known

TESTED = 0.5
"""Share of events of a kind that must have been judged."""

EVENTS = ("drafted", "drawn", "drawn first", "rejected", "bonus", "windows", "again", "carried", "survived")
"""Committed by a draft; that one drawn from a law that is no point mass, or is unknown; of those the first of a window;
rejected; bonus tokens; windows with a draft. Of the drawn ones: at a position that an earlier pass verified, too; drawn
by such a pass, by its age; and by one before the last, so that it was verified twice since it was drawn."""

POINT_MASSES = "every draft is declared as a point mass, which is its law"
NONE_SURVIVED = (
    "no draft survived two passes, so that a law that was declared for a draft that stays was never relied on; more "
    "tokens, or a wider window, show it"
)


@dataclass(frozen=True)
class Need:
    """A kind of event that a condition is about, and what judges it.

    Attributes
    ----------
    condition : Condition
    event : str
        One of :data:`EVENTS`.
    judges : tuple of Process or None
        Whose observations add up to the events that were judged; None is the comparison with the model.
    missing : str
        What was not judged, and what it takes, in words.

    Raises
    ------
    UnknownNameError
        If nothing counts such events.
    """

    condition: Condition
    event: str
    judges: tuple[Process | None, ...]
    missing: str

    def __post_init__(self) -> None:
        check_known(self.event, EVENTS, "event")


@dataclass
class Events:
    """What happened, by kind: how often.

    Attributes
    ----------
    counts : dict of str to int
        By :data:`EVENTS`.
    """

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(EVENTS, 0))

    def add(self, commits: Commits) -> None:
        """Count the events of some sequences."""
        with np.errstate(invalid="ignore"):
            drawn = commits.drafted & ~(commits.draft_prob >= 1)
        kinds = {
            "drafted": commits.drafted,
            "drawn": drawn,
            "drawn first": drawn & (commits.slot == 0),
            "rejected": commits.rejected,
            "bonus": commits.bonus,
            "windows": commits.passes.used.any(axis=-1),
            "again": drawn & (_times_verified(commits) > 1),
            "carried": drawn & (commits.age >= 1),
            "survived": drawn & (commits.age >= 2),
        }
        for kind, where in kinds.items():
            self.counts[kind] += int(where.sum())

    @property
    def declared_law_unseen(self) -> str | None:
        """Why no law that was declared for a draft could have shown to be wrong, in words; None if one could."""
        if not self.counts["drafted"]:
            return None
        if not self.counts["drawn"]:
            return POINT_MASSES
        slides = self.counts["carried"] or not self.counts["again"]  # else every pass drafts anew
        return NONE_SURVIVED if slides and not self.counts["survived"] else None


def _times_verified(commits: Commits) -> Longs:
    """By how many passes each position was verified, Long[S, N]."""
    sequence, iteration, slot = np.nonzero(commits.passes.used)
    out = np.zeros(commits.final.shape, dtype=np.int64)
    np.add.at(out, (sequence, commits.passes.slot_position[sequence, iteration, slot]), 1)
    return out


def untested(
    needs: tuple[Need, ...],
    events: Events,
    judged: dict[Process | None, int],
    outside: tuple[Condition, ...],
) -> dict[Condition, str]:
    """Say which conditions were not tested though they were promised, and what was missing.

    Parameters
    ----------
    needs : tuple of Need
        Of the rule that the decoder follows.
    events : Events
    judged : dict of Process or None to int
        Observations by process; by None, of the comparison with the model.
    outside : tuple of Condition
        What the grade does not promise.
    """
    out: dict[Condition, str] = {}
    for need in needs:
        happened = events.counts[need.event]
        if need.condition in outside or not happened:
            continue
        share = sum(judged[one] for one in need.judges) / happened
        if share < TESTED:
            partly = f" (of {1 - share:.0%})" if share > 0 else ""
            out.setdefault(need.condition, need.missing + partly)
    return out
