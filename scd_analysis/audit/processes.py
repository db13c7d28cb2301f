"""What is bet on once a trace is there: one e-process a way of breaking a condition, each with its own null law.

To watch for another fault, add a direction to a process, or a process to ``PROCESSES``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scd_analysis.audit import apart, avoidance, directions, observations, pinned, variates
from scd_analysis.audit.observations import View
from scd_analysis.conditions import Condition
from scd_analysis.evidence.batch import Batch, Floats
from scd_analysis.evidence.blend import Blend
from scd_analysis.evidence.bounded import KnownMeans
from scd_analysis.evidence.directed import Directed
from scd_analysis.evidence.features import Feature
from scd_analysis.evidence.pit import PitBins
from scd_analysis.evidence.portfolio import Family
from scd_analysis.evidence.ridge import RidgeTilt

PRIORS = (10.0, 100.0, 3000.0)
"""Grid of prior observations: a fault that a trace shows at all, it often shows soon."""

MOST_RIDGE_VOCABULARY = 64

RARELY = 0.25
"""Weight of what seldom speaks."""

Families = Callable[[int], list[Family]]


@dataclass(frozen=True)
class Process:
    """One e-process.

    Attributes
    ----------
    name : str
    condition : Condition
        Whose breach it finds.
    build : callable
        ``(view, noise) -> Batch``, or None where the trace does not hold what it takes.
    families : callable
        From the model's vocabulary to fresh bettors.
    weight : float
        In the mixture of all.
    """

    name: str
    condition: Condition
    build: Callable[[View, Floats], Batch | None]
    families: Families
    weight: float = 1.0


def leaning(
    features: tuple[Feature, ...], *, stated: tuple[str, ...] = (), what: str = "", size: int | None = None
) -> Families:
    """Bettors along directions.

    Parameters
    ----------
    features : tuple of Feature
    stated : tuple of str
        Companion laws that are just what a known slip would give.
    what : str
        What is observed, where to bet on the observations by themselves too, by the bins of their PIT.
    size : int, optional
        Values an observation can have; the vocabulary by default.
    """

    def families(vocab_size: int) -> list[Family]:
        out = [Family("directed", 3, Directed(features, PRIORS))]
        if stated:
            out.append(Family("blend", 2, Blend({f.name: f.more for f in features if f.name in stated})))
        if what:
            out += [Family(f"pit-{kind}", 1, PitBins(kind, (4, 16), what)) for kind in ("rank", "token")]
        if (size or vocab_size) <= MOST_RIDGE_VOCABULARY:
            out.append(Family("ridge", 2, RidgeTilt(features, 1, PRIORS, by_position=False)))
        return out

    return families


def together(*several: Families) -> Families:
    """All of their bettors."""
    return lambda vocab_size: [family for families in several for family in families(vocab_size)]


def known_means(messages: dict[str, tuple[str, str]]) -> Families:
    """Bettors on values whose mean is known."""
    return lambda vocab_size: [Family("means", 1, KnownMeans(messages))]


def copying(features: tuple[Feature, ...]) -> Families:
    """Bettors on tokens that the context would then make all but certain."""
    blend = Blend({feature.name: feature.more for feature in features}, shares=(0.98,))
    return lambda vocab_size: [Family("blend", 3, blend), Family("directed", 1, Directed(features, PRIORS))]


def repeated(message: str) -> Families:
    """Bettors on something that should almost never happen."""
    return lambda vocab_size: [Family("blend", 1, Blend({"repeated": message}))]


def in_pairs(vocab_size: int) -> list[Family]:
    """Bettors on noise that serves two slots, the second of which is an odd one."""
    return [Family("pairs", 1, Blend(directions.IN_PAIRS, only={"in-pairs": ("beside", "odd-slot")}))]


def avoiding(vocab_size: int) -> list[Family]:
    """Bettors on drafts that avoid others."""
    return [Family("blend", 1, Blend(directions.AVOIDING))]


def further_away(vocab_size: int) -> list[Family]:
    """Bettors on noise that comes again at some distance."""
    return [Family("blend", 1, Blend(apart.MESSAGES, shares=(0.3, 0.9)))]


def again(vocab_size: int) -> list[Family]:
    """Bettors on variates that are used again."""
    return [Family("blend", 1, Blend(directions.PINNED))]


PROCESSES = (
    Process(
        "drafts",
        Condition.DECLARED_LAW,
        observations.drafts,
        leaning(
            directions.DRAFTS,
            stated=("target", "last-target", "tilted", "by-hand", "kept", "earlier"),
            what="drafts",
        ),
    ),
    Process("drafts-avoiding", Condition.DECLARED_LAW, avoidance.drafts, avoiding, RARELY),
    Process("first-drafts", Condition.DECLARED_LAW, observations.first_drafts, copying(directions.FIRST_DRAFTS)),
    Process("draft-scalars", Condition.DECLARED_LAW, observations.draft_scalars, known_means(directions.SCALARS)),
    Process(
        "acceptance",
        Condition.VERIFICATION,
        observations.acceptances,
        leaning(
            directions.ACCEPTANCE,
            stated=("relaxed", "much-relaxed", "root", "twice", "untested"),
            what="accept flags",
            size=2,
        ),
    ),
    Process(
        "look-ahead",
        Condition.SELECTION,
        observations.acceptances,
        leaning(directions.LOOK_AHEAD, stated=("run",), size=2),
    ),
    Process(
        "kept-longest",
        Condition.SELECTION,
        observations.acceptances,
        leaning(directions.KEPT_LONGEST, stated=("best-of-two", "best-of-four"), size=2),
    ),
    Process(
        "acceptance-shared",
        Condition.INDEPENDENCE,
        observations.acceptances,
        leaning(directions.SAME_VARIATE, stated=("same-variate", "mirrored-variate"), size=2),
    ),
    Process(
        "replacement",
        Condition.VERIFICATION,
        observations.replacements,
        leaning(
            directions.REPLACEMENT,
            what="replacements",
            stated=(
                "from-target",
                "without-draft",
                "from-declared",
                "floored",
                "absolute",
                "reversed",
                "logits",
                "same-variate",
            ),
        ),
    ),
    Process(
        "replacement-noise",
        Condition.INDEPENDENCE,
        observations.replacements,
        leaning(directions.SAME_RACE, stated=("same-race",)),
    ),
    Process(
        "replacement-shared",
        Condition.INDEPENDENCE,
        observations.replacements,
        leaning(directions.SAME_REPLACEMENT, stated=("last-replacement", "last-variate")),
    ),
    Process(
        "bonus",
        Condition.VERIFICATION,
        observations.bonuses,
        leaning(directions.BONUS, stated=("row-before",), what="bonus tokens"),
    ),
    Process(
        "bonus-variate",
        Condition.VERIFICATION,
        observations.bonuses,
        leaning(directions.LAST_VARIATE, stated=("last-variate",)),
    ),
    Process(
        "variates",
        Condition.SELECTION,
        variates.variates,
        leaning(directions.VARIATES, what="acceptance variates", size=variates.VARIATE_BINS),
    ),
    Process(
        "variates-of-drafts",
        Condition.VERIFICATION,
        variates.of_drafts,
        leaning(directions.OF_DRAFTS, stated=("of-draft", "of-draft-mirrored"), size=variates.VARIATE_BINS),
    ),
    Process(
        "variates-of-replacements",
        Condition.INDEPENDENCE,
        variates.of_replacements,
        leaning(directions.OF_REPLACEMENTS, stated=("of-replacement",), size=variates.VARIATE_BINS),
        RARELY,
    ),
    Process(
        "variates-shared",
        Condition.INDEPENDENCE,
        variates.variates,
        leaning(directions.SHARED_VARIATES, size=variates.VARIATE_BINS),
    ),
    Process(
        "variates-repeated-in-pass",
        Condition.INDEPENDENCE,
        variates.repeated_in_pass,
        repeated("acceptance variates of neighbouring positions are equal"),
    ),
    Process(
        "variates-repeated-in-slot",
        Condition.INDEPENDENCE,
        variates.repeated_in_slot,
        repeated("a slot has the same acceptance variate at two passes"),
    ),
    Process(
        "variates-repeated-on-diagonal",
        Condition.INDEPENDENCE,
        variates.repeated_on_diagonal,
        repeated("acceptance variates come again at the next pass, a slot before: their seed adds pass and slot"),
    ),
    Process(
        "variates-repeated-in-batch",
        Condition.INDEPENDENCE,
        variates.repeated_in_batch,
        repeated("acceptance variates of two sequences are equal: they share a seed"),
    ),
    Process(
        "variates-repeated-in-sequence",
        Condition.INDEPENDENCE,
        variates.repeated_in_sequence,
        repeated("acceptance variates of two positions of a sequence are equal"),
        RARELY,
    ),
    Process(
        "variates-repeated-for-life",
        Condition.VERIFICATION,
        variates.repeated_for_life,
        repeated("a position has the same acceptance variate at two passes"),
    ),
    Process(
        "drafts-shared",
        Condition.INDEPENDENCE,
        observations.shared_noise,
        together(
            leaning(directions.SHARED_NOISE, stated=("beside", "previous-race", "same-slot", "diagonal")),
            in_pairs,
        ),
    ),
    Process(
        "drafts-of-one-variate",
        Condition.INDEPENDENCE,
        variates.of_inverse_cdfs,
        leaning(
            directions.SAME_VARIATES,
            stated=tuple(feature.name for feature in directions.SAME_VARIATES),
            size=variates.VARIATE_BINS,
        ),
    ),
    Process(
        "held-drafts",
        Condition.SELECTION,
        observations.held_drafts,
        leaning(directions.HELD, what="drafts that are left to a later pass"),
        RARELY,
    ),
    Process(
        "held-acceptance",
        Condition.SELECTION,
        observations.held_acceptances,
        leaning(directions.HELD_FLAGS, what="accept flags of drafts that are left to a later pass", size=2),
        RARELY,
    ),
    Process("acceptance-again", Condition.INDEPENDENCE, pinned.acceptances, again, RARELY),
    Process("drafts-again", Condition.INDEPENDENCE, pinned.drafts, again, RARELY),
    Process("replacement-again", Condition.INDEPENDENCE, pinned.replacements, again, RARELY),
    Process("bonus-again", Condition.INDEPENDENCE, pinned.bonuses, again, RARELY),
    Process("drafts-shared-apart", Condition.INDEPENDENCE, apart.races, further_away, RARELY),
    Process("drafts-of-one-variate-apart", Condition.INDEPENDENCE, apart.inverse_cdfs, further_away, RARELY),
)
