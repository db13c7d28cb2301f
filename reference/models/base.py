"""The contract of a target model, and how the decoder reads laws from it.

Anybody's model needs three things::

    model.vocab_size, model.num_tokens
    model.next_token_probs(tokens)   # Long[B, t] -> Float[B, t + 1, V], t < num_tokens

where row k is the law of token k given ``tokens[:, :k]``::

    tokens     x0   x1   x2               (t = 3)
    row 0      law of x0, given nothing
    row 1           law of x1 given x0
    row 2                law of x2 given x0 x1
    row 3                     law of x3 given x0 x1 x2

after every logit processor. A model that can do less work for a window also has
``open_session(num_sequences, device)``, which starts a batch with a :class:`Session` of its own. It may also state its
``grid`` (rows, columns) if it is one of images, the ``device`` that it is on, and its ``name``.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from scd_analysis.errors import CausalityError, InputError, LawError
from scd_analysis.validate import SAME_LAW, as_array, check_laws, check_model_laws, law_tolerance, precision_of

SHORT_PROBE = 64
"""Tokens that a decode tries a model with: all of them would take as long as a dozen passes."""

_PROBE_ENTRIES = 2**25
"""Probabilities that checking a model may ask for: a large model is checked on the beginning of its sequences."""


@runtime_checkable
class TargetModel(Protocol):
    """Whose law is to be sampled; see the module's first lines."""

    @property
    def vocab_size(self) -> int:
        """V."""

    @property
    def num_tokens(self) -> int:
        """N, tokens of one sequence."""

    def next_token_probs(self, tokens: Tensor) -> Tensor:
        """Law of every next token: Long[B, t] -> Float[B, t + 1, V]."""


class Session(Protocol):
    """Laws for one batch while it is decoded; may hold a cache.

    A session whose ``laws`` are the same operations on the same memory at every pass, whatever ``reach`` is, until
    ``keep`` is called, may say so by an attribute ``replayable = True``: see :mod:`reference.fast.graphs`.
    """

    def laws(self, tokens: Tensor, rows: Tensor, reach: int) -> Tensor:
        """Laws of the rows asked for.

        Parameters
        ----------
        tokens : Tensor
            Long[B, N], committed tokens and drafts; a row depends only on tokens before it. They are the decoder's
            own, and not to be written to, as ``rows``.
        rows : Tensor
            Long[B, R], ascending by one from the first uncommitted position, the last row repeated past the end.
        reach : int
            No row is above it.

        Returns
        -------
        Tensor
            Float[B, R, V].
        """

    def keep(self, index: Tensor) -> None:
        """Go on with the sequences ``index`` (Long[B']) only."""


def read_laws(model: TargetModel, tokens: Tensor) -> Tensor:
    """``model.next_token_probs``, detached and dense, of a copy of the tokens: what a model does to it stays there.

    Raises
    ------
    InputError
        If it is not a floating tensor that holds numbers.
    """
    probs = model.next_token_probs(tokens.clone())
    if not isinstance(probs, Tensor) or not probs.is_floating_point():
        kind = str(probs.dtype) if isinstance(probs, Tensor) else type(probs).__name__
        raise InputError(f"next_token_probs(tokens) is a {kind}: expected a tensor of floats")
    if probs.is_meta and not tokens.is_meta:
        raise InputError("next_token_probs(tokens) lies on the device 'meta': it holds no numbers")
    probs = probs.detach()
    dense = probs if probs.layout == torch.strided else probs.to_dense()
    if torch.finfo(dense.dtype).bits >= 16:
        return dense
    wide = dense.float()  # with fewer there is no arithmetic
    total = wide.sum(-1, keepdim=True)
    return torch.where((total - 1).abs() <= law_tolerance(dense), wide / total, wide)


class PlainSession:
    """A session for any model: one full call of ``next_token_probs`` a pass."""

    def __init__(self, model: TargetModel) -> None:
        self.model = model

    def laws(self, tokens: Tensor, rows: Tensor, reach: int) -> Tensor:
        """See :class:`Session`."""
        probs = read_laws(self.model, tokens[:, :reach])
        expected = (len(tokens), reach + 1, self.model.vocab_size)
        if tuple(probs.shape) != expected:
            raise InputError(f"next_token_probs(tokens) has shape {tuple(probs.shape)}: expected {expected}")
        probs = probs.to(tokens.device)
        return probs.gather(1, rows[..., None].expand(-1, -1, probs.shape[-1]))

    def keep(self, index: Tensor) -> None:
        """See :class:`Session`; there is nothing to keep."""


def grid_of(model: TargetModel) -> tuple[int, int] | None:
    """Rows and columns of a model of images, where it states its ``grid``."""
    grid: tuple[int, int] | None = getattr(model, "grid", None)
    return grid


def device_of(model: TargetModel) -> torch.device | str:
    """Where a model is, if it states its ``device``; else the CPU."""
    device: torch.device | str = getattr(model, "device", "cpu")
    return device


class LikeModel:
    """What a model that asks another one states as that does: its sizes, its grid and where it is."""

    def __init__(self, model: TargetModel) -> None:
        self.model, self.vocab_size, self.num_tokens = model, model.vocab_size, model.num_tokens
        self.grid = grid_of(model)

    @property
    def device(self) -> torch.device | str:
        """Where the model underneath is."""
        return device_of(self.model)


def open_session(model: TargetModel, num_sequences: int, device: torch.device) -> Session:
    """The model's own session, or a plain one."""
    if hasattr(model, "open_session"):
        session: Session = model.open_session(num_sequences, device)
        return session
    return PlainSession(model)


def check_model(
    model: TargetModel, device: torch.device | str = "cpu", *, num_tokens: int | None = None
) -> torch.dtype:
    """Check that a model keeps the contract: sizes, shapes, laws that are laws, and no look at later tokens.

    Parameters
    ----------
    model : TargetModel
        Called once.
    device : torch.device or str
        Where the tokens it is called with lie.
    num_tokens : int, optional
        How many tokens to call it with; as many as it takes, by default. A decode, which looks at every law it is
        given, asks for a few.

    Returns
    -------
    torch.dtype
        In which its laws can be held: as they come, at least float32.

    Raises
    ------
    InputError
        Naming what is missing, or the shape.
    LawError
        Naming the first entry that is no probability.
    CausalityError
        Naming the row that changed when only later tokens did.
    """
    if lacks := [n for n in ("vocab_size", "num_tokens", "next_token_probs") if not hasattr(model, n)]:
        raise InputError(f"model = {type(model).__name__}: has no {', '.join(lacks)}")
    vocab, length = model.vocab_size, model.num_tokens - 1
    for name, value in (("vocab_size", vocab), ("num_tokens", length + 1)):
        if value < 1:
            raise InputError(f"model.{name} = {value}: must be at least 1")
    length = min(length, length if num_tokens is None else num_tokens, max(_PROBE_ENTRIES // (4 * vocab), 1))
    cuts = sorted({0, length // 2, max(length - 1, 0)})
    probe = torch.zeros(1 + len(cuts), length, dtype=torch.long, device=device)
    for row, cut in enumerate(cuts, start=1):
        probe[row, cut:] = vocab - 1
    probs = read_laws(model, probe)
    name, expected = "next_token_probs(tokens)", (len(probe), length + 1, vocab)
    check_model_laws(as_array(probs, name), expected, name, law_tolerance(probs))
    for row, cut in enumerate(cuts, start=1):
        moved = (probs[row, : cut + 1] - probs[0, : cut + 1]).abs().amax(-1)
        if bool((moved > SAME_LAW + precision_of(probs)).any()):
            k = int(moved.argmax())
            raise CausalityError(
                f"next_token_probs(tokens)[:, {k}] moved by {float(moved[k]):.3g} when only tokens from {cut} changed"
            )
    return torch.promote_types(probs.dtype, torch.float32)


def held_laws(probs: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return laws as a model gave them, Float[B, R, V], in the precision that a decode holds them in.

    Those in fewer than 32 bits are taken for what they say, and divided by their sums, which rounding moves.

    Returns
    -------
    tuple of (Tensor, Tensor)
        The laws, and whether any of them is none: a boolean scalar on the device, so that nothing waits for it.
    """
    held = probs.to(dtype)
    total = held.sum(-1, keepdim=True)
    bad = ~(((total - 1).abs() <= law_tolerance(probs)).all() & (held >= 0).all())  # a NaN fails both comparisons
    return held / total if precision_of(probs) else held, bad


def raise_bad_laws(probs: Tensor, iteration: int) -> None:
    """Name the entry that :func:`held_laws` saw.

    Raises
    ------
    LawError
        Always.
    """
    check_laws(probs.detach().cpu().double().numpy(), f"target_probs at iteration {iteration}")
    raise LawError(f"target_probs at iteration {iteration}: not laws")
