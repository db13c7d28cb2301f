"""Hugging Face transformers' ``generate`` as a subject, with its own target law and, where it can be seen, a trace."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scd_analysis.audit.adapters.generate_target import GenerateTarget, check_options, with_end
from scd_analysis.audit.adapters.generate_trace import Generated, Verified, make_trace, watcher
from scd_analysis.audit.adapters.noise import seeded
from scd_analysis.common.quiet import quiet
from scd_analysis.errors import InputError
from scd_analysis.validate import check_known

ADAPTERS = {"generate": "generate"}

ROWS = 64
"""Sequences a call, where the library takes more than one."""


class Generate:
    """See :func:`generate`.

    Attributes
    ----------
    target_model : GenerateTarget
        The laws it should sample from; the audit takes them by itself.
    """

    def __init__(self, model: Any, options: dict[str, Any], record: str | None) -> None:
        self._model, self._options = model, options
        self.target_model = GenerateTarget(model, options)
        target = self.target_model
        drafted = target.is_assisted and target.is_sampled and record is not None
        self._watching = watcher(looked_up=target.is_looked_up) if drafted else None
        self._record = None if self._watching is None else record

    def __call__(self, model: Any, num_sequences: int, seed: int) -> Any:
        """Draw sequences, Long[num_sequences, N], or a trace of them; ``model`` is not used."""
        target = self.target_model
        rows = 1 if target.is_assisted else ROWS
        out: list[Generated] = []
        with seeded(seed), quiet(), _unchanged(self._options.get("assistant_model")) as fresh:
            for start in range(0, num_sequences, rows):
                seen: list[Verified] = []
                fresh()
                with nullcontext() if self._watching is None else self._watching(seen):
                    tokens, lengths = self._generate(min(rows, num_sequences - start))
                out += [Generated(own, length, seen) for own, length in zip(tokens, lengths, strict=True)]
        if not self._record:
            return np.stack([one.tokens for one in out])
        ends = target.end_tokens
        return make_trace(
            out,
            prompt_length=target.prompt.shape[1],
            end_tokens=np.zeros(0, dtype=np.int64) if ends is None else ends.cpu().numpy(),
            vocab_size=target.vocab_size,
            record=self._record,
            method="prompt lookup" if target.is_looked_up else "assisted generation",
            model=type(self._model).__name__,
            seed=seed,
            device=str(self._model.device),
            dtype=str(self._model.dtype),
            transformers=version("transformers"),
        )

    def _generate(self, num_sequences: int) -> tuple[Any, list[int]]:
        """Call the library; return Long[B, N] and how many tokens of each it generated."""
        prompt = self.target_model.prompt.expand(num_sequences, -1)
        given = {**self._options, "input_ids": prompt, "attention_mask": torch.ones_like(prompt)}
        returned = self._model.generate(**given)
        tokens = getattr(returned, "sequences", returned)[:, prompt.shape[1] :]
        return self._filled(tokens.cpu())

    def _filled(self, tokens: Tensor) -> tuple[Any, list[int]]:
        length, ends = self.target_model.num_tokens, self.target_model.end_tokens
        tokens = tokens[:, :length]  # prompt lookup of some releases goes beyond max_new_tokens
        ended = torch.zeros_like(tokens, dtype=torch.bool)
        if ends is not None:
            tokens, ended = with_end(tokens, ends.cpu())
        if tokens.shape[1] < length and not (ended.any() and ended[:, -1].all()):
            raise InputError(
                f"generate returned {tokens.shape[1]} tokens without an end-of-sequence token: expected {length}"
            )
        missing = tokens[:, -1:].expand(-1, length - tokens.shape[1])
        generated = tokens.shape[1] - (ended.sum(dim=1) - 1).clamp(min=0)
        return torch.cat([tokens, missing], dim=1).numpy(), generated.tolist()


@contextmanager
def _unchanged(assistant: Any) -> Iterator[Any]:
    """Start every sequence with the assistant's settings as they were: the library adapts the number of drafts."""
    if assistant is None:
        yield lambda: None
        return
    before = assistant.generation_config

    def fresh() -> None:
        assistant.generation_config = copy.deepcopy(before)

    try:
        yield fresh
    finally:
        assistant.generation_config = before


def _load(model: Any, name: str) -> Any:
    if isinstance(model, str):
        from transformers import AutoModelForCausalLM

        try:
            return AutoModelForCausalLM.from_pretrained(model)
        except (OSError, ValueError) as error:
            raise InputError(f"{name} = {model!r}: {str(error).splitlines()[0]}") from None
    if not callable(getattr(model, "generate", None)) or not hasattr(model, "_get_logits_processor"):
        raise InputError(f"{name} = {type(model).__name__}: not a transformers model, nor the name of one")
    return model


def generate(model: Any, assistant: Any = None, /, *, record: str | None = "laws", **options: Any) -> Generate:
    """Make a subject of a call ``model.generate(assistant_model=assistant, **options)`` of transformers.

    The target law comes along: the model's own logits after the prompt, through the logits processors that this very
    call makes (temperature, top-k, repetition penalty, ...). So the audit needs no model::

        subject = scd_analysis.subjects.generate(model, assistant, input_ids=prompt, do_sample=True, max_new_tokens=16)
        print(scd_analysis.audit(subject, alpha=1e-6, max_sequences=3000))

    Assisted generation with sampling is watched at the library's verification function, so that the condition that
    broke can be named; prompt lookup is watched where it proposes drafts, which are point masses. Greedy calls are
    checked token for token, given the tokens before; ``audit(..., margin=)`` says how far below the most probable
    token another one may lie. After an end-of-sequence token nothing is drawn: what follows is filled with it, in law
    and sequence. For a decoding loop of your own around such a model, ``generate(model, ...).target_model`` is its
    target law.

    Parameters
    ----------
    model : PreTrainedModel or str
        A decoder-only model, or the name of one. In half precision the cached and the plain forward pass differ by
        more than the audit's ``tolerance``; give it a larger one (a greedy call: a ``margin``), or audit in float32.
    assistant : PreTrainedModel or str, optional
        The model that drafts; also as ``assistant_model``.
    record : {"laws", "scalars", None}
        What to keep of assisted generation with sampling; with None, tokens only.
    **options
        What else ``generate`` takes; the prompt, ``input_ids``, is one row without padding. Refused is what the target
        law cannot know of: inputs of the model beside tokens, caches, and criteria that end a sequence without a token.

    Raises
    ------
    InputError
        If the model is none, or the call is of a kind that has no law for each token.
    """
    if record is not None:
        check_known(record, ("laws", "scalars"), "record")
    model = _load(model, "model")
    if model.config.is_encoder_decoder:
        raise InputError(f"model = {type(model).__name__}: only decoder-only models are audited")
    given = options.pop("assistant_model", None)
    if assistant is not None and given is not None:
        raise InputError("assistant_model: was given twice")
    assistant = given if assistant is None else assistant
    if assistant is not None:
        options["assistant_model"] = _load(assistant, "assistant")
    prompt = options.pop("inputs", options.get("input_ids"))
    if prompt is not None:
        options["input_ids"] = _prompt(prompt, model)
        mask = torch.as_tensor(options.get("attention_mask", 1))
        if (mask == 0).any():
            raise InputError("attention_mask has a 0: give the prompt without padding")
        options["attention_mask"] = torch.ones_like(options["input_ids"])
    elif model.generation_config.bos_token_id is None or "inputs_embeds" in options:
        raise InputError("input_ids: is missing; the prompt is one row of tokens")
    check_options(model, options)
    return Generate(model, options, record)


def _prompt(value: Any, model: Any) -> Tensor:
    prompt = torch.as_tensor(value)
    prompt = prompt[None] if prompt.ndim == 1 else prompt
    if prompt.ndim != 2 or len(prompt) != 1 or not prompt.shape[1] or prompt.is_floating_point():
        raise InputError(f"input_ids has shape {tuple(prompt.shape)}: a prompt is Long[P] or Long[1, P]")
    return prompt.to(model.device)
