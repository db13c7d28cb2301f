"""A bet is one object: its name, the law or the direction that it bets on, and the words for more and for less.

A process is a tuple of bets on one kind of observation: one e-process, with the condition whose breach it finds and its
rank in the diagnosis. To bet on another fault, add a :class:`Bet` to a process in :mod:`scd_analysis.audit.conditions`,
or a :class:`Process`, in the file of its condition; nothing else names it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Protocol

import numpy.typing as npt

from scd_analysis.audit.observations.view import Observations, View
from scd_analysis.conditions import Condition
from scd_analysis.errors import InputError
from scd_analysis.evidence.batch import Batch, Floats, observations
from scd_analysis.evidence.blend import SHARES, Alternative, Blend
from scd_analysis.evidence.bounded import KnownMeans, Mean
from scd_analysis.evidence.directed import Directed
from scd_analysis.evidence.features import Feature, companion, scaled, token_of
from scd_analysis.evidence.moments import Values
from scd_analysis.evidence.pit import PitBins
from scd_analysis.evidence.portfolio import Family
from scd_analysis.evidence.ridge import RidgeTilt

PRIORS = (10.0, 100.0, 3000.0)
"""Grid of prior observations: a fault that a trace shows at all, it often shows soon."""

MOST_RIDGE_VOCABULARY = 64

ESTABLISHED = math.log(1000)
"""ln E from which a process counts when conditions are weighed against each other, nats."""

RARELY = 0.25
"""Weight of a process that seldom speaks."""

Seen = Callable[[Any], Any]
"""From observations to one array of them, Float[A, V] of laws or [A] of numbers; None where it is not known."""


@dataclass(frozen=True)
class Bet:
    """One way in which observations may depart from their null law.

    One of ``along``, ``law``, ``token`` and ``mean`` says what it bets on; a stated law may come with a direction.

    Attributes
    ----------
    name : str
        As it appears in the names of arms.
    more, less : str
        In words, what a decoder does that leans along it, and against it.
    along : callable, optional
        A direction, from a batch to Float[S, N, V].
    law : callable, optional
        From observations to the law that they would have, Float[A, V].
    token : callable, optional
        From observations to the token that they would be, Long[A]; -1 where there is none.
    mean : (callable, callable), optional
        From observations to a number in [0, 1] and to its mean, Float[A] each.
    times : callable, optional
        From observations to a number that the direction is multiplied by, Float[A].
    only : callable, optional
        From observations to where it is bet on at all, Bool[A]; then only as a law by itself.
    stated : bool
        Whether the law is just what a known slip would give, so that it is bet on by itself too.
    low : float
        Least value of the direction: -1 or 0.

    Raises
    ------
    InputError
        If it bets on nothing or on several things.
    """

    name: str
    more: str
    less: str = ""
    along: Values | None = None
    law: Seen | None = None
    token: Seen | None = None
    mean: tuple[Seen, Seen] | None = None
    times: Seen | None = None
    only: Seen | None = None
    stated: bool = False
    low: float = -1.0

    def __post_init__(self) -> None:
        if (self.stated or self.only is not None) and self.law is None:
            raise InputError(f"bet {self.name!r}: only a law can be stated")
        things = {"along": self.along, "law": self.law, "token": self.token, "mean": self.mean}
        given = [name for name, thing in things.items() if thing is not None]
        if len(given) != 1 and not (self.stated and given == ["along", "law"]):
            raise InputError(f"bet {self.name!r}: bets on {' and '.join(given) or 'nothing'}, expected one thing")

    @property
    def feature(self) -> Feature:
        """The direction that it tilts along."""
        values: Any = self.along
        if self.along is None and self.law is not None:
            values = companion(self.law)
        elif self.token is not None:
            values = token_of(self.token)
        if self.times is not None:
            values = scaled(values, self.times)
        return Feature(self.name, self.more, self.less, values, self.low)

    @property
    def alternative(self) -> Alternative:
        """The law, or the token, as a bet by itself."""
        return Alternative(self.name, self.more, self.law or self.token, self.only)

    @property
    def numbers(self) -> tuple[Seen | None, ...]:
        """What it looks at besides laws."""
        return self.times, self.token, self.only, *(self.mean or ())

    @property
    def known_mean(self) -> Mean:
        """The number and its mean.

        Raises
        ------
        InputError
            If it bets on something else.
        """
        if self.mean is None:
            raise InputError(f"bet {self.name!r}: has no mean")
        return Mean(self.name, self.more, self.less, *self.mean)


Bets = tuple[Bet, ...]
Bettors = Callable[[Bets, int], list[Family]]
"""From the bets of a process and the model's vocabulary to fresh bettors."""


def leaning(what: str = "", size: int | None = None) -> Bettors:
    """Bettors along directions, one by one and together, and on the laws that are stated.

    Parameters
    ----------
    what : str
        What is observed, where to bet on the observations by themselves too, by the bins of their PIT.
    size : int, optional
        Values an observation can have; the vocabulary by default.
    """

    def bettors(bets: Bets, vocab_size: int) -> list[Family]:
        features = tuple(bet.feature for bet in bets if bet.only is None)
        stated = [bet.alternative for bet in bets if bet.stated and bet.only is None]
        somewhere = [bet.alternative for bet in bets if bet.only is not None]
        out = [Family("directed", 3, Directed(features, PRIORS))]
        if stated:
            out.append(Family("blend", 2, Blend(stated)))
        if what:
            out += [Family(f"pit-{kind}", 1, PitBins(kind, (4, 16), what)) for kind in ("rank", "token")]
        if (size or vocab_size) <= MOST_RIDGE_VOCABULARY:
            out.append(Family("ridge", 2, RidgeTilt(features, 1, PRIORS, by_position=False)))
        if somewhere:
            out.append(Family("pairs", 1, Blend(somewhere)))
        return out

    return bettors


def blended(shares: tuple[float, ...] = SHARES) -> Bettors:
    """Bettors on the laws themselves, by fixed shares."""
    return lambda bets, vocab_size: [Family("blend", 1, Blend([bet.alternative for bet in bets], shares))]


def copying(bets: Bets, vocab_size: int) -> list[Family]:
    """Bettors on tokens that would then be all but certain."""
    blend = Blend([bet.alternative for bet in bets], shares=(0.98,))
    return [Family("blend", 3, blend), Family("directed", 1, Directed(tuple(bet.feature for bet in bets), PRIORS))]


def known_means(bets: Bets, vocab_size: int) -> list[Family]:
    """Bettors on numbers whose mean is known."""
    return [Family("means", 1, KnownMeans([bet.known_mean for bet in bets]))]


class Rank(IntEnum):
    """Place of a process in the diagnosis; a lower one is asked first.

    A broken draft law leaves processes alone whose null holds whatever the drafts' law is, while wrong verification
    spoils the drafts of a coupled decoder: so those given the draft come before those of the draft.
    """

    EQUAL_VARIATES = 0
    EQUAL_VARIATES_ANYWHERE = 1
    """What is equal within a pass, a slot or a batch shows within a sequence, too."""
    GIVEN_THE_DRAFT = 2
    OF_THE_DRAFT = 3
    HELD = 4
    """Of drafts that were left to a later pass: what chose them, unless all drafts are as wrong."""


class Standing(Protocol):
    """What an explanation may ask of the processes under way: a :class:`~scd_analysis.audit.watch.Watch`."""

    @property
    def waited(self) -> int:
        """Positions that the commit rule commits and the decoder did not."""

    @property
    def flags_compared(self) -> int:
        """Accept flags that could be compared with recorded variates."""

    @property
    def flags_follow_variates(self) -> bool:
        """Whether variates were recorded, and accept flags are what they say."""

    def is_established(self, process: Process, bets: Bets) -> bool:
        """Whether a process is rich enough to count, and its best arm is one of these bets by itself."""


Explains = Callable[[Standing], bool]
"""Whether an explanation holds, as things stand."""


def everywhere(standing: Standing) -> bool:
    """Whether a process speaks: always."""
    return True


@dataclass(frozen=True)
class Elsewhere:
    """When a process speaks of another condition than its own.

    Attributes
    ----------
    when : callable
        From a :class:`Standing`.
    condition : Condition
    cause : str
        In words; the process's own where empty.
    """

    when: Explains
    condition: Condition
    cause: str = ""


@dataclass(frozen=True)
class Process:
    """One e-process.

    Attributes
    ----------
    name : str
    condition : Condition
        Whose breach it finds.
    observe : callable
        ``(view, noise) -> Observations``, or None where the trace does not hold what it takes.
    bets : tuple of Bet
    rank : Rank
    bettors : callable
        From bets and vocabulary to fresh bettors.
    weight : float
        In the mixture of all.
    counts : float
        Share of its ln E that counts when conditions are compared.
    speaks : callable
        From a :class:`Standing` to whether it says something of its own.
    elsewhere : Elsewhere, optional
        When it speaks of another condition.
    place : int, optional
        Where its variates are drawn among those of all conditions; the processes without a place come last, so that a
        new one leaves the variates of the others as they are. A rule with processes of its own has them in its groups'
        order.

    Raises
    ------
    InputError
        If two bets have one name.
    """

    name: str
    condition: Condition
    observe: Callable[[View, Floats], Observations | None]
    bets: Bets
    rank: Rank
    bettors: Bettors
    weight: float = 1.0
    counts: float = 1.0
    speaks: Explains = everywhere
    elsewhere: Elsewhere | None = None
    place: int | None = None

    def __post_init__(self) -> None:
        names = [bet.name for bet in self.bets]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise InputError(f"process {self.name!r}: has two bets named {twice!r}")
        if not names:
            raise InputError(f"process {self.name!r}: has no bets")

    def families(self, vocab_size: int) -> list[Family]:
        """Fresh bettors."""
        return self.bettors(self.bets, vocab_size)

    def build(self, view: View, noise: Floats) -> Batch | None:
        """Observe, with the laws and numbers that its bets bet on.

        Parameters
        ----------
        view : View
        noise : Float[S, N]
            Variates of its own, to randomise the PIT.
        """
        seen = self.observe(view, noise)
        return None if seen is None else batch_for(self.bets, seen, noise)


def batch_for(bets: Bets, seen: Observations, noise: Floats) -> Batch:
    """Lay out observations for some bets, with the laws and numbers that these look at.

    Parameters
    ----------
    bets : tuple of Bet
    seen : Observations
    noise : Float[S, N]
        Variates that randomise the PIT.
    """
    laws = _computed([bet.law for bet in bets], seen)
    numbers = _computed([part for bet in bets for part in bet.numbers], seen)
    return observations(seen.at, seen.tokens, seen.laws, seen.pick(noise), laws, numbers)


def _computed(wanted: Iterable[Seen | None], seen: Observations) -> dict[Any, npt.NDArray[Any]]:
    """What bets look at, each once, by what it is."""
    found = {of: of(seen) for of in dict.fromkeys(wanted) if of is not None}
    return {of: values for of, values in found.items() if values is not None}
