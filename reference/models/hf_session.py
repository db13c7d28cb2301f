"""A window of laws from a network of ``transformers``: one pass over the window, keys and values at absolute places.

Each sequence is at a place of its own, and with guidance both prompts run in one pass, each row of the batch with its
own positions and mask. A pass starts at the last committed token, so that every entry before it comes from the final
prefix, even where a row end lies between that token and the next.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from reference.models.hf_cache import PlacedCache, attention_mask

if TYPE_CHECKING:
    from reference.models.hf import HuggingFaceModel


class PlacedSession:
    """See :class:`reference.models.base.Session`.

    Parameters
    ----------
    model : HuggingFaceModel
        Whose laws.
    num_sequences : int
        B; the cache has B rows for each prompt.
    device : torch.device
        Where tokens are.
    """

    @torch.inference_mode()
    def __init__(self, model: HuggingFaceModel, num_sequences: int, device: torch.device) -> None:
        self.model = model
        self.home = model.device
        lengths = [len(prefix) for prefix in model.prefixes]
        self.total = int(model.offset[-1])
        self.cache = PlacedCache(max(lengths) + self.total)
        body = model.body[: self.total + 1]
        self.templates = [self._here(np.concatenate([prefix, body])) for prefix in model.prefixes]
        self.offset, self.token_ids = self._here(model.offset), self._here(model.token_ids)
        self._start = np.concatenate([model.offset[:1] - 1, model.offset[:-1]])  # where the pass of a window starts
        self.start, self.lengths = self._here(self._start), self._here(np.asarray(lengths))
        self.count = lru_cache(self._count)
        self._prefill()
        self.cache.select(torch.arange(len(lengths), device=self.home).repeat_interleave(num_sequences))

    def _here(self, array: npt.NDArray[np.int64]) -> Tensor:
        return torch.tensor(array, dtype=torch.long, device=self.home)

    def _prefill(self) -> None:
        """One pass over the prompts; a shorter one repeats its last place."""
        places = torch.arange(max(map(len, self.model.prefixes)), device=self.home)
        places = torch.minimum(places, self.lengths[:, None] - 1)
        ids = torch.stack([t.gather(0, p) for t, p in zip(self.templates, places, strict=True)])
        self._states(ids, torch.zeros_like(ids, dtype=torch.bool), places)

    def _states(self, ids: Tensor, is_token: Tensor, places: Tensor) -> Tensor:
        self.cache.places = places
        config = self.model.network.config.get_text_config()
        return self.model.reader.states(
            ids,
            is_token,
            position_ids=places,
            attention_mask=attention_mask(config, places, self.cache.length, self.model.dtype),
            past_key_values=self.cache,
            use_cache=True,
        )

    def _count(self, num_rows: int) -> int:
        """Places of a window, row ends included, at most; the same for every sequence, and known to the host."""
        offset, shortest = self.model.offset, min(map(len, self.model.prefixes))
        last = np.minimum(np.arange(len(offset)) + num_rows, len(offset)) - 1
        return min(int((offset[last] - self._start).max()), self.total + shortest)

    @torch.inference_mode()
    def laws(self, tokens: Tensor, rows: Tensor, reach: int) -> Tensor:
        """See :class:`reference.models.base.Session`."""
        model, place = self.model, tokens.device
        tokens_here, rows_here = tokens.to(self.home), rows.to(self.home)
        count = self.count(rows.shape[1])
        # Near the end the window steps back over committed tokens, which rewrites their entries as they are.
        first = self.start[rows_here[:, 0]].clamp(max=self.total - count)
        within = first[:, None] + torch.arange(count, device=self.home)
        ids, is_token, places = [], [], []
        for template, length in zip(self.templates, map(len, model.prefixes), strict=True):
            full = template.expand(len(tokens), -1).scatter(
                1, (length + self.offset).expand(len(tokens), -1), self.token_ids[tokens_here]
            )
            places.append(within + length)
            ids.append(full.gather(1, places[-1]))
            is_token.append(template[places[-1]] < 0)
        states = self._states(torch.cat(ids), torch.cat(is_token), torch.cat(places))
        column = (self.offset[rows_here] - 1 - first[:, None]).repeat(len(ids), 1).to(states.device)
        wanted = states.gather(1, column[..., None].expand(-1, -1, states.shape[-1]))
        logits = model.reader.logits(wanted).to(place).chunk(len(ids))
        return model.law(list(logits), model.ended(tokens, rows))

    def keep(self, index: Tensor) -> None:
        """See :class:`reference.models.base.Session`."""
        rows = next(iter(self.cache.entries.values()))[0].shape[0] // len(self.templates)
        at = index.to(self.home)
        self.cache.select(torch.cat([at + k * rows for k in range(len(self.templates))]))
