"""Directions in which the observations of a trace can lean, and what it means that they do, in words."""

from __future__ import annotations

import numpy as np

from scd_analysis.evidence.batch import Batch, Floats
from scd_analysis.evidence.features import (
    Feature,
    companion,
    least_probable,
    most_probable,
    number,
    scaled,
    sharpness,
    token_of,
    uniform,
)
from scd_analysis.evidence.moments import MidPit, Numbered

DRAFTS = (
    Feature("sharpness", "drafts are drawn from a sharper law than declared (a lower temperature, top-k, top-p)",
            "drafts are drawn from a flatter law than declared", sharpness, 0.0),
    Feature("most-probable", "drafts are the most probable token too often (argmax, or a smaller top-k)",
            "drafts are the most probable token too rarely", most_probable, 0.0),
    Feature("least-probable", "drafts are the least probable token too often",
            "drafts avoid the least probable tokens (top-k, top-p)", least_probable, 0.0),
    Feature("uniform", "drafts lean to the uniform law", "improbable tokens are drafted too rarely", uniform),
    Feature("number", "drafts have a high number too often", "drafts have a low number too often", number, 0.0),
    Feature("target", "drafts lean to the law they are verified against, not to the declared one",
            "drafts lean away from the law they are verified against", companion("target")),
    Feature("target-old", "drafts that survived lean to the law they are verified against: not redeclared",
            "drafts that survived lean away from the law they are verified against",
            scaled(companion("target"), "old")),
    Feature("last-target", "drafts lean to the target law of the pass that drew them, not to the declared one",
            "drafts lean away from the target law of the pass that drew them", companion("last-target")),
    Feature("tilted", "drafts favour tokens whose probability rose, and another law is declared",
            "drafts favour tokens whose probability fell", companion("tilted")),
    Feature("by-hand", "a draft that would be rejected is redrawn from the target instead of the residual",
            "drafts lean away from a hand-made coupling", companion("by-hand")),
    Feature("kept", "drafts that are likely enough are kept, and the new law is declared",
            "drafts lean away from those that were kept", companion("kept")),
    Feature("earlier", "drafts lean to the law of two passes before: a draft was carried over under a new law",
            "drafts lean away from the law of two passes before", companion("earlier")),
)  # fmt: skip

AVOIDING = {
    "unlike-previous": "drafts avoid the token before them (a repetition penalty, or drawing without replacement), and "
    "the plain law is declared",
    "without-replacement": "the drafts of a pass are drawn without replacement, and the plain law is declared",
}

FIRST_DRAFTS = tuple(
    Feature(
        name,
        f"first drafts copy the {name} neighbour while another law than a point mass is declared",
        f"first drafts avoid the {name} neighbour",
        token_of(name),
        0.0,
    )
    for name in ("left", "upper")
)


SCALARS = {
    "acceptance": (
        "drafts are likelier to be accepted than under their declared law",
        "drafts are less likely to be accepted than under their declared law",
    ),
    "target-prob": (
        "drafts are likelier under the target than their declared law says",
        "drafts are less likely under the target than their declared law says",
    ),
}


def _signed(batch: Batch) -> Floats:
    return np.broadcast_to(np.array([-1.0, 1.0]), batch.target_probs.shape)


def _when(name: str, where: str, inner: str | None = None, because: str = "") -> Feature:
    values = _signed if inner is None else scaled(_signed, inner)
    often, rarely = f"drafts are accepted too often {where}{because}", f"drafts are accepted too rarely {where}"
    return Feature(name, often, rarely, values)


ACCEPTANCE = (
    _when("always", "for min(1, p/q)"),
    _when("first-slot", "in the first slot of the window", "first-slot"),
    _when("early-slot", "early in the window", "early-slot"),
    _when("initial", "where they are initial drafts", "initial"),
    _when("redrafted", "where they were redrafted", "redrafted"),
    _when("last-slot", "in the last slot of the window", "last-slot"),
    _when("unchanged", "where they are what they were one pass before", "unchanged"),
    _when("uncertain", "where acceptance is a toss", "uncertain"),
    *(
        Feature(
            name,
            f"drafts are accepted with probability {rule}",
            f"drafts are accepted less, not {rule}",
            companion(name),
        )
        for name, rule in {
            "relaxed": "min(1, w p/q), w above one",
            "much-relaxed": "min(1, w p/q), w far above one",
            "root": "min(1, p/q) to a power below one",
            "twice": "of two tries, either of which may accept",
        }.items()
    ),
)

LOOK_AHEAD = (
    _when("later-slot", "behind the first slot", "later-slot", ": what is rejected there is not committed"),
    _when("next-accepted", "when the draft after them is acceptable", "next-accepted", ": the commit looks ahead"),
    _when("run", "when the run of drafts they begin is acceptable as a whole", "run", ": a block test"),
)

HELD = (
    Feature("number", "drafts of a high number are left to a later pass",
            "drafts of a low number are left to a later pass", number, 0.0),
    Feature("sharpness", "likely drafts are left to a later pass", "unlikely drafts are left to a later pass",
            sharpness, 0.0),
)  # fmt: skip

HELD_FLAGS = (
    Feature(
        "accepted", "accepted drafts are left to a later pass", "rejected drafts are left to a later pass", _signed
    ),
)

KEPT_LONGEST = (
    Feature("best-of-two", "the longest of two branches is kept", "as little as if the shortest branch were kept",
            companion("best-of-two")),
    Feature("best-of-four", "the longest of several branches is kept", "as little as if the shortest branch were kept",
            companion("best-of-four")),
)  # fmt: skip

SAME_VARIATE = (
    Feature("same-variate", "one acceptance variate serves all positions of a pass",
            "acceptance goes against that of earlier positions of the pass", companion("same-variate")),
    Feature("mirrored-variate", "the variate that accepts a position is one less that of the position before",
            "acceptance follows that of the position before", companion("mirrored-variate")),
)  # fmt: skip


def _leans(name: str, what: str) -> Feature:
    return Feature(
        name, f"rejected drafts are replaced {what}", f"replacements lean away from a draw {what}", companion(name)
    )


_token_pit, _rank_pit = MidPit("token"), MidPit("rank")


REPLACEMENT = (
    _leans("from-target", "from the target law itself"),
    _leans("without-draft", "from the target law without the draft"),
    _leans("from-declared", "from the declared law"),
    _leans("floored", "from a residual with a floor"),
    _leans("absolute", "from |p - q|"),
    _leans("reversed", "from (q - p)+"),
    _leans("logits", "from a residual of logits"),
    _leans("unnormalised", "from a residual that was not normalised"),
    Feature("sharpness", "replacements are too likely", "replacements are too unlikely", sharpness, 0.0),
    Feature("number", "replacements have a high number too often", "replacements have a low number too often",
            number, 0.0),
    _leans("same-variate", "with the variate that rejected them"),
)  # fmt: skip

SAME_REPLACEMENT = (
    _leans("last-replacement", "with the variate that drew the replacement before it"),
    _leans("last-variate", "with the variate that accepted the position before"),
)

SAME_RACE = (
    Feature("same-race", "a replacement is raced with the noise that drafted the token it replaces",
            "replacements prefer what the draft's noise disfavours", companion("same-race")),
)  # fmt: skip


BONUS = (
    Feature("row-before", "bonus tokens are drawn from the row before theirs",
            "bonus tokens lean away from the row before theirs", companion("row-before")),
    Feature("sharpness", "bonus tokens are too likely", "bonus tokens are too unlikely", sharpness, 0.0),
    Feature("uniform", "bonus tokens lean to the uniform law", "bonus tokens avoid improbable tokens", uniform),
)  # fmt: skip

LAST_VARIATE = (
    Feature("last-variate", "bonus tokens are drawn with the variate that accepted the last draft",
            "bonus tokens lean away from what the last accepting variate would draw", companion("last-variate")),
)  # fmt: skip


_height = Numbered(-1.0, 1.0)

VARIATES = (
    Feature("height", "acceptance variates are too high", "acceptance variates are too low: chosen because they accept",
            _height),
    Feature("later-slot", "acceptance variates behind the first slot are too high",
            "acceptance variates behind the first slot are too low: only what they accept is committed",
            scaled(_height, "later-slot")),
    Feature("draft", "acceptance variates are high where acceptance is likely",
            "acceptance variates are low where acceptance is likely", scaled(_height, "draft")),
)  # fmt: skip

OF_DRAFTS = (
    Feature("of-draft", "the variate that draws a draft also accepts it",
            "acceptance variates avoid what drew the draft", companion("of-draft")),
    Feature("of-draft-mirrored", "the variate that draws a draft also accepts it, mirrored",
            "acceptance variates avoid the mirror of what drew the draft", companion("of-draft-mirrored")),
)  # fmt: skip

OF_REPLACEMENTS = (
    Feature("of-replacement", "the variate that draws a replacement also accepts the next position",
            "acceptance variates avoid what drew the replacement before", companion("of-replacement")),
)  # fmt: skip

SHARED_VARIATES = (
    Feature("before", "acceptance variates follow those of the position before",
            "acceptance variates go against those of the position before", scaled(_height, "before")),
    Feature("above", "acceptance variates follow those of the sequence before",
            "acceptance variates go against those of the sequence before", scaled(_height, "above")),
)  # fmt: skip


IN_PAIRS = {"in-pairs": "two slots side by side are drawn with the same noise"}

PINNED = {
    "in-batch": "one variate serves a slot in several sequences of a batch",
    "in-slot": "one variate serves a slot at all passes of a sequence",
}

SAME_VARIATES = tuple(
    Feature(name, f"drafts are drawn with the variate {of}", f"drafts avoid what the variate {of} favours",
            companion(name))
    for name, of in {
        "previous": "of the position before",
        "above": "of the sequence before",
        "beside": "of the slot beside",
        "same-slot": "that their slot had before the window moved",
        "diagonal": "that the slot after had one pass before: its seed adds pass and slot",
        "acceptance": "that accepts the position before",
        "replacement": "that draws the replacement before",
    }.items()
)  # fmt: skip

SHARED_NOISE = (
    Feature("previous", "a draft equals the draft before it too often: they share noise",
            "a draft differs from the draft before it too often: they share noise", token_of("previous"), 0.0),
    Feature("before-that", "a draft equals the one two before it too often: they share noise",
            "a draft differs from the one two before it too often", token_of("before-that"), 0.0),
    Feature("beside", "a draft and the one beside it are drawn with the same noise",
            "a draft avoids what the noise of the one beside it favours", companion("beside")),
    Feature("previous-race", "a draft is drawn with the noise of the position before",
            "a draft avoids what the noise of the position before favours", companion("previous-race")),
    Feature("same-slot", "a draft is drawn with the noise that its slot had before the window moved",
            "a draft avoids what the noise of its slot favoured before", companion("same-slot")),
    Feature("diagonal", "a draft is drawn with the noise of the slot after it, one pass before",
            "a draft avoids what the noise of the slot after it favoured before", companion("diagonal")),
    Feature("above", "a draft equals that of the sequence before too often: they share noise",
            "a draft differs from that of the sequence before too often", token_of("above"), 0.0),
    Feature("previous-token", "neighbouring drafts move together: they share noise",
            "neighbouring drafts move against each other: they share noise", scaled(_token_pit, "previous-token")),
    Feature("previous-rank", "a surprising draft follows a surprising one: they share noise",
            "a surprising draft follows a likely one: they share noise", scaled(_rank_pit, "previous-rank")),
)  # fmt: skip
