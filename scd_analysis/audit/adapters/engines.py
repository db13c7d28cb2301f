"""Verification functions of serving engines, told by the names of their parameters.

============================  ===================================================================================
told by                       what is meant
============================  ===================================================================================
``cu_num_draft_tokens``       vLLM's ``rejection_sample``: windows end to end, output padded with -1
``accept_token_num``          SGLang's ``chain_speculative_sampling_target_only`` and its tree: buffers are filled
``deterministic`` or          FlashInfer's and TensorRT-LLM's ``chain_speculative_sampling``: output padded with -1,
``maybe_output_...``          then two counts
============================  ===================================================================================

What is written here is the documented interface, not a copy of anybody's code.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

SGLANG = {
    "predicts": "predicts",
    "accept_index": "accept_index",
    "accept_token_num": "accept_token_num",
    "candidates": "rooted_drafts",
    "retrive_index": "node_index",
    "retrieve_index": "node_index",
    "retrive_next_token": "first_child",
    "retrieve_next_token": "first_child",
    "retrive_next_sibling": "next_sibling",
    "retrieve_next_sibling": "next_sibling",
    "uniform_samples": "uniforms",
    "uniform_samples_for_final_sampling": "final_uniforms",
    "target_probs": "target_probs",
    "draft_probs": "buffer_of_laws",
}


@dataclass(frozen=True)
class Engine:
    """The interface of an engine's function.

    Attributes
    ----------
    name : str
    told_by : tuple of (str, ...)
        Sets of parameters; the engine is meant where a function has all of one set.
    output : str
        What it returns, as for :func:`scd_analysis.subjects.kernel`.
    roles : mapping of str to str
        Parameter to role, where names alone would mislead.
    leaves : tuple of str
        Roles that its parameters have and that are not passed.
    """

    name: str
    told_by: tuple[tuple[str, ...], ...]
    output: str
    roles: Mapping[str, str]
    leaves: tuple[str, ...] = ()

    def is_meant(self, parameters: tuple[str, ...]) -> bool:
        """Whether a function with such parameters has this interface."""
        return any(all(name in parameters for name in names) for names in self.told_by)


_CHAIN = ("draft_probs", "draft_token_ids", "target_probs")

ENGINES = (
    Engine(
        "vLLM",
        (("draft_token_ids", "num_draft_tokens", "cu_num_draft_tokens", "bonus_token_ids"),),
        "padded",
        {},
    ),
    Engine(
        "SGLang",
        (("predicts", "accept_index", "accept_token_num", "candidates", "target_probs"),),
        "buffers",
        SGLANG,
    ),
    Engine(
        "FlashInfer and TensorRT-LLM",
        ((*_CHAIN, "deterministic"), (*_CHAIN, "maybe_output_accepted_token_num")),
        "padded",
        {},
        leaves=("seed",),
    ),
)  # fmt: skip


def parameters_of(function: Callable[..., Any]) -> tuple[str, ...]:
    """Names of a function's parameters; none where it does not say."""
    try:
        return tuple(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return ()


def engine_of(function: Callable[..., Any]) -> Engine | None:
    """The engine whose interface a function has.

    FlashInfer's function is told by its own name, too, where its optional parameters were left out.
    """
    names = parameters_of(function)
    if getattr(function, "__name__", "") == "chain_speculative_sampling" and all(name in names for name in _CHAIN):
        return ENGINES[-1]
    return next((engine for engine in ENGINES if engine.is_meant(names)), None)
