"""One run of the sampler: its walk, its variates, and what it was noted to do."""

from __future__ import annotations

import operator
import threading
from collections.abc import Hashable
from dataclasses import dataclass, field
from reprlib import repr as shortened
from typing import TYPE_CHECKING, Any

from scd_analysis.exact.context import refuse
from scd_analysis.exact.tree import Walk
from scd_analysis.exact.world import World

if TYPE_CHECKING:
    from scd_analysis.errors import CannotEnumerate
    from scd_analysis.exact.terms import Variate
    from scd_analysis.exact.torch_shadow import Shadow


AGAIN = (
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
    walk, world
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
    world: World
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
            refuse(f"the seed {shortened(value)} of {owner}", f"it is given twice in one run, and {AGAIN}")
        self.seeds.add(key)

    def uniform(self) -> Variate:
        """Draw a new uniform variate."""
        from scd_analysis.exact.terms import Variate

        return Variate(self.world, self.world.source(), ())
