"""A model of ONNX Runtime GenAI as a subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scd_analysis.audit.adapters.in_process import InProcess, Request, in_process
from scd_analysis.audit.adapters.sampling import ONNX_GENAI, Sampling
from scd_analysis.errors import EngineError

ADAPTERS = {"onnx-genai": "onnx_genai"}


class Generators:
    """Asks a model for one sequence, with a generator of its own.

    Parameters
    ----------
    loaded : onnxruntime_genai.Model
    speculative : mapping of str to value
    """

    def __init__(self, loaded: Any, speculative: Mapping[str, Any]) -> None:
        try:
            import onnxruntime_genai
        except ModuleNotFoundError as error:
            raise EngineError(
                f"subjects.onnx_genai needs {error.name}: pip install 'scd-analysis[onnx-genai]'"
            ) from None
        self._loaded, self._speculative = loaded, dict(speculative)
        self._parameters, self._generator = onnxruntime_genai.GeneratorParams, onnxruntime_genai.Generator

    def __call__(self, request: Request) -> tuple[Sequence[int], int]:
        """Return the tokens, and how many drafts were proposed.

        No token ends a sequence before its length: an end-of-sequence token is impossible until then.
        """
        length = len(request.prompt) + request.num_tokens
        parameters = self._parameters(self._loaded)
        parameters.set_search_options(
            max_length=length, min_length=length, random_seed=request.seed, **request.settings
        )
        if self._speculative:
            parameters.set_speculative_options(**self._speculative)
        generator = self._generator(self._loaded, parameters)
        generator.append_tokens(request.prompt.astype(np.int32))
        while not generator.is_done():
            generator.generate_next_token()
        drafted = int(generator.get_speculative_stats()["draft_tokens_proposed"])
        return generator.get_sequence(0)[len(request.prompt) :], drafted


def onnx_genai(
    loaded: Any,
    *,
    prompt: Sequence[int],
    num_tokens: int = 6,
    sampling: Mapping[str, Any] | Sampling | None = None,
    target: Any = None,
    speculative: Mapping[str, Any] | None = None,
    speculation: bool | None = None,
    end_tokens: Sequence[int] | None = None,
) -> InProcess:
    """Make a subject of a model of ONNX Runtime GenAI, with or without a draft model or n-grams.

    One dictionary of settings, ``sampling``, is asked for and makes the target law. Every sequence is a generator with
    a seed of its own. An end-of-sequence token is never drawn, in request and law.

    Parameters
    ----------
    loaded : onnxruntime_genai.Model
        A draft model is a part of its configuration.
    prompt : sequence of int
        Token ids.
    num_tokens : int
        N, tokens a sequence.
    sampling : mapping, optional
        ``temperature``, ``top_k``, ``top_p`` and ``repetition_penalty``; what is not given is not used.
    target : path or TargetModel, optional
        As for :func:`scd_analysis.subjects.endpoint`.
    speculative : mapping, optional
        Settings of the drafts: ``max_draft_tokens``, ``ngram_size`` and others that the engine has.
    speculation : bool, optional
        Whether speculation is said to be on: where the engine tells of no draft, a verdict is then inconclusive.
    end_tokens : sequence of int, optional
        End-of-sequence tokens, where a folder does not state them.

    Raises
    ------
    InputError
        If an argument is not what it should be; ``EngineError``, a kind of it, if ``onnxruntime_genai`` is not
        installed (the extra ``onnx-genai``), and when drawing, if the engine raises.
    """
    return in_process(
        Generators(loaded, speculative or {}),
        ONNX_GENAI,
        prompt=prompt,
        num_tokens=num_tokens,
        sampling=sampling,
        target=target,
        speculation=speculation,
        end_tokens=end_tokens,
    )
