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
class Batch:
    """Sequences to bet on. S sequences of N tokens over a vocabulary of V.

    Attributes
    ----------
    tokens : Long[S, N]
        The sequences, in the order in which they are judged.
    target_probs : Float[S, N, V]
        The target law of each token given the tokens before it, float64, normalised.
    uniforms : Float[S, N]
        Independent variates in [0, 1) that randomise the PIT; drawn by the caller, apart from the subject's.
    companions : mapping of str to Float[S, N, V]
        Other laws that a faulty decoder could have used in place of the target's, each a function of the tokens before
        the position only, such as ``"stale-1"``: the law that does not know the last token.
    cells : Long[S] or None
        The number of each sequence among all V**N, first token most significant; None where they cannot be counted.
    grid_width : int or None
        Tokens in a row, where the tokens are an image read row by row.
    context : mapping of str to Float[S, N] or Long[S, N]
        What else is known before a token is drawn, such as the noise of an earlier position; for directions that use
        it.
    active : Bool[S, N] or None
        Where there is something to bet on; None is everywhere. Elsewhere the law is a point mass on the token.
    """

    tokens: Longs
    target_probs: Floats
    uniforms: Floats
    companions: Mapping[str, Floats] = field(default_factory=dict)
    cells: Longs | None = None
    grid_width: int | None = None
    context: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    active: npt.NDArray[np.bool_] | None = None

    @property
    def token_probs(self) -> Floats:
        """Return Float[S, N], the target probability of each token."""
        return np.take_along_axis(self.target_probs, self.tokens[..., None], axis=-1)[..., 0]

    def __len__(self) -> int:
        return len(self.tokens)

    def part(self, start: int, stop: int) -> Batch:
        """Return sequences ``start ... stop - 1``."""
        return replace(
            self,
            tokens=self.tokens[start:stop],
            target_probs=self.target_probs[start:stop],
            uniforms=self.uniforms[start:stop],
            companions={name: laws[start:stop] for name, laws in self.companions.items()},
            cells=None if self.cells is None else self.cells[start:stop],
            context={name: values[start:stop] for name, values in self.context.items()},
            active=None if self.active is None else self.active[start:stop],
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
    companions: Mapping[str, Floats] | None = None,
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
    companions: Mapping[str, Floats] | None = None,
    context: Mapping[str, npt.NDArray[Any]] | None = None,
) -> Batch:
    """Make a batch of observations that are there at some places only.

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
    """
    tokens = np.where(active, tokens, 0)
    active = active & (np.take_along_axis(laws, tokens[..., None], axis=-1)[..., 0] > 0)
    point = np.arange(laws.shape[-1]) == tokens[..., None]
    laws = np.where(active[..., None], laws, point)
    laws = laws / laws.sum(axis=-1, keepdims=True)
    at = np.nonzero(active)
    others = {name: _known_at(at, law, laws) for name, law in (companions or {}).items()}
    return Batch(tokens, laws, uniforms, others, context=context or {}, active=active)


def _known_at(at: tuple[npt.NDArray[Any], ...], law: Floats, otherwise: Floats) -> Floats:
    """Return ``law`` at those places where it has no NaN, elsewhere the other."""
    out, there = otherwise.copy(), law[at]
    known = ~np.isnan(there).any(axis=-1)
    out[tuple(axis[known] for axis in at)] = there[known]
    return out
