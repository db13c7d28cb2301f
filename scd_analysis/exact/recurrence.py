"""States that come again: how often each is visited, by solving linear equations in which nothing cancels.

A loop that rejects until it accepts returns to a state with some probability; its visits are a geometric series. States
that lead to each other are solved together by the elimination of Grassmann, Taksar and Heyman (1985), which only adds,
multiplies and divides positive numbers, exactly where they are Fractions.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import TypeVar

from scd_analysis.exact.arithmetic import Number, Sum

State = TypeVar("State", bound=Hashable)
Rows = Mapping[State, Sequence[tuple[State, Number]]]
"""Where each state leads, with what probability; what is missing from one leaves the states of the table."""


def visits(arriving: Mapping[State, Number], rows: Rows[State], leaving: Mapping[State, Number]) -> dict[State, Number]:
    """Expected number of visits to each state.

    Parameters
    ----------
    arriving
        Mass that comes into each state from outside.
    rows
        Transitions between states.
    leaving
        Probability with which each state leaves the table; with its row it sums to one.

    Returns
    -------
    dict
        Times the arriving mass; a state that the states after it never leave has no number and is left out.
    """
    masses = {state: Sum([mass]) for state, mass in arriving.items()}
    found: dict[State, Number] = {}
    for together in _components(list(arriving), rows):
        inside = set(together)
        came = [masses[state].value if state in masses else 0 for state in together]
        numbers = _solved(together, came, rows, leaving)
        for state, number in zip(together, numbers, strict=True):
            if number is None:
                continue
            found[state] = number
            for end, p in rows[state]:
                if end not in inside:
                    masses.setdefault(end, Sum()).add(number * p)
    return found


def _solved(
    states: Sequence[State], came: list[Number], rows: Rows[State], leaving: Mapping[State, Number]
) -> list[Number | None]:
    """Visits to states that lead to each other; None where they are never left."""
    place = {state: index for index, state in enumerate(states)}
    size = len(states)
    inner: list[list[Number]] = [[0] * size for _ in states]
    out: list[Number] = [leaving[state] for state in states]
    for index, state in enumerate(states):
        for end, p in rows[state]:
            if end in place:
                inner[index][place[end]] += p
            else:
                out[index] += p
    if not any(p > 0 for p in out):
        return [None] * size
    rest: list[Number] = [0] * size
    for k in range(size - 1, -1, -1):
        rest[k] = sum(inner[k][:k]) + out[k]  # one minus the probability of staying
        for i in range(k):
            share = inner[i][k] / rest[k]
            for j in range(k):
                inner[i][j] += share * inner[k][j]
            out[i] += share * out[k]
        for j in range(k):
            came[j] += came[k] / rest[k] * inner[k][j]
    numbers: list[Number | None] = []
    for k in range(size):
        reached = sum((numbers[i] or 0) * inner[i][k] for i in range(k))
        numbers.append((came[k] + reached) / rest[k])
    return numbers


def _components(starts: Sequence[State], rows: Rows[State]) -> list[list[State]]:
    """Give the sets of states that lead to each other, each before those that it leads to (Tarjan, 1972)."""
    number: dict[State, int] = {}
    lowest: dict[State, int] = {}
    stack: list[State] = []
    on_stack: set[State] = set()
    found: list[list[State]] = []
    for start in starts:
        if start in number:
            continue
        work: list[tuple[State, Iterator[tuple[State, Number]]]] = []

        def enter(state: State, work: list[tuple[State, Iterator[tuple[State, Number]]]] = work) -> None:
            number[state] = lowest[state] = len(number)
            stack.append(state)
            on_stack.add(state)
            work.append((state, iter(rows[state])))

        enter(start)
        while work:
            state, ends = work[-1]
            following = next((end for end, _ in ends if end not in number or end in on_stack), None)
            if following is None:
                work.pop()
                if work:
                    lowest[work[-1][0]] = min(lowest[work[-1][0]], lowest[state])
                if lowest[state] == number[state]:
                    found.append(_popped(stack, on_stack, state))
            elif following in on_stack:
                lowest[state] = min(lowest[state], number[following])
            else:
                enter(following)
    return found[::-1]


def _popped(stack: list[State], on_stack: set[State], last: State) -> list[State]:
    together: list[State] = []
    while not together or together[-1] != last:
        together.append(stack.pop())
        on_stack.discard(together[-1])
    return together
