"""A pipeline of OpenVINO GenAI as a subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scd_analysis.audit.adapters.in_process import InProcess, Request, in_process
from scd_analysis.audit.adapters.sampling import OPENVINO, Sampling
from scd_analysis.errors import EngineError

ADAPTERS = {"openvino": "openvino"}


class Pipeline:
    """Asks a pipeline for one sequence.

    Parameters
    ----------
    pipe : openvino_genai.LLMPipeline
    assistant : mapping of str to value
    """

    def __init__(self, pipe: Any, assistant: Mapping[str, Any]) -> None:
        try:
            import openvino
            import openvino_genai
        except ModuleNotFoundError as error:
            raise EngineError(f"subjects.openvino needs {error.name}: pip install 'scd-analysis[openvino]'") from None
        self._pipe, self._assistant = pipe, dict(assistant)
        self._tensor, self._config = openvino.Tensor, openvino_genai.GenerationConfig

    def __call__(self, request: Request) -> tuple[Sequence[int], int]:
        """Return the tokens, and how many drafts were verified.

        Prompt lookup is not counted by the pipeline: what a pass committed beyond one token is taken then.
        """
        config = self._config(
            max_new_tokens=request.num_tokens, rng_seed=request.seed, **request.settings, **self._assistant
        )
        result = self._pipe.generate(self._tensor(request.prompt[None]), config)
        counted = result.extended_perf_metrics
        if counted is not None:
            return result.tokens[0], counted.get_num_accepted_tokens() + counted.get_num_rejected_tokens()
        passes = list(result.perf_metrics.raw_metrics.m_batch_sizes)
        return result.tokens[0], sum(passes) - len(passes)


def openvino(
    pipe: Any,
    *,
    prompt: Sequence[int],
    num_tokens: int = 6,
    sampling: Mapping[str, Any] | Sampling | None = None,
    target: Any = None,
    assistant: Mapping[str, Any] | None = None,
    speculation: bool | None = None,
    end_tokens: Sequence[int] | None = None,
) -> InProcess:
    """Make a subject of a pipeline of OpenVINO GenAI, with or without a draft model or prompt lookup.

    One dictionary of settings, ``sampling``, is asked for and makes the target law. Every sequence is a request with a
    seed of its own. An end-of-sequence token is drawn, and the sequence goes on. Presence and frequency penalties raise
    a negative logit here, in request and law. For float32 the pipeline is made with ``INFERENCE_PRECISION_HINT="f32"``
    and ``KV_CACHE_PRECISION="f32"``.

    Parameters
    ----------
    pipe : openvino_genai.LLMPipeline
    prompt : sequence of int
        Token ids.
    num_tokens : int
        N, tokens a sequence.
    sampling : mapping, optional
        As for :func:`scd_analysis.subjects.endpoint`, without ``logit_bias`` and ``allowed_tokens``.
    target : path or TargetModel, optional
        As for :func:`scd_analysis.subjects.endpoint`.
    assistant : mapping, optional
        Settings of the drafts: ``num_assistant_tokens``, ``assistant_confidence_threshold``, ``max_ngram_size``.
    speculation : bool, optional
        Whether speculation is said to be on: where the pipeline tells of no draft, a verdict is then inconclusive.
    end_tokens : sequence of int, optional
        End-of-sequence tokens, where a folder does not state them.

    Raises
    ------
    InputError
        If an argument is not what it should be; ``EngineError``, a kind of it, if ``openvino_genai`` is not installed
        (the extra ``openvino``), and when drawing, if the pipeline raises.
    """
    return in_process(
        Pipeline(pipe, assistant or {}),
        OPENVINO,
        prompt=prompt,
        num_tokens=num_tokens,
        sampling=sampling,
        target=target,
        speculation=speculation,
        end_tokens=end_tokens,
    )
