"""One run of the sampler: its walk, its variates, what it was noted to do, and which run is being replayed."""

from __future__ import annotations

import operator
import sys
import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from reprlib import repr as shortened
from types import FrameType
from typing import Any

from scd_analysis.errors import CannotEnumerate
from scd_analysis.exact.knowledge import Knowledge
from scd_analysis.exact.refusals import refuse, telling
from scd_analysis.exact.torch.memory import Shadow
from scd_analysis.exact.tree import Walk

REPEATED_NOISE = (
    "noise that comes again would be enumerated as new; scd_analysis.exact.Draws takes a key for every use, which says "
    "what is shared"
)

DrawKey = tuple[str, Hashable]
"""The kind of a draw ("uniform" or "race") and its key."""


def _plain(value: Any) -> Any:
    """An integer of any library as Python's own."""
    try:
        return operator.index(value)
    except TypeError:
        return value


@dataclass(eq=False)
class Run:
    """Everything that belongs to one run.

    Attributes
    ----------
    walk, known
        The path through the tree of choices, and the variates met on it.
    terms
        Variates that stand in tensors, by the number written in the tensor's shadow.
    postponed
        Whether a discrete draw was ever put off.
    shadow
        Which tensor storages hold variates; None until the first tensor draw.
    refused
        Why the run cannot be enumerated, even if the audited code has caught the error.
    notes
        Remarks for the law, such as "a seed was ignored".
    drawn
        Draws of our own interface, by key.
    seeds
        Kinds of generators and the seeds that they were given.
    states
        Of PyTorch's generators, from which a draw was made; hashed.
    torch_seed
        What PyTorch's global generator was seeded with, until it is drawn from.
    """

    walk: Walk
    known: Knowledge
    notes: set[str]
    terms: list[Any] = field(default_factory=lambda: [0.0])
    postponed: bool = False
    shadow: Shadow | None = None
    refused: CannotEnumerate | None = None
    thread: int = field(default_factory=threading.get_ident)
    drawn: dict[DrawKey, list[int]] = field(default_factory=dict)
    seeds: set[tuple[str, str]] = field(default_factory=set)
    states: set[bytes] = field(default_factory=set)
    torch_seed: int | None = None

    def note(self, text: str) -> None:
        """Keep a remark; repeated remarks are kept once."""
        self.notes.add(text)

    def seed(self, owner: str, value: Any, kind: str, start: Any = None) -> None:
        """Ignore a seed, and say so; a seed that comes twice brings its noise twice, which is not followed.

        Parameters
        ----------
        owner : str
            Who was given it.
        value : object
            The seed.
        kind : str
            Of generators: those of one kind give the same noise for the same seed.
        start : object, optional
            What the seed comes to, where several do; by default the seed, as an integer if it is one.

        Raises
        ------
        CannotEnumerate
            If a generator of this kind was given the seed before in this run.
        """
        self.note(f"a seed of {owner} was ignored")
        key = kind, repr(_plain(value) if start is None else start)
        if key in self.seeds:
            refuse(f"the seed {shortened(value)} of {owner}", f"it is given twice in one run, and {REPEATED_NOISE}")
        self.seeds.add(key)

    def take_refusal(self, error: CannotEnumerate) -> None:
        """Keep the first refusal."""
        if self.refused is None:
            self.refused = error


_active: Run | None = None


def active() -> Run | None:
    """Give the run being replayed on this thread, or None."""
    run = _active
    return run if run is not None and run.thread == threading.get_ident() else None


def current() -> Run | None:
    """Give the run being replayed, whichever thread asks; None while the engine itself computes."""
    return None if _quiet else _active


_quiet = False


@contextmanager
def quietly() -> Iterator[None]:
    """Let tensor operations of the engine itself pass untouched."""
    global _quiet
    before, _quiet = _quiet, True
    try:
        yield
    finally:
        _quiet = before


_outermost: FrameType | None = None


@contextmanager
def activate(run: Run) -> Iterator[None]:
    """Make ``run`` the one that draws are asked of."""
    global _active, _outermost
    before, (_active, _outermost) = (_active, _outermost), (run, sys._getframe(2))  # past contextlib's own
    try:
        with telling(run.take_refusal):
            yield
    finally:
        _active, _outermost = before


def drawing() -> Run | None:
    """Give the run that a draw belongs to; None on other threads and while the sampler imports a module.

    The sampler may itself be called while a module is imported, as at the head of a test file.
    """
    run = active()
    if run is None:
        return None
    frame = sys._getframe(1)
    while frame is not None and frame is not _outermost:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return None
        frame = frame.f_back  # type: ignore[assignment]
    return run
