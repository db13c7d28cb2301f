"""Bets, processes and observations are complete: nothing is computed that nobody bets on, and no name stands twice."""

import inspect
from dataclasses import replace
from importlib import import_module
from pkgutil import iter_modules

import pytest

from scd_analysis.audit import observations
from scd_analysis.audit.bets import Bet, Process, Rank, leaning
from scd_analysis.audit.conditions import PROCESSES
from scd_analysis.audit.observations.view import Observations
from scd_analysis.common.discovery import in_order
from scd_analysis.conditions import Condition
from scd_analysis.errors import InputError
from scd_analysis.evidence.features import sharpness

MODULES = [import_module(f"{observations.__name__}.{m.name}") for m in iter_modules(observations.__path__)]
KINDS = {kind for module in MODULES for kind in vars(module).values()
         if inspect.isclass(kind) and issubclass(kind, Observations) and kind is not Observations}  # fmt: skip
BETS = [bet for process in PROCESSES for bet in process.bets]
LOOKED_AT = {part for bet in BETS for part in (bet.law, *bet.numbers) if part is not None}


def laws_of(kind):
    """What a kind of observations offers to bets: its methods without arguments."""
    own = [value for name, value in vars(kind).items() if inspect.isfunction(value) and not name.startswith("_")]
    return [method for method in own if list(inspect.signature(method).parameters) == ["self"]]


@pytest.mark.parametrize("kind", sorted(KINDS, key=lambda kind: kind.__name__), ids=lambda kind: kind.__name__)
def test_every_law_and_number_is_bet_on(kind):
    assert [method.__qualname__ for method in laws_of(kind) if method not in LOOKED_AT] == []


def test_a_law_without_a_bet_would_be_seen():
    class Lonely(Observations):
        def untested(self):
            return self.laws

    assert [method for method in laws_of(Lonely) if method not in LOOKED_AT] == [Lonely.untested]


def test_every_condition_but_the_target_is_bet_on_and_every_rank_is_used():
    assert {process.condition for process in PROCESSES} == set(Condition) - {Condition.TARGET}  # that one is compared
    assert {process.rank for process in PROCESSES} == set(Rank)


def test_every_bet_says_what_it_means():
    for process in PROCESSES:
        for bet in process.bets:
            assert bet.more
            assert bet.less or process.bettors is not leaning


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "bets on nothing"),
        ({"along": sharpness, "token": Observations.pick}, "bets on along and token"),
        ({"along": sharpness, "stated": True}, "only a law can be stated"),
    ],
)
def test_a_bet_on_nothing_or_on_several_things_is_an_error(arguments, message):
    with pytest.raises(InputError, match=message):
        Bet("mine", "more", "less", **arguments)


def test_two_bets_of_one_name_are_an_error():
    bet = Bet("mine", "more", "less", sharpness)
    with pytest.raises(InputError, match="two bets named 'mine'"):
        Process("p", Condition.SELECTION, lambda view, noise: None, (bet, bet), Rank.HELD, leaning())
    with pytest.raises(InputError, match="has no bets"):
        Process("p", Condition.SELECTION, lambda view, noise: None, (), Rank.HELD, leaning())


def test_the_order_of_variates_is_carried_by_the_processes():
    """By number, without a hole, so that a place that is lost or taken shows; and a new process changes nobody's."""
    assert [process.place for process in PROCESSES] == list(range(len(PROCESSES)))
    new = replace(PROCESSES[0], name="new", place=None)
    assert [*in_order((new, *reversed(PROCESSES)), "processes").values()] == [*PROCESSES, new]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": PROCESSES[7].name, "place": None}, f"two are named '{PROCESSES[7].name}'"),
        ({"name": "mine", "place": 7}, f"'{PROCESSES[7].name}' and 'mine' both have the place 7"),
    ],
)
def test_a_name_or_a_place_that_is_taken_is_an_error(changes, message):
    with pytest.raises(InputError, match=f"processes: {message}"):
        in_order((*PROCESSES, replace(PROCESSES[0], **changes)), "processes")
