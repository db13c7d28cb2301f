"""A model of ONNX Runtime GenAI as a subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

import numpy as np

from scd_analysis.audit.adapters.engine_call import Call
from scd_analysis.audit.adapters.in_process import InProcess, Request, engine_module, in_process
from scd_analysis.audit.adapters.sampling import ONNX_GENAI

ADAPTERS = {"onnx-genai": "onnx_genai"}


class Generators:
    """Asks a model for one sequence, with a generator of its own.

    Parameters
    ----------
    loaded : onnxruntime_genai.Model
    speculative : mapping of str to value
    """

    def __init__(self, loaded: Any, speculative: Mapping[str, Any]) -> None:
        module = engine_module("onnxruntime_genai", "onnx_genai", "onnx-genai")
        self._loaded, self._speculative = loaded, dict(speculative)
        self._parameters, self._generator = module.GeneratorParams, module.Generator

    def __call__(self, request: Request) -> tuple[list[Sequence[int]], int]:
        """Return the tokens, and how many drafts were proposed.

        No token ends a sequence before its length: an end-of-sequence token is impossible until then.
        """
        (seed,), length = request.seeds, len(request.prompt) + request.num_tokens
        parameters = self._parameters(self._loaded)
        parameters.set_search_options(max_length=length, min_length=length, random_seed=seed, **request.settings)
        if self._speculative:
            parameters.set_speculative_options(**self._speculative)
        generator = self._generator(self._loaded, parameters)
        generator.append_tokens(request.prompt.astype(np.int32))
        while not generator.is_done():
            generator.generate_next_token()
        drafted = int(generator.get_speculative_stats()["draft_tokens_proposed"])
        return [generator.get_sequence(0)[len(request.prompt) :]], drafted


def onnx_genai(loaded: Any, *, speculative: Mapping[str, Any] | None = None, **call: Unpack[Call]) -> InProcess:
    """Make a subject of a model of ONNX Runtime GenAI, with or without a draft model or n-grams.

    One dictionary of settings, ``sampling``, is asked for and makes the target law. Every sequence is a generator with
    a seed of its own. An end-of-sequence token is never drawn, in request and law.

    Parameters
    ----------
    loaded : onnxruntime_genai.Model
        A draft model is a part of its configuration.
    speculative : mapping, optional
        Settings of the drafts: ``max_draft_tokens``, ``ngram_size`` and others that the engine has.
    **call
        ``prompt``, ``num_tokens=6``, ``sampling``, ``target``, ``speculation`` and ``end_tokens``, as for
        :func:`scd_analysis.subjects.endpoint`; settings are ``temperature``, ``top_k``, ``top_p`` and
        ``repetition_penalty``.

    Raises
    ------
    InputError
        If an argument is not what it should be; ``EngineError``, a kind of it, if ``onnxruntime_genai`` is not
        installed (the extra ``onnx-genai``), and when drawing, if the engine raises.
    """
    return in_process(Generators(loaded, speculative or {}), ONNX_GENAI, **call)
