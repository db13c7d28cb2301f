"""What a bettor sees: sequences in order, with the target law of every token."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from scd_analysis.errors import InputError
from scd_analysis.validate import check_laws, check_tokens

Floats = npt.NDArray[np.float64]
Longs = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Rows:
    """Where sequences stand in the batch that a subject returned.

    Attributes
    ----------
    number : Long[S]
        From 0, in order.
    size : int
        Sequences of the batch.
    """

    number: Longs
    size: int


@dataclass(frozen=True)
class Piece:
    """Of what a batch is a piece, where it holds some positions of longer sequences.

    Attributes
    ----------
    tokens : Long[S, N]
        The whole sequences.
    start : int
        The position at which the piece begins.
    before : Float[S, n, V]
        The laws of the position before each; the first one's own where there is none.
    rooms : tuple of Float[S, n, V]
        Where to write what is worked out of the laws: fresh memory costs more than the arithmetic.
    """

    tokens: Longs
    start: int
    before: Floats
    rooms: tuple[Floats, ...]


@dataclass(frozen=True)
class Batch:
    """Sequences to bet on. S sequences of N tokens over a vocabulary of V.

    Attributes
    ----------
    tokens : Long[S, N]
        The sequences, in the order in which they are judged.
    target_probs : Float[S, N, V]
        The target law of each token given the tokens before it, float64, normalised. Of a long sequence over a large
        vocabulary it is :class:`scd_analysis.evidence.pieces.LawsInPieces`, which is indexed as an array is.
    uniforms : Float[S, N]
        Independent variates in [0, 1) that randomise the PIT; drawn by the caller, apart from the subject's.
    companions : mapping of any key to Float[S, N, V]
        Other laws that a faulty decoder could have used in place of the target's, each a function of the tokens before
        the position only, such as ``"stale-1"``: the law that does not know the last token.
    cells : Long[S] or None
        The number of each sequence among all V**N, first token most significant; None where they cannot be counted.
    grid_width : int or None
        Tokens in a row, where the tokens are an image read row by row.
    context : mapping of any key to Float[S, N] or Long[S, N]
        What else is known before a token is drawn, such as the noise of an earlier position; for directions that use
        it.
    position : Long[S, N] or None
        Where in its sequence each token lies; None is 0, 1, ...
    sequence : Long[S] or None
        Of which sequence each row is, ascending, where rows are single observations of sequences.
    rows : Rows or None
        Where each sequence stood in the batch that was drawn; None where that means nothing.
    piece : Piece or None
        Of what this is a piece.
    known : dict
        What bettors have computed of this batch, for each other (:func:`scd_analysis.evidence.moments.moments`).
    """

    tokens: Longs
    target_probs: Floats
    uniforms: Floats
    companions: Mapping[Any, Floats] = field(default_factory=dict)
    cells: Longs | None = None
    grid_width: int | None = None
    context: Mapping[Any, npt.NDArray[Any]] = field(default_factory=dict)
    position: Longs | None = None
    sequence: Longs | None = None
    rows: Rows | None = None
    piece: Piece | None = None
    known: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def token_probs(self) -> Floats:
        """Return Float[S, N], the target probability of each token."""
        return np.take_along_axis(self.target_probs, self.tokens[..., None], axis=-1)[..., 0]

    def __len__(self) -> int:
        return len(self.tokens)

    def room(self, number: int) -> Floats:
        """Return an array of the shape of the laws to write to: of a piece, one of those that it brings."""
        return np.empty(self.target_probs.shape) if self.piece is None else self.piece.rooms[number]

    def part(self, start: int, stop: int) -> Batch:
        """Return sequences ``start ... stop - 1``."""
        return self.only(slice(start, stop))

    def only(self, which: slice | npt.NDArray[np.bool_]) -> Batch:
        """Return some of the sequences."""
        return replace(
            self,
            tokens=self.tokens[which],
            target_probs=self.target_probs[which],
            uniforms=self.uniforms[which],
            companions={name: laws[which] for name, laws in self.companions.items()},
            cells=None if self.cells is None else self.cells[which],
            context={name: values[which] for name, values in self.context.items()},
            position=None if self.position is None else self.position[which],
            sequence=None if self.sequence is None else self.sequence[which],
            rows=None if self.rows is None else Rows(self.rows.number[which], self.rows.size),
            known={},
        )

    def chunks(self, seen: int, growth: float, smallest: int) -> Iterator[Batch]:
        """Cut the batch so that each part is at most ``growth`` times what was seen before it.

        Bettors that learn between parts rather than between sequences then adapt at every scale, at a cost that grows
        with the logarithm of the number of sequences.
        """
        start = 0
        while start < len(self):
            size = max(smallest, int(growth * (seen + start)))
            yield self.part(start, start + size)
            start += size


def make_batch(
    tokens: Longs,
    target_probs: Floats,
    uniforms: Floats,
    companions: Mapping[Any, Floats] | None = None,
    cells: Longs | None = None,
    grid_width: int | None = None,
) -> Batch:
    """Check and normalise the inputs of :class:`Batch`.

    Raises
    ------
    InputError
        If the shapes disagree or a token is outside the vocabulary.
    LawError
        If a law has a NaN, a negative entry, or a sum off by more than 1e-4.
    """
    if tokens.ndim != 2 or target_probs.shape[:2] != tokens.shape or target_probs.ndim != 3:
        raise InputError(
            f"target_probs has shape {target_probs.shape}: tokens of shape {tokens.shape} need one law each"
        )
    if uniforms.shape != tokens.shape:
        raise InputError(f"uniforms has shape {uniforms.shape}: tokens have shape {tokens.shape}")
    check_tokens(tokens, target_probs.shape[-1], "tokens")
    check_laws(target_probs, "target_probs")
    normalised = target_probs / target_probs.sum(axis=-1, keepdims=True)
    return Batch(tokens, normalised, uniforms, companions or {}, cells, grid_width)


def observed(
    tokens: Longs,
    laws: Floats,
    uniforms: Floats,
    active: npt.NDArray[np.bool_],
    companions: Mapping[Any, Floats] | None = None,
    context: Mapping[Any, npt.NDArray[Any]] | None = None,
) -> Batch:
    """Make a batch of observations that are there at some places only: one row an observation, in order.

    Parameters
    ----------
    tokens : Long[S, N]
        Anything where ``active`` is False.
    laws : Float[S, N, V]
        The null law of each; normalised here, anything where ``active`` is False.
    uniforms : Float[S, N]
        As in :class:`Batch`.
    active : Bool[S, N]
        Where something was observed; a function of what came before. An observation that is impossible under its law is
        left out too: it needs no bet.
    companions, context
        As in :class:`Batch`; a companion with a NaN in it says nothing there.

    Returns
    -------
    Batch
        Of as many sequences of one token as there are observations; ``sequence`` and ``position`` say where each was.
    """
    at = np.nonzero(active)
    others = {name: law[at] for name, law in (companions or {}).items()}
    known = {name: values[at] for name, values in (context or {}).items()}
    return observations(at, tokens[at], laws[at], uniforms[at], others, known)


def observations(
    at: tuple[Longs, ...],
    tokens: Longs,
    laws: Floats,
    uniforms: Floats,
    companions: Mapping[Any, Floats],
    context: Mapping[Any, npt.NDArray[Any]],
) -> Batch:
    """As :func:`observed`, with A observations already picked out.

    Parameters
    ----------
    at : tuple of Long[A], Long[A]
        Sequence and position of each, in order.
    tokens, laws, uniforms : Long[A], Float[A, V], Float[A]
    companions, context : mapping of any key to Float[A, V] or array[A]
    """
    possible = laws[np.arange(len(tokens)), tokens] > 0
    rows = slice(None) if possible.all() else np.flatnonzero(possible)  # laws are long: nothing is copied in vain
    laws = laws[rows]
    laws = laws / laws.sum(axis=-1, keepdims=True)
    others = {name: _with_nulls(law[rows], laws) for name, law in companions.items()}
    return Batch(
        tokens[rows, None],
        laws[:, None],
        uniforms[rows, None],
        {name: law[:, None] for name, law in others.items()},
        context={name: values[rows, None] for name, values in context.items()},
        sequence=at[0][rows],
        position=at[1][rows, None],
    )


def _with_nulls(law: Floats, null: Floats) -> Floats:
    """Laws, Float[A, V], and the null law where one has a NaN in it."""
    unknown = np.isnan(law.sum(axis=-1))
    if not unknown.any():
        return law
    out = law.copy()
    out[unknown] = null[unknown]
    return out
