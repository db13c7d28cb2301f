"""Large models through Hugging Face: any causal language model, and the image generators of the papers.

::

    model = reference.load_hf("BAAI/Emu3-Gen-hf", ids, guidance=3.0, negative_prompt=other_ids, top_k=2048,
                              dtype=torch.bfloat16, device_map="cuda")
    reference.decode(model, "scd-gs", window=64, num_sequences=1)

A token is an index into the codes of the image (or the vocabulary of a text); what a layout fixes is put in here
(:mod:`reference.models.hf_layouts`). The target law is that of the network's ``generate``: guidance on
log-probabilities, suppressed tokens, temperature, top-k, top-p, in this order and in float32; but nothing is read from
``generation_config``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reference.models.base import PlainSession, Session
from reference.models.hf_layouts import Layout, get_layout
from reference.models.hf_networks import default_negative, encode, get_reader, input_device, load_network, takes_places
from reference.models.processors import Processors, guide
from scd_analysis.errors import InputError
from scd_analysis.validate import check_at_least, check_between, check_tokens


class HuggingFaceModel:
    """A network of ``transformers``, a prompt and logit processors as a target model.

    Parameters
    ----------
    network : PreTrainedModel
        In evaluation mode.
    layout : Layout
        Which of its ids are tokens, and what lies between them.
    prompt : sequence of int
        Ids that every sequence follows.
    negative_prompt : sequence of int, optional
        Of classifier-free guidance; by default what the network's own ``generate`` would take.
    guidance : float
        Scale of classifier-free guidance; 1 is none.
    processors : Processors
        Temperature, top-k and top-p.
    suppress : sequence of int
        Token values that are never drawn.

    Raises
    ------
    InputError
        If an id or a token value is out of range, the prompt is empty, or all is longer than the network allows.
    """

    def __init__(
        self,
        network: Any,
        layout: Layout,
        prompt: Sequence[int],
        *,
        negative_prompt: Sequence[int] | None = None,
        guidance: float = 1.0,
        processors: Processors | None = None,
        suppress: Sequence[int] = (),
    ) -> None:
        self.network, self.layout, self.reader = network, layout, get_reader(network, layout)
        self.vocab_size, self.num_tokens = len(layout.token_ids), layout.num_tokens
        self.grid: tuple[int, int] | None = layout.grid
        self.name = str(getattr(network.config, "_name_or_path", "") or type(network).__name__)
        check_at_least(guidance, 0.0, "guidance")
        self.guidance, self.processors, self.suppress = guidance, processors or Processors(), tuple(suppress)
        for value in self.suppress:
            check_between(value, 0, self.vocab_size - 1, "suppress")
        self.prompt = list(prompt)
        self.negative_prompt = None if guidance == 1 else negative_prompt
        if guidance != 1 and negative_prompt is None:
            self.negative_prompt = default_negative(network, layout, self.prompt)
        prompts = [self.prompt] if self.negative_prompt is None else [self.prompt, list(self.negative_prompt)]
        self.prefixes = [[*ids, *layout.before] for ids in prompts]
        # Kept on the host, so that sizes are known there and nothing is asked of a device.
        self.body, self.token_ids = np.asarray(layout.body()), np.asarray(layout.token_ids)
        self.offset = np.flatnonzero(self.body < 0)
        self._never: Tensor | None = None
        self._check_ids()

    def _check_ids(self) -> None:
        config = self.network.config.get_text_config()
        for name, ids in zip(("prompt", "negative_prompt"), self.prefixes, strict=False):
            if not ids:
                raise InputError(f"{name} = []: at least one id must come before the first token")
            check_tokens(np.asarray(ids), int(config.vocab_size), name)
        longest = max(map(len, self.prefixes)) + int(self.offset[-1])
        allowed = getattr(config, "max_position_embeddings", None)
        if allowed is not None and longest > allowed:
            raise InputError(f"prompt and tokens take {longest} places: the network has {allowed}")

    @property
    def device(self) -> torch.device:
        """Where ids go in."""
        return input_device(self.network)

    @property
    def dtype(self) -> torch.dtype:
        """In which the network computes."""
        dtype: torch.dtype = self.network.dtype
        return dtype

    def to(self, device: torch.device | str) -> HuggingFaceModel:
        """Move the network, unless ``device_map`` has spread it; returns the model itself."""
        if not getattr(self.network, "hf_device_map", None):
            self.network.to(device)
        return self

    def given(self, prompt: Sequence[int], negative_prompt: Sequence[int] | None = None) -> HuggingFaceModel:
        """The same network under another prompt."""
        return HuggingFaceModel(
            self.network,
            self.layout,
            prompt,
            negative_prompt=negative_prompt,
            guidance=self.guidance,
            processors=self.processors,
            suppress=self.suppress,
        )

    def to_ids(self, tokens: Tensor) -> Tensor:
        """Complete ids after the prompt: Long[B, N] -> Long[B, S], with what the layout puts before, in and after."""
        before, after = (
            torch.tensor(ids, dtype=torch.long).expand(len(tokens), -1)
            for ids in (self.layout.before, self.layout.after)
        )
        return torch.cat([before, self._fill(tokens, len(self.body)), after], dim=1)

    def _fill(self, tokens: Tensor, length: int) -> Tensor:
        """The first ids of the body, on the host, with the ids of the tokens in their places."""
        body = np.tile(self.body[:length], (len(tokens), 1))
        body[:, self.offset[: tokens.shape[1]]] = self.token_ids[tokens.cpu().numpy()]
        return torch.from_numpy(body)

    def law(self, logits: list[Tensor], ended: Tensor | None) -> Tensor:
        """The target law, from the logits of the prompt and, under guidance, of the negative prompt.

        Parameters
        ----------
        logits : list of Tensor
            Float[B, R, V] each.
        ended : Tensor or None
            Bool[B, R], whether the text was over before the row.
        """
        scores = [part if part.dtype == torch.float64 else part.float() for part in logits]
        total = scores[0]
        if len(scores) == 2:
            total = guide(scores[0].log_softmax(-1), scores[1].log_softmax(-1), self.guidance)
        if self.suppress:
            if self._never is None or self._never.device != total.device:
                self._never = torch.tensor(np.isin(np.arange(self.vocab_size), self.suppress), device=total.device)
            total = total.masked_fill(self._never, float("-inf"))
        probs = self.processors(total.softmax(-1))
        if ended is None or self.layout.end is None:
            return probs
        padding = torch.zeros_like(probs)
        padding[..., self.layout.end] = 1
        return torch.where(ended[..., None].to(probs.device), padding, probs)

    def ended(self, tokens: Tensor, rows: Tensor) -> Tensor | None:
        """Whether the text was over before each row: Long[B, t], Long[B, R] -> Bool[B, R]."""
        if self.layout.end is None:
            return None
        seen = torch.nn.functional.pad((tokens == self.layout.end).long().cumsum(1), (1, 0))
        return seen.gather(1, rows) > 0

    @torch.inference_mode()
    def next_token_probs(self, tokens: Tensor) -> Tensor:
        """Law of every next token: Long[B, t] -> Float[B, t + 1, V], ``t < num_tokens``, on the device of the tokens.

        Raises
        ------
        InputError
            For a token outside the vocabulary, or too many of them.
        """
        if tokens.ndim != 2 or tokens.shape[1] >= self.num_tokens:
            raise InputError(f"tokens has shape {tuple(tokens.shape)}: expected [B, t] with t < {self.num_tokens}")
        check_tokens(tokens.cpu().numpy(), self.vocab_size, "tokens")
        batch, length = tokens.shape
        body = self._fill(tokens, int(self.offset[length]))
        is_token = torch.from_numpy(self.body[: body.shape[1]] < 0).expand(batch, -1)
        logits = []
        for prefix in self.prefixes:
            ids = torch.cat([torch.tensor(prefix).expand(batch, -1), body], dim=1).to(self.device)
            codes = torch.nn.functional.pad(is_token, (len(prefix), 0)).to(self.device)
            states = self.reader.states(ids, codes, use_cache=False)
            wanted = torch.from_numpy(len(prefix) - 1 + self.offset[: length + 1]).to(states.device)
            logits.append(self.reader.logits(states.index_select(1, wanted)).to(tokens.device))
        rows = torch.arange(length + 1, device=tokens.device).expand(batch, -1)
        return self.law(logits, self.ended(tokens, rows))

    def open_session(self, num_sequences: int, device: torch.device) -> Session:
        """Start a batch, with a key-value cache where the network allows places to be overwritten."""
        if not takes_places(self.network):
            return PlainSession(self)
        from reference.models.hf_session import PlacedSession

        return PlacedSession(self, num_sequences, device)


def load_hf(
    source: Any,
    prompt: str | Sequence[int],
    *,
    layout: str | Layout | None = None,
    height: int | None = None,
    width: int | None = None,
    num_tokens: int | None = None,
    end_id: int | None = None,
    negative_prompt: str | Sequence[int] | None = None,
    guidance: float = 1.0,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    suppress: Sequence[int] = (),
    architecture: str | None = None,
    **options: Any,
) -> HuggingFaceModel:
    """A network of ``transformers`` as a target model.

    Parameters
    ----------
    source : str, path or PreTrainedModel
        A folder, a name on the hub, or the network itself.
    prompt, negative_prompt : str or sequence of int
        Ids, or text for the tokenizer beside the weights.
    layout : str or Layout, optional
        One of :data:`reference.models.hf_layouts.LAYOUTS`; by default what the kind of network implies.
    height, width : int, optional
        Of an image, in tokens.
    num_tokens, end_id : int, optional
        Of a text: its length, and the id that ends it (what follows repeats that id).
    guidance : float
        Scale of classifier-free guidance.
    temperature, top_k, top_p
        See :class:`reference.models.processors.Processors`.
    suppress : sequence of int
        Token values that are never drawn.
    architecture : str, optional
        See :func:`reference.models.hf_networks.load_network`.
    **options
        For ``from_pretrained``: ``dtype``, ``device_map``, ``revision`` ...

    Raises
    ------
    InputError
        If ``transformers`` is missing, weights are not found, or an argument is out of range.
    """
    loaded = not isinstance(source, (str, Path))
    if loaded and (options or isinstance(prompt, str) or isinstance(negative_prompt, str)):
        raise InputError("source is a network: give ids for prompts, and no options for loading")
    network = source.eval() if loaded else load_network(source, architecture, **options)
    ids, negative = (encode(source, p) if isinstance(p, str) else p for p in (prompt, negative_prompt))
    assert ids is not None
    chosen = get_layout(layout, network.config, height=height, width=width, num_tokens=num_tokens, end_id=end_id)
    return HuggingFaceModel(
        network,
        chosen,
        ids,
        negative_prompt=negative,
        guidance=guidance,
        processors=Processors(temperature, top_k, top_p),
        suppress=suppress,
    )
