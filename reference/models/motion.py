"""What a row of a video knows of the frames before it, so that a small network can tell how the picture moves.

Every place has a neighbourhood of 3x3 tokens in each of the two frames before: 18 displacements. A row reads three
things: the tokens of the nearer neighbourhood around the position it predicts; which displacements explain the last
tokens before that position (the motion, as seen so far); and its law is a mixture of copies along the displacements and
of what the network says itself, by learned weights. All of these are earlier tokens, gathered by position.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from reference.models.transformer import TransformerConfig

_BACK = 2
"""Frames looked back at: a pan of half a patch a frame repeats its tokens after two."""

_AROUND = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]

_RECENT = 32
"""Tokens before a position that show the motion."""

_SHARPNESS = 4
"""Power at which shares of agreement are given too: what was wrong half of the time is then nearly nothing."""

_FLOOR = 1e-12
"""No token is less probable, so that a copy of which the network is sure costs a bounded number of bits."""

NUM_DISPLACEMENTS = _BACK * len(_AROUND)


def _displaced(frames: int, height: int, width: int) -> Tensor:
    """Raster index of every position moved by every displacement: Long[N, K], N where that is no place before it."""
    none = torch.tensor(frames * height * width)
    frame, row, col = torch.meshgrid(torch.arange(frames), torch.arange(height), torch.arange(width), indexing="ij")
    moved = []
    for back in range(1, _BACK + 1):
        for down, right in _AROUND:
            f, r, c = frame - back, row + down, col + right
            inside = (f >= 0) & (r >= 0) & (r < height) & (c >= 0) & (c < width)
            moved.append(torch.where(inside, (f * height + r) * width + c, none).flatten())
    return torch.stack(moved, dim=-1)


def _counts(flags: Tensor) -> Tensor:
    """How often each was set before every position: Bool[..., N, K] -> Long[..., N + 1, K]."""
    return nn.functional.pad(flags.long().cumsum(-2), (0, 0, 1, 0))


class Motion(nn.Module):
    """The part of a :class:`reference.models.transformer.TokenTransformer` that sees frames.

    Parameters
    ----------
    config : TransformerConfig
        Sizes, of more than one frame.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        d = config.d_model
        self.tokens_a_frame = config.height * config.width
        self.embed_frame = nn.Embedding(config.frames, d)
        self.mix = nn.Linear(len(_AROUND) * d, d, bias=False)
        self.agree = nn.Linear(2 * NUM_DISPLACEMENTS, d, bias=False)
        self.copy = nn.Linear(d + 2 * NUM_DISPLACEMENTS, NUM_DISPLACEMENTS + 1)
        self.displaced: Tensor
        self.places: Tensor
        displaced = _displaced(config.frames, config.height, config.width)
        self.register_buffer("displaced", displaced, persistent=False)
        self.register_buffer("places", _counts(displaced < len(displaced)), persistent=False)

    def found(self, known: Tensor, rows: Tensor) -> Tensor:
        """What every displacement finds from ``rows`` (Long[B, R]): Long[B, R, K]; V where it finds nothing.

        ``known`` is Long[B, N + 1], the tokens and V.
        """
        return known.gather(1, self.displaced[rows].flatten(1)).view(*rows.shape, NUM_DISPLACEMENTS)

    def agreement(self, known: Tensor, rows: Tensor) -> Tensor:
        """How well each displacement explains the last tokens before every row: Float[B, R, 2 K].

        First the share of those it leads anywhere from that equal what it finds, one more counted as missed, so that
        little evidence is a small share; then the same to a power.
        """
        batch, length = len(known), known.shape[1] - 1
        everywhere = torch.arange(length, device=known.device).expand(batch, -1)
        hits = _counts(known[:, :length, None] == self.found(known, everywhere))
        first = (rows - _RECENT).clamp(min=0)
        start, end = (x[..., None].expand(-1, -1, NUM_DISPLACEMENTS) for x in (first, rows))
        hit = (hits.gather(1, end) - hits.gather(1, start)).to(self.copy.weight.dtype)
        share = hit / (self.places[rows] - self.places[first] + 1)
        return torch.cat([share, share**_SHARPNESS], dim=-1)

    def embed(self, known: Tensor, rows: Tensor, table: nn.Embedding) -> Tensor:
        """Terms of the input of ``rows`` (Long[B, R]): Float[B, R, d]."""
        around = table(self.found(known, rows)[..., : len(_AROUND)]).flatten(2)
        frame = self.embed_frame(rows // self.tokens_a_frame)
        return self.mix(around) + self.agree(self.agreement(known, rows)) + frame

    def mixture(self, logits: Tensor, x: Tensor, known: Tensor, rows: Tensor) -> Tensor:
        """Log-probabilities, Float[B, R, V], of a copy along one of the displacements or else a draw by ``logits``.

        Features ``x`` (Float[B, R, d]) and agreement weigh the displacements against each other and against none.
        """
        found = self.found(known, rows)
        choice = self.copy(torch.cat([x, self.agreement(known, rows)], dim=-1))
        choice = choice.to(torch.promote_types(choice.dtype, torch.float32))
        nowhere = nn.functional.pad(found == logits.shape[-1], (0, 1))
        weight = choice.masked_fill(nowhere, -torch.inf).softmax(-1)
        probs = nn.functional.pad(logits.to(weight.dtype).softmax(-1) * weight[..., -1:], (0, 1))
        for k in range(NUM_DISPLACEMENTS):  # one displacement at a time: the order of additions is fixed on any device
            probs.scatter_add_(-1, found[..., k : k + 1], weight[..., k : k + 1])
        return probs[..., :-1].clamp(min=_FLOOR).log()
