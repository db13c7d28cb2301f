"""Plain forms of rules: what a rule does to one slot of one sequence, in any arithmetic.

A rule's batched form is what runs; its plain form is what the plain decoder runs (:mod:`reference.plain`) and what an
exact law is proved of. A rule owns both, in one class. A plain form says which methods it specifies; a class that
overrides one of these and not the plain form has none, since the inherited one is of another rule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from scd_analysis.errors import InputError

Law = tuple[Any, ...]
"""V probabilities: floats, fractions, or what a replay follows."""


def tensor(law: Law) -> torch.Tensor:
    """Return a law as Float64[V], for rules that are written for tensors."""
    return torch.tensor([float(p) for p in law], dtype=torch.float64)


def floats(law: torch.Tensor) -> Law:
    """Return a law Float[V] as a tuple of floats."""
    return tuple(law.tolist())


@dataclass(frozen=True)
class OneRedraft:
    """What the plain form of a drafting rule may use: :class:`reference.drafting.Sweep`, one slot of it.

    Attributes
    ----------
    target : Law
        p^t.
    previous : Law or None
        p^(t-1); None before the position's second pass.
    draft, declared : int, Law
        The draft that was verified and the law declared for it.
    verified : callable
        ``() -> (token, accepted)``, the output of verification; what it draws is drawn when it is asked for.
    draw : callable
        ``law -> token``, an independent draw.
    coin : callable
        ``() -> number``, fresh and uniform, for a choice between rules.
    race : callable
        ``law -> token``, the winner of a race with the position's own exponentials.
    number : callable
        ``value -> number`` of the arithmetic at hand.
    """

    target: Law
    previous: Law | None
    draft: int
    declared: Law
    verified: Callable[[], tuple[int, bool]]
    draw: Callable[[Law], int]
    coin: Callable[[], Any]
    race: Callable[[Law], int]
    number: Callable[[Any], Any]


@dataclass(frozen=True)
class OneCheck:
    """What the plain form of a verification rule may use: :class:`reference.verification.Check`, one slot of it.

    Attributes
    ----------
    target, declared : Law
        p^t and the law declared for the draft.
    draft : int
        The draft.
    uniform : callable
        ``() -> number``, fresh and uniform: the variate that accepts.
    draw : callable
        ``weights -> token``, the draw that replaces.
    residual : callable
        ``(target, declared) -> token``, the same draw from ``(target - declared)+``.
    """

    target: Law
    declared: Law
    draft: int
    uniform: Callable[[], Any]
    draw: Callable[[Law], int]
    residual: Callable[[Law, Law], int]


BATCHED = {"draft_one": "draft", "verify_one": "verify", "bonus_one": "bonus_probs"}
"""Plain form to the method that it specifies at least."""

F = TypeVar("F", bound=Callable[..., Any])


def specifies(*names: str) -> Callable[[F], F]:
    """Mark a method as the plain form of others of its class."""

    def mark(function: F) -> F:
        function.__dict__["specifies"] = names
        return function

    return mark


def plain_form(rule: Any, name: str, what: str) -> Callable[..., Any]:
    """Look up the plain form of a rule.

    Parameters
    ----------
    rule : DraftingRule or VerificationRule
        The rule.
    name : str
        Of the method that is its plain form.
    what : str
        What the rule is for, for messages.

    Raises
    ------
    InputError
        If it has none, or one that is inherited from a class whose batched form it has replaced.
    """
    kind = type(rule)
    owner = next((base for base in kind.__mro__ if name in base.__dict__), None)
    if owner is None:
        raise InputError(f"{what} = {rule!r}: has no {name}, so there is no plain form of it to follow or to prove")
    specified = getattr(owner.__dict__[name], "specifies", (BATCHED[name],))
    for base in kind.__mro__[: kind.__mro__.index(owner)]:
        if replaced := [own for own in specified if own in base.__dict__]:
            raise InputError(
                f"{what} = {rule!r}: {base.__name__} replaces {replaced[0]} but not {name}, its plain form; that of "
                f"{owner.__name__} is another rule's"
            )
    form: Callable[..., Any] = getattr(rule, name)
    return form
