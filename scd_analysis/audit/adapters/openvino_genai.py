"""A pipeline of OpenVINO GenAI as a subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from scd_analysis.audit.adapters.engine_call import Call
from scd_analysis.audit.adapters.in_process import InProcess, Request, engine_module, in_process
from scd_analysis.audit.adapters.sampling import OPENVINO

ADAPTERS = {"openvino": "openvino"}


class Pipeline:
    """Asks a pipeline for one sequence.

    Parameters
    ----------
    pipe : openvino_genai.LLMPipeline
    assistant : mapping of str to value
    """

    def __init__(self, pipe: Any, assistant: Mapping[str, Any]) -> None:
        self._pipe, self._assistant = pipe, dict(assistant)
        self._tensor = engine_module("openvino", "openvino", "openvino").Tensor
        self._config = engine_module("openvino_genai", "openvino", "openvino").GenerationConfig

    def __call__(self, request: Request) -> tuple[list[Sequence[int]], int]:
        """Return the tokens, and how many drafts were verified.

        Prompt lookup is not counted by the pipeline: what a pass committed beyond one token is taken then.
        """
        (seed,) = request.seeds
        config = self._config(max_new_tokens=request.num_tokens, rng_seed=seed, **request.settings, **self._assistant)
        result = self._pipe.generate(self._tensor(request.prompt[None]), config)
        counted = result.extended_perf_metrics
        if counted is not None:
            return [result.tokens[0]], counted.get_num_accepted_tokens() + counted.get_num_rejected_tokens()
        passes = list(result.perf_metrics.raw_metrics.m_batch_sizes)
        return [result.tokens[0]], sum(passes) - len(passes)


def openvino(pipe: Any, *, assistant: Mapping[str, Any] | None = None, **call: Unpack[Call]) -> InProcess:
    """Make a subject of a pipeline of OpenVINO GenAI, with or without a draft model or prompt lookup.

    One dictionary of settings, ``sampling``, is asked for and makes the target law. Every sequence is a request with a
    seed of its own. An end-of-sequence token is drawn, and the sequence goes on. Presence and frequency penalties raise
    a negative logit here, in request and law. For float32 the pipeline is made with ``INFERENCE_PRECISION_HINT="f32"``
    and ``KV_CACHE_PRECISION="f32"``.

    Parameters
    ----------
    pipe : openvino_genai.LLMPipeline
    assistant : mapping, optional
        Settings of the drafts: ``num_assistant_tokens``, ``assistant_confidence_threshold``, ``max_ngram_size``.
    **call
        ``prompt``, ``num_tokens=6``, ``sampling``, ``target``, ``speculation`` and ``end_tokens``, as for
        :func:`scd_analysis.subjects.endpoint`; there is no ``logit_bias`` and no ``allowed_tokens``.

    Raises
    ------
    InputError
        If an argument is not what it should be; ``EngineError``, a kind of it, if ``openvino_genai`` is not installed
        (the extra ``openvino``), and when drawing, if the pipeline raises.
    """
    return in_process(Pipeline(pipe, assistant or {}), OPENVINO, **call)
