"""Selection: whether a position is committed now depends on earlier positions only."""

from __future__ import annotations

import numpy as np

from scd_analysis.audit.bets import RARELY, Bet, Process, Rank, leaning
from scd_analysis.audit.checks import Check, Found, Recorded
from scd_analysis.audit.conditions.words import flags_are_unexplained, signed, too_often
from scd_analysis.audit.observations.acceptance import Acceptances, acceptances, held_acceptances
from scd_analysis.audit.observations.drafts import held_drafts
from scd_analysis.audit.observations.variates import VARIATE_BINS, Variates, variates
from scd_analysis.conditions import Condition
from scd_analysis.evidence.features import number, sharpness
from scd_analysis.evidence.moments import Numbered

LOOK_AHEAD = Process(
    "look-ahead",
    Condition.SELECTION,
    acceptances,
    (
        too_often("later-slot", "behind the first slot", Acceptances.later_slot,
                  ": what is rejected there is not committed"),
        too_often("next-accepted", "when the draft after them is acceptable", Acceptances.next_is_acceptable,
                  ": the commit looks ahead"),
        too_often("run", "when the run of drafts they begin is acceptable as a whole", Acceptances.run_is_acceptable,
                  ": a block test", law=Acceptances.by_run, stated=True),
    ),
    Rank.GIVEN_THE_DRAFT,
    leaning(size=2),
    place=5,
)  # fmt: skip

KEPT_LONGEST = Process(
    "kept-longest",
    Condition.SELECTION,
    acceptances,
    (
        Bet("best-of-two", "the longest of two branches is kept", "as little as if the shortest branch were kept",
            law=Acceptances.best_of_two, stated=True),
        Bet("best-of-four", "the longest of several branches is kept", "as little as if the shortest branch were kept",
            law=Acceptances.best_of_four, stated=True),
    ),
    Rank.GIVEN_THE_DRAFT,
    leaning(size=2),
    speaks=flags_are_unexplained,
    place=6,
)  # fmt: skip

_height = Numbered(-1.0, 1.0)

VARIATES = Process(
    "variates",
    Condition.SELECTION,
    variates,
    (
        Bet("height", "acceptance variates are too high",
            "acceptance variates are too low: chosen because they accept", _height),
        Bet("later-slot", "acceptance variates behind the first slot are too high",
            "acceptance variates behind the first slot are too low: only what they accept is committed",
            _height, times=Variates.later_slot),
        Bet("draft", "acceptance variates are high where acceptance is likely",
            "acceptance variates are low where acceptance is likely", _height, times=Variates.likely),
    ),
    Rank.GIVEN_THE_DRAFT,
    leaning("acceptance variates", VARIATE_BINS),
    place=13,
)  # fmt: skip

HELD_DRAFTS = Process(
    "held-drafts",
    Condition.SELECTION,
    held_drafts,
    (
        Bet("number", "drafts of a high number are left to a later pass",
            "drafts of a low number are left to a later pass", number, low=0.0),
        Bet("sharpness", "likely drafts are left to a later pass", "unlikely drafts are left to a later pass",
            sharpness, low=0.0),
    ),
    Rank.HELD,
    leaning("drafts that are left to a later pass"),
    RARELY,
    place=25,
)  # fmt: skip

HELD_ACCEPTANCE = Process(
    "held-acceptance",
    Condition.SELECTION,
    held_acceptances,
    (Bet("accepted", "accepted drafts are left to a later pass", "rejected drafts are left to a later pass", signed),),
    Rank.HELD,
    leaning("accept flags of drafts that are left to a later pass", 2),
    RARELY,
    place=26,
)


def _beyond(recorded: Recorded) -> Found:
    return Found(recorded.committed_beyond, recorded.commits.drafted)


def _twice(recorded: Recorded) -> Found:
    commits = recorded.commits
    times = recorded.by_position(commits.passes.committed) + commits.bonus
    return Found(times > 1, np.ones(commits.final.shape, dtype=bool))


BEYOND = Check(
    "committed-beyond",
    Condition.SELECTION,
    "a position was committed although an earlier draft of the same pass was rejected",
    2,
    _beyond,
)
TWICE = Check("committed-twice", Condition.SELECTION, "a position was committed twice", 3, _twice)

CHECKS = (BEYOND, TWICE)
PROCESSES = (LOOK_AHEAD, KEPT_LONGEST, VARIATES, HELD_DRAFTS, HELD_ACCEPTANCE)
