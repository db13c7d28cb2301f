"""A small decoder-only transformer over a raster of tokens, with a static key-value cache.

Row ``i`` of every forward predicts token ``i`` from the tokens before it. Its input is made of the tokens to the
left, above and above right of position ``i`` (all of them earlier in raster order), the position and the class;
attention over the rows before it supplies the rest of the prefix. A video is a raster of frames below one another; its
rows also look at the frames before theirs (:mod:`reference.models.motion`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reference.models.motion import Motion

_MIN_ROWS = 4
"""Fewest rows a matrix product is given: below this, BLAS takes another kernel and rounds differently."""


@dataclass(frozen=True)
class TransformerConfig:
    """Sizes of a :class:`TokenTransformer`.

    Attributes
    ----------
    vocab_size : int
        Number of token values V.
    height, width : int
        The raster of one frame, in tokens.
    num_classes : int
        Number of classes; one more, the null class, has index ``num_classes``.
    d_model, num_layers, num_heads : int
        Width, depth and attention heads.
    frames : int
        Frames of a video, one after another; 1 is an image. ``num_tokens = frames * height * width``.
    """

    vocab_size: int
    height: int
    width: int
    num_classes: int
    d_model: int = 192
    num_layers: int = 6
    num_heads: int = 6
    frames: int = 1

    @property
    def num_tokens(self) -> int:
        """Tokens of one sequence, N."""
        return self.frames * self.height * self.width

    def to_dict(self) -> dict[str, int]:
        """Return the sizes as plain data."""
        return asdict(self)


class KVCache:
    """Keys and values of every layer, addressed by absolute row.

    An entry made from a draft token that was later rejected is overwritten by the next pass over its row; nothing is
    ever rolled back.
    """

    def __init__(self, config: TransformerConfig, batch_size: int, device: torch.device, dtype: torch.dtype) -> None:
        head_dim = config.d_model // config.num_heads
        shape = (config.num_layers, 2, batch_size, config.num_tokens, config.num_heads, head_dim)
        self.entries = torch.zeros(shape, device=device, dtype=dtype)

    def select(self, keep: Tensor) -> None:
        """Keep only the sequences ``keep`` (Long[B'])."""
        count = len(keep)
        for half in self.entries.flatten(0, 1):  # in place, piece by piece: fresh memory would cost more than copies
            half[:count] = half.index_select(0, keep)
        self.entries = self.entries[:, :, :count]


def _neighbours(frames: int, height: int, width: int) -> Tensor:
    """Raster index of the left, upper and upper-right token of every position in its frame; N where none."""
    line, col = torch.meshgrid(torch.arange(frames * height), torch.arange(width), indexing="ij")
    none = torch.tensor(frames * height * width)
    here, row = line * width + col, line % height
    left = torch.where(col > 0, here - 1, none)
    up = torch.where(row > 0, here - width, none)
    up_right = torch.where((row > 0) & (col < width - 1), here - width + 1, none)
    return torch.stack([left, up, up_right], dim=-1).reshape(-1, 3)


def _rotary_angles(height: int, width: int, head_dim: int) -> Tensor:
    """Angles of a two-dimensional rotary embedding: the first half of a head turns by row, the rest by column."""
    quarter = head_dim // 4
    frequencies = 50.0 ** (-torch.arange(quarter, dtype=torch.float64) / quarter)
    row, col = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    by_row = row.reshape(-1, 1) * frequencies
    by_col = col.reshape(-1, 1) * frequencies
    return torch.cat([by_row, by_col], dim=-1).float()


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


class Block(nn.Module):
    """Pre-norm attention and a squared-ReLU network, both residual."""

    def __init__(self, config: TransformerConfig, dropout: float) -> None:
        super().__init__()
        d = config.d_model
        self.num_heads = config.num_heads
        self.qkv = nn.Linear(d, 3 * d, bias=False)
        self.out = nn.Linear(d, d, bias=False)
        self.up = nn.Linear(d, 4 * d, bias=False)
        self.down = nn.Linear(4 * d, d, bias=False)
        self.norm_attention = nn.RMSNorm(d, eps=1e-6)
        self.norm_mlp = nn.RMSNorm(d, eps=1e-6)
        self.dropout = nn.Dropout(dropout)

    def project(self, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of rows ``x`` (Float[B, R, d]), each Float[B, R, H, d / H]."""
        batch, rows, _ = x.shape
        qkv = self.qkv(self.norm_attention(x)).view(batch, rows, 3, self.num_heads, -1)
        q, k, v = qkv.unbind(2)
        q, k = F.rms_norm(q, q.shape[-1:], eps=1e-6), F.rms_norm(k, k.shape[-1:], eps=1e-6)
        return _rotate(q, cos, sin), _rotate(k, cos, sin), v

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """Add the attention output (Float[B, R, d]) and the feed-forward network to the residual stream."""
        x = x + self.dropout(self.out(attended))
        return x + self.dropout(self.down(F.relu(self.up(self.norm_mlp(x))).square()))


class TokenTransformer(nn.Module):
    """The network: logits of token ``i`` given the tokens before it and a class.

    Parameters
    ----------
    config : TransformerConfig
        Sizes.
    dropout : float
        Dropout of the residual branches while training.
    """

    def __init__(self, config: TransformerConfig, dropout: float = 0.0) -> None:
        super().__init__()
        self.config = config
        d = config.d_model
        self.embed_token = nn.Embedding(config.vocab_size + 1, d)  # the last entry stands for "no such neighbour"
        self.embed_row = nn.Embedding(config.height, d)
        self.embed_col = nn.Embedding(config.width, d)
        self.embed_class = nn.Embedding(config.num_classes + 1, d)
        self.mix = nn.Linear(3 * d, d, bias=False)
        self.blocks = nn.ModuleList([Block(config, dropout) for _ in range(config.num_layers)])
        self.norm = nn.RMSNorm(d, eps=1e-6)
        self.head = nn.Linear(d, config.vocab_size)
        self.motion = Motion(config) if config.frames > 1 else None
        self.neighbours: Tensor
        self.cos: Tensor
        self.sin: Tensor
        angles = _rotary_angles(config.frames * config.height, config.width, d // config.num_heads)
        around = _neighbours(config.frames, config.height, config.width)
        self.register_buffer("neighbours", around, persistent=False)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def embed(self, tokens: Tensor, classes: Tensor, rows: Tensor) -> Tensor:
        """Input of rows ``rows`` (Long[B, R]) given all tokens (Long[B, N]) and classes (Long[B])."""
        config = self.config
        batch, num_rows = rows.shape
        known = self._known(tokens)
        near = known.gather(1, self.neighbours[rows].view(batch, -1))
        x = self.mix(self.embed_token(near).view(batch, num_rows, -1))
        x = x + self.embed_row(rows // config.width % config.height) + self.embed_col(rows % config.width)
        x = x + self.embed_class(classes)[:, None]
        return x if self.motion is None else x + self.motion.embed(known, rows, self.embed_token)

    def _known(self, tokens: Tensor) -> Tensor:
        """All tokens, and last the one that stands for "no such neighbour": Long[B, N + 1]."""
        return torch.cat([tokens, tokens.new_full((len(tokens), 1), self.config.vocab_size)], dim=1)

    def read_out(self, x: Tensor, tokens: Tensor, rows: Tensor) -> Tensor:
        """Logits, Float[B, R, V], of the residual stream at rows ``rows``."""
        x = self.norm(x)
        logits = self.head(x)
        return logits if self.motion is None else self.motion.mixture(logits, x, self._known(tokens), rows)

    def forward(self, tokens: Tensor, classes: Tensor, num_rows: int | None = None) -> Tensor:
        """Logits of every position in one causal pass (training and ``next_token_probs``).

        Parameters
        ----------
        tokens : Tensor
            Long[B, N]; the last token influences no row.
        classes : Tensor
            Long[B].
        num_rows : int, optional
            Of the first R positions only.

        Returns
        -------
        Tensor
            Float[B, N or R, V].
        """
        rows = torch.arange(num_rows or self.config.num_tokens, device=tokens.device)
        cos, sin = self.cos[rows, None], self.sin[rows, None]
        rows = rows.expand(len(tokens), -1)
        x = self.embed(tokens, classes, rows)
        for block in self.blocks:
            assert isinstance(block, Block)
            q, k, v = (y.transpose(1, 2) for y in block.project(x, cos, sin))
            attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = block.finish(x, attended.transpose(1, 2).flatten(2))
        return self.read_out(x, tokens, rows)

    def forward_window(self, tokens: Tensor, classes: Tensor, rows: Tensor, cache: KVCache) -> Tensor:
        """Logits of the rows ``rows`` only, reading and writing the cache.

        Parameters
        ----------
        tokens : Tensor
            Long[B, N]: committed tokens, then drafts; what lies past a row does not influence it.
        classes : Tensor
            Long[B].
        rows : Tensor
            Long[B, R], each sequence's rows consecutive and ascending; entries of the cache before ``rows[:, 0]``
            must come from the final prefix.
        cache : KVCache
            Updated in place at ``rows``.

        Returns
        -------
        Tensor
            Float[B, R, V].
        """
        num_rows = rows.shape[1]
        if num_rows < _MIN_ROWS:  # repeat the last row: it writes the same cache entry again
            rows = torch.cat([rows, rows[:, -1:].expand(-1, _MIN_ROWS - num_rows)], dim=1)
        batch = len(rows)
        x = self.embed(tokens, classes, rows)
        cos, sin = self.cos[rows][:, :, None], self.sin[rows][:, :, None]
        visible = torch.arange(self.config.num_tokens, device=rows.device) <= rows[:, :, None]
        index = rows[:, :, None, None].expand(-1, -1, *cache.entries.shape[-2:])
        for layer, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            q, k, v = block.project(x, cos, sin)
            keys, values = cache.entries[layer, 0], cache.entries[layer, 1]
            keys.scatter_(1, index, k.to(keys.dtype))
            values.scatter_(1, index, v.to(values.dtype))
            attended = F.scaled_dot_product_attention(
                q.transpose(1, 2), keys.transpose(1, 2), values.transpose(1, 2), attn_mask=visible[:, None]
            )
            x = block.finish(x, attended.transpose(1, 2).reshape(batch, rows.shape[1], -1))
        return self.read_out(x, tokens, rows)[:, :num_rows]
