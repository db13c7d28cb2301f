"""Independence: the noise of a position is independent of every other's."""

from __future__ import annotations

from collections.abc import Callable

from scd_analysis.audit.bets import RARELY, Bet, Process, Rank, Seen, blended, leaning
from scd_analysis.audit.checks import Check
from scd_analysis.audit.conditions.verification import replaced
from scd_analysis.audit.conditions.words import flags_are_unexplained, variates_are_hidden
from scd_analysis.audit.observations import again, repeated, shared
from scd_analysis.audit.observations.acceptance import Acceptances, acceptances
from scd_analysis.audit.observations.replacements import Replacements, replacements
from scd_analysis.audit.observations.variates import (
    VARIATE_BINS,
    InverseCdfs,
    OfReplacements,
    Variates,
    inverse_cdfs,
    of_replacements,
    variates,
)
from scd_analysis.audit.observations.view import View
from scd_analysis.conditions import Condition
from scd_analysis.evidence.batch import Floats
from scd_analysis.evidence.moments import MidPit, Numbered

INDEPENDENCE = Condition.INDEPENDENCE

ACCEPTANCE_SHARED = Process(
    "acceptance-shared",
    INDEPENDENCE,
    acceptances,
    (
        Bet("same-variate", "one acceptance variate serves all positions of a pass",
            "acceptance goes against that of earlier positions of the pass", law=Acceptances.by_same_variate,
            stated=True),
        Bet("mirrored-variate", "the variate that accepts a position is one less that of the position before",
            "acceptance follows that of the position before", law=Acceptances.by_mirrored_variate, stated=True),
    ),
    Rank.GIVEN_THE_DRAFT,
    leaning(size=2),
    speaks=lambda standing: variates_are_hidden(standing) and flags_are_unexplained(standing),
    place=7,
)  # fmt: skip

REPLACEMENT_NOISE = Process(
    "replacement-noise",
    INDEPENDENCE,
    replacements,
    (
        Bet("same-race", "a replacement is raced with the noise that drafted the token it replaces",
            "replacements prefer what the draft's noise disfavours", law=Replacements.of_same_race, stated=True),
    ),
    Rank.GIVEN_THE_DRAFT,
    leaning(),
    place=9,
)  # fmt: skip

REPLACEMENT_SHARED = Process(
    "replacement-shared",
    INDEPENDENCE,
    replacements,
    (
        replaced("last-replacement", Replacements.of_last_replacement,
                 "with the variate that drew the replacement before it"),
        replaced("last-variate", Replacements.of_last_variate, "with the variate that accepted the position before"),
    ),
    Rank.GIVEN_THE_DRAFT,
    leaning(),
    place=10,
)  # fmt: skip

OF_REPLACEMENTS = Process(
    "variates-of-replacements",
    INDEPENDENCE,
    of_replacements,
    (
        Bet("of-replacement", "the variate that draws a replacement also accepts the next position",
            "acceptance variates avoid what drew the replacement before", law=OfReplacements.of_replacement,
            stated=True),
    ),
    Rank.GIVEN_THE_DRAFT,
    leaning(size=VARIATE_BINS),
    RARELY,
    place=15,
)  # fmt: skip

_height = Numbered(-1.0, 1.0)

VARIATES_SHARED = Process(
    "variates-shared",
    INDEPENDENCE,
    variates,
    (
        Bet("before", "acceptance variates follow those of the position before",
            "acceptance variates go against those of the position before", _height, times=Variates.before),
        Bet("above", "acceptance variates follow those of the sequence before",
            "acceptance variates go against those of the sequence before", _height, times=Variates.above),
    ),
    Rank.GIVEN_THE_DRAFT,
    leaning(size=VARIATE_BINS),
    place=16,
)  # fmt: skip


def _equal(
    place: int,
    where: str,
    observe: Callable[[View, Floats], repeated.Repetitions | None],
    words: str,
    rank: Rank = Rank.EQUAL_VARIATES,
    weight: float = 1.0,
) -> Process:
    bet = Bet("repeated", words, law=repeated.Repetitions.always)
    return Process(f"variates-repeated-{where}", INDEPENDENCE, observe, (bet,), rank, blended(), weight, place=place)


REPEATED = (
    _equal(17, "in-pass", repeated.in_pass, "acceptance variates of neighbouring positions are equal"),
    _equal(18, "in-slot", repeated.in_slot, "a slot has the same acceptance variate at two passes"),
    _equal(19, "on-diagonal", repeated.on_diagonal,
           "acceptance variates come again at the next pass, a slot before: their seed adds pass and slot"),
    _equal(20, "in-batch", repeated.in_batch, "acceptance variates of two sequences are equal: they share a seed"),
    _equal(21, "in-sequence", repeated.in_sequence, "acceptance variates of two positions of a sequence are equal",
           Rank.EQUAL_VARIATES_ANYWHERE, RARELY),
)  # fmt: skip

_Races = shared.Races

DRAFTS_SHARED = Process(
    "drafts-shared",
    INDEPENDENCE,
    shared.races,
    (
        Bet("previous", "a draft equals the draft before it too often: they share noise",
            "a draft differs from the draft before it too often: they share noise", token=_Races.previous, low=0.0),
        Bet("before-that", "a draft equals the one two before it too often: they share noise",
            "a draft differs from the one two before it too often", token=_Races.before_that, low=0.0),
        Bet("beside", "a draft and the one beside it are drawn with the same noise",
            "a draft avoids what the noise of the one beside it favours", law=_Races.beside, stated=True),
        Bet("previous-race", "a draft is drawn with the noise of the position before",
            "a draft avoids what the noise of the position before favours", law=_Races.of_previous, stated=True),
        Bet("same-slot", "a draft is drawn with the noise that its slot had before the window moved",
            "a draft avoids what the noise of its slot favoured before", law=_Races.same_slot, stated=True),
        Bet("diagonal", "a draft is drawn with the noise of the slot after it, one pass before",
            "a draft avoids what the noise of the slot after it favoured before", law=_Races.diagonal, stated=True),
        Bet("above", "a draft equals that of the sequence before too often: they share noise",
            "a draft differs from that of the sequence before too often", token=_Races.above, low=0.0),
        Bet("previous-token", "neighbouring drafts move together: they share noise",
            "neighbouring drafts move against each other: they share noise", MidPit("token"),
            times=_Races.token_pit_before),
        Bet("previous-rank", "a surprising draft follows a surprising one: they share noise",
            "a surprising draft follows a likely one: they share noise", MidPit("rank"), times=_Races.rank_pit_before),
        Bet("in-pairs", "two slots side by side are drawn with the same noise", law=_Races.beside,
            only=_Races.in_odd_slot),
    ),
    Rank.OF_THE_DRAFT,
    leaning(),
    place=23,
)  # fmt: skip


def _drawn_with(name: str, law: Seen, of: str) -> Bet:
    more, less = f"drafts are drawn with the variate {of}", f"drafts avoid what the variate {of} favours"
    return Bet(name, more, less, law=law, stated=True)


DRAFTS_OF_ONE_VARIATE = Process(
    "drafts-of-one-variate",
    INDEPENDENCE,
    inverse_cdfs,
    (
        _drawn_with("previous", InverseCdfs.previous, "of the position before"),
        _drawn_with("above", InverseCdfs.above, "of the sequence before"),
        _drawn_with("beside", InverseCdfs.beside, "of the slot beside"),
        _drawn_with("same-slot", InverseCdfs.same_slot, "that their slot had before the window moved"),
        _drawn_with("diagonal", InverseCdfs.diagonal,
                    "that the slot after had one pass before: its seed adds pass and slot"),
        _drawn_with("acceptance", InverseCdfs.acceptance, "that accepts the position before"),
        _drawn_with("replacement", InverseCdfs.replacement, "that draws the replacement before"),
    ),
    Rank.OF_THE_DRAFT,
    leaning(size=VARIATE_BINS),
    place=24,
)  # fmt: skip

_AGAIN = (
    Bet("in-batch", "one variate serves a slot in several sequences of a batch", law=again.UsedAgain.in_batch),
    Bet("in-slot", "one variate serves a slot at all passes of a sequence", law=again.UsedAgain.in_slot),
    Bet("in-half", "one variate serves two rows half a batch apart", law=again.UsedAgain.in_half),
)
HALF = 0.5
"""Of the ln E of variates that are used again: what is wrong the same way each time looks so, too."""

USED_AGAIN = (
    Process("acceptance-again", INDEPENDENCE, again.acceptances_again, _AGAIN, Rank.GIVEN_THE_DRAFT, blended(), RARELY,
            HALF, speaks=variates_are_hidden, place=27),
    Process("drafts-again", INDEPENDENCE, again.drafts_again, _AGAIN, Rank.OF_THE_DRAFT, blended(), RARELY, HALF,
            place=28),
    Process("replacement-again", INDEPENDENCE, again.replacements_again, _AGAIN, Rank.GIVEN_THE_DRAFT, blended(),
            RARELY, HALF, place=29),
    Process("bonus-again", INDEPENDENCE, again.bonuses_again, _AGAIN, Rank.GIVEN_THE_DRAFT, blended(), RARELY, HALF,
            place=30),
)  # fmt: skip

_APART = (
    *(
        Bet(f"apart-{d}", f"a draft is drawn with the noise of the position {d} before", law=shared.Distance(d))
        for d in shared.DISTANCES
    ),
    Bet("apart-window", "a draft is drawn with the noise of the position a window before: its ring is not filled anew",
        law=shared.WINDOW),
    Bet("apart-row", "a draft is drawn with the noise of the position above it", law=shared.ROW),
)  # fmt: skip
_FURTHER = blended((0.3, 0.9))

APART = (
    Process("drafts-shared-apart", INDEPENDENCE, shared.races_apart, _APART, Rank.OF_THE_DRAFT, _FURTHER, RARELY,
            place=31),
    Process("drafts-of-one-variate-apart", INDEPENDENCE, shared.inverse_cdfs_apart, _APART, Rank.OF_THE_DRAFT,
            _FURTHER, RARELY, place=32),
)  # fmt: skip

WINDOWS_SHARE = Check(
    "windows-share-noise",
    INDEPENDENCE,
    "windows of one call share their noise: copies of a window come out alike too often",
    10,
)
"""Found by :class:`scd_analysis.audit.kernels.KernelJudge`."""

CHECKS: tuple[Check, ...] = ()
PROCESSES = (
    ACCEPTANCE_SHARED, REPLACEMENT_NOISE, REPLACEMENT_SHARED, OF_REPLACEMENTS, VARIATES_SHARED, *REPEATED,
    DRAFTS_SHARED, DRAFTS_OF_ONE_VARIATE, *USED_AGAIN, *APART,
)  # fmt: skip
