"""The target law of a call of transformers' ``generate``: the model's logits, through the library's own processors."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from scd_analysis.common.quiet import quiet
from scd_analysis.errors import InputError

AT_ONCE = 256
"""Sequences a forward pass, so that laws of many prefixes do not fill the memory."""

MODES = ("greedy_search", "sample", "assisted_generation")

ENDS = ("stopping_criteria", "stop_strings", "max_time")
"""What may end a sequence where no token does."""

BESIDE = ("input_ids", "attention_mask", "tokenizer", "assistant_tokenizer")
"""Arguments that ``generate`` takes and that have no name in its signature."""

USED_UP = ("past_key_values", "negative_prompt_ids", "negative_prompt_attention_mask")
"""Arguments for one call: a cache is filled by it; a negative prompt has as many rows as it."""


@dataclass(frozen=True)
class Prepared:
    """What ``generate`` makes of its arguments before it draws anything.

    Attributes
    ----------
    config : GenerationConfig
        With the model's defaults and all arguments.
    prompt : Long[1, P]
    processors : list of LogitsProcessorList
        What logits go through, in order; fresh, since some of them hold a state.
    """

    config: Any
    prompt: Tensor
    processors: list[Any]


class _Stop(BaseException):
    """Leaves ``generate`` before it draws; no ``Exception``, so that nothing on the way catches it."""


def prepare(model: Any, options: dict[str, Any]) -> Prepared:
    """Run ``generate`` up to where its logits processors are made.

    Parameters
    ----------
    model : PreTrainedModel
    options : dict
        Keyword arguments of ``generate``.
    """
    found: dict[str, Any] = {}
    original = model._get_logits_processor

    def keep(*args: Any, **kwargs: Any) -> Any:
        found.update(inspect.signature(original).bind(*args, **kwargs).arguments)
        found["processors"] = original(*args, **kwargs)
        raise _Stop

    model._get_logits_processor = keep
    try:
        model.generate(**options)
    except _Stop:
        pass
    finally:
        del model._get_logits_processor
    if not found:
        raise InputError(
            f"model = {type(model).__name__}: its generate is not its own; give the transformers model inside it"
        )
    config, prompt = found["generation_config"], found["encoder_input_ids"]
    processors = [found["processors"]]
    if config.do_sample and "logits_warper" in inspect.signature(model._assisted_decoding).parameters:
        # older releases keep what only sampling uses in a list of its own
        wanted = inspect.signature(model._get_logits_warper).parameters
        more = {"device": prompt.device} if "device" in wanted else {}
        processors.append(model._get_logits_warper(config, **more))
    return Prepared(config, prompt, processors)


def check_ends(given: Mapping[str, Any]) -> None:
    """Check that sequences end by a token or their length.

    Raises
    ------
    InputError
        Naming what else would end them.
    """
    for name in ENDS:
        if given.get(name) is not None:
            raise InputError(f"{name}: a sequence must end with an end-of-sequence token or after max_new_tokens")


def check_options(model: Any, options: Mapping[str, Any]) -> None:
    """Check that a call holds nothing that the target law would not know of.

    Parameters
    ----------
    model : PreTrainedModel
    options : mapping
        Keyword arguments of ``generate``.

    Raises
    ------
    InputError
        Naming the argument.
    """
    check_ends(options)
    for name in USED_UP:
        if options.get(name) is not None:
            raise InputError(f"{name}: cannot be given, since generate is called many times, for several rows")
    if options.get("custom_generate") is not None:
        return  # whose arguments these may be
    known = {*inspect.signature(model.generate).parameters, *BESIDE}
    for name, value in options.items():
        if value is not None and name not in known and not hasattr(model.generation_config, name):
            raise InputError(f"{name}: goes to the model beside the tokens; the target law is of the tokens alone")


class GenerateTarget:
    """The laws that a call of ``generate`` should sample from, as a ``TargetModel``.

    Row k is the model's law after the prompt and k tokens, through the processors of the call; without sampling, the
    point mass on its largest entry. After an end-of-sequence token it is the point mass on that token, so that
    sequences have one length.

    Attributes
    ----------
    vocab_size, num_tokens : int
    prompt : Long[1, P]
    end_tokens : Long[E] or None
        End-of-sequence tokens.
    is_assisted, is_sampled, is_looked_up : bool
        Whether tokens are drafted, drawn, and drafted from the text so far, so that drafts are point masses.

    Parameters
    ----------
    model : PreTrainedModel
    options : dict
        Keyword arguments of ``generate``.

    Raises
    ------
    InputError
        If the call is of a kind that has no law for each token, or makes no token.
    """

    def __init__(self, model: Any, options: dict[str, Any]) -> None:
        self._model, self._options = model, options
        with quiet():
            prepared = prepare(model, options)
        mode = prepared.config.get_generation_mode(options.get("assistant_model"))
        self.is_assisted = str(getattr(mode, "value", mode)) == "assisted_generation"
        if str(getattr(mode, "value", mode)) not in MODES:
            raise InputError(f"generate: mode {getattr(mode, 'value', mode)} has no law for each token")
        if (prepared.config.num_return_sequences or 1) != 1:
            raise InputError(f"num_return_sequences = {prepared.config.num_return_sequences}: must be 1")
        check_ends({name: getattr(prepared.config, name, None) for name in ENDS})
        self.is_sampled = bool(prepared.config.do_sample)
        self.is_looked_up = getattr(prepared.config, "prompt_lookup_num_tokens", None) is not None
        self.prompt = prepared.prompt
        self.end_tokens: Tensor | None = getattr(prepared.config, "_eos_token_tensor", None)
        self.num_tokens = int(prepared.config.max_length) - self.prompt.shape[1]
        if self.num_tokens < 1:
            raise InputError(f"max_new_tokens = {self.num_tokens}: generate makes no token")
        self.vocab_size = int(self._logits(self.prompt, 1).shape[-1])

    @property
    def before_argmax(self) -> LawsOfGreedy | None:
        """The laws whose largest probability a call without sampling takes; None of one that samples."""
        return None if self.is_sampled else LawsOfGreedy(self)

    def next_token_probs(self, tokens: Tensor, *, as_sampled: bool = False) -> Tensor:
        """Law of every next token: Long[B, t] -> Float[B, t + 1, V]; ``as_sampled``, as if the call drew from it."""
        as_sampled = as_sampled or self.is_sampled
        parts = torch.as_tensor(tokens).split(AT_ONCE)
        return torch.cat([self._laws(part.to(self._model.device), as_sampled).cpu() for part in parts])

    def _logits(self, ids: Tensor, rows: int) -> Tensor:
        with torch.no_grad():
            logits: Tensor = self._model(input_ids=ids, use_cache=False).logits
        return logits[:, logits.shape[1] - rows :].float()

    def _laws(self, tokens: Tensor, as_sampled: bool) -> Tensor:
        with quiet():
            processors = prepare(self._model, self._options).processors
        ids = torch.cat([self.prompt.expand(len(tokens), -1), tokens], dim=1)
        length, rows = self.prompt.shape[1], tokens.shape[1] + 1
        logits = self._logits(ids, rows)
        with torch.no_grad():
            for row in range(rows):
                for each in processors:
                    logits[:, row] = each(ids[:, : length + row], logits[:, row].clone())
        if as_sampled:
            laws = logits.softmax(dim=-1)
        else:
            laws = torch.nn.functional.one_hot(logits.argmax(dim=-1), self.vocab_size).float()
        return self._ended(tokens, laws)

    def _ended(self, tokens: Tensor, laws: Tensor) -> Tensor:
        if self.end_tokens is None:
            return laws
        last, ended = with_end(tokens, self.end_tokens)
        point = torch.nn.functional.one_hot(last, self.vocab_size).to(laws.dtype)
        laws[:, 1:] = torch.where(ended[..., None], point, laws[:, 1:])
        return laws


class LawsOfGreedy:
    """What a call without sampling takes the largest of: softmax of the logits, through the processors of the call.

    Parameters
    ----------
    target : GenerateTarget
    """

    def __init__(self, target: GenerateTarget) -> None:
        self._target, self.vocab_size, self.num_tokens = target, target.vocab_size, target.num_tokens

    def next_token_probs(self, tokens: Tensor) -> Tensor:
        """Law of every next token: Long[B, t] -> Float[B, t + 1, V]."""
        return self._target.next_token_probs(tokens, as_sampled=True)


def with_end(tokens: Tensor, end_tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Repeat the first end-of-sequence token to the end.

    Returns
    -------
    tuple of (Long[B, t], Bool[B, t])
        The tokens, and whether the sequence has ended with this token or before.
    """
    is_end = torch.isin(tokens, end_tokens.to(tokens.device))
    ended = is_end.cumsum(dim=1) > 0
    if not tokens.shape[1]:
        return tokens, ended
    first = is_end.long().argmax(dim=1, keepdim=True)
    return torch.where(ended, tokens.gather(1, first), tokens), ended
