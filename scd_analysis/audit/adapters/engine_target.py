"""The law that an engine should sample from: a model's logits in float64, through the settings of the request."""

from __future__ import annotations

import math
from bisect import bisect_left
from pathlib import Path
from typing import Any

import numpy as np

from scd_analysis.audit.adapters.sampling import Convention, Sampling, target_laws
from scd_analysis.audit.target import model_input
from scd_analysis.common.foreign import attribute
from scd_analysis.common.foreign_json import first_line, shown
from scd_analysis.common.quiet import quiet
from scd_analysis.errors import InputError
from scd_analysis.evidence.batch import Floats, Longs
from scd_analysis.validate import as_array, as_laws

FARTHEST, RESOLUTION = 1.0, 1000
"""Nats within which a token is near the edge of a cut, and the parts in which that is found."""

ROWS = 64
"""Sequences a forward pass."""


def prompt_ids(prompt: Any) -> Longs:
    """Return the token ids of a prompt, Long[P].

    Raises
    ------
    InputError
        If they are none.
    """
    ids = as_array(prompt, "prompt", np.int64)
    if ids.ndim != 1 or not len(ids) or (ids < 0).any():
        raise InputError(f"prompt = {shown(prompt)}: expected token ids, one at least")
    return ids


class FolderLogits:
    """The logits of a transformers model in a folder, in float64, after a prompt.

    Attributes
    ----------
    vocab_size : int
    ends : tuple of int
        Its end-of-sequence tokens.
    """

    def __init__(self, folder: str | Path) -> None:
        try:
            import torch
            from transformers import AutoModelForCausalLM
        except ModuleNotFoundError as error:
            raise InputError(
                f"target = {str(folder)!r}: reading a folder needs {error.name}; install scd-analysis[hf]"
            ) from None
        if not Path(folder).is_dir():
            raise InputError(f"target = {str(folder)!r}: there is no such folder")
        try:
            with quiet():
                model = AutoModelForCausalLM.from_pretrained(str(folder), local_files_only=True)
        except Exception as error:
            raise InputError(f"target = {str(folder)!r}: is no transformers model ({first_line(error)})") from None
        self._torch, self._model = torch, model.double().eval()
        self.vocab_size = int(model.get_output_embeddings().weight.shape[0])
        end = model.generation_config.eos_token_id
        self.ends = tuple(end) if isinstance(end, list) else () if end is None else (int(end),)

    def __call__(self, prompt: Longs, tokens: Longs) -> Floats:
        """Return Float[S, t + 1, V] after the prompt Long[P] and tokens Long[S, t]."""
        rows = np.concatenate([np.broadcast_to(prompt, (len(tokens), len(prompt))), tokens], axis=1)
        parts = []
        with self._torch.no_grad():
            for part in self._torch.from_numpy(rows.astype(np.int64)).split(ROWS):
                logits = self._model(input_ids=part, use_cache=False).logits
                parts.append(logits[:, len(prompt) - 1 :].double().cpu().numpy())
        return np.concatenate(parts)


class ModelLogits:
    """The logarithms of a target model's laws, which know nothing of a prompt beyond what the model itself does."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.vocab_size = int(model.vocab_size)
        self.ends: tuple[int, ...] = ()

    def __call__(self, prompt: Longs, tokens: Longs) -> Floats:
        """Return Float[S, t + 1, V] after tokens Long[S, t]."""
        laws = as_laws(self._model.next_token_probs(model_input(tokens)), "target.next_token_probs(...)")
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(laws))


class EngineTarget:
    """The laws that requests should be answered with, as a ``TargetModel``.

    Attributes
    ----------
    vocab_size, num_tokens : int
    """

    def __init__(
        self, source: Any, prompt: Longs, num_tokens: int, sampling: Sampling, convention: Convention, ends: Any
    ) -> None:
        is_folder = isinstance(source, (str, Path))
        if not is_folder and attribute(source, "next_token_probs", "target") is None:
            raise InputError(f"target = {shown(source)}: expected the folder of a transformers model, or a TargetModel")
        if not is_folder and sampling.needs_logits:
            raise InputError(
                f"sampling['repetition_penalty'] = {sampling.repetition_penalty}: looks at the sign of logits, which "
                "a TargetModel's laws do not have; give the folder of the model"
            )
        self._logits = FolderLogits(source) if is_folder else ModelLogits(source)
        self.vocab_size, self.num_tokens = self._logits.vocab_size, num_tokens
        self._prompt, self._sampling, self._convention = prompt, sampling, convention
        self._ends = self._logits.ends if ends is None else tuple(ends)
        own = None if is_folder else attribute(source, "num_tokens", "target")
        if own is not None and own < num_tokens:
            raise InputError(f"num_tokens = {num_tokens}: the target has laws for {own} tokens")
        stated = (*prompt.tolist(), *(sampling.allowed_tokens or ()), *(token for token, _ in sampling.logit_bias))
        for token in stated:
            if not 0 <= token < self.vocab_size:
                raise InputError(f"token {token} of prompt or sampling: is none of a vocabulary of {self.vocab_size}")

    def next_token_probs(self, tokens: Any) -> Floats:
        """Law of every next token: Long[B, t] -> Float[B, t + 1, V]."""
        plain = as_array(tokens, "tokens", np.int64)
        logits = self._logits(self._prompt, plain)
        return target_laws(logits, plain, self._prompt, self._sampling, self._convention, self._ends)

    def nats_from_kept(self, tokens: Longs, token: int) -> float:
        """Return by how much the logit of ``token`` after Long[t] falls short of being kept by the settings.

        To a thousandth of :data:`FARTHEST`; infinite where that is not enough.
        """
        plain = as_array(tokens, "tokens", np.int64)[None]
        logits = self._logits(self._prompt, plain)

        def is_kept(more: float) -> bool:
            raised = logits.copy()
            raised[0, -1, token] += more
            laws = target_laws(raised, plain, self._prompt, self._sampling, self._convention, self._ends)
            return bool(laws[0, -1, token] > 0)

        if not is_kept(FARTHEST):
            return math.inf
        steps = range(RESOLUTION + 1)
        return FARTHEST * bisect_left(steps, True, key=lambda step: is_kept(FARTHEST * step / RESOLUTION)) / RESOLUTION
