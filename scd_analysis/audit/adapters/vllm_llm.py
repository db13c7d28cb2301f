"""An ``LLM`` of vLLM as a subject."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Unpack

from scd_analysis.audit.adapters.engine_call import Call
from scd_analysis.audit.adapters.in_process import InProcess, Request, engine_module, in_process
from scd_analysis.audit.adapters.sampling import OPENAI

ADAPTERS = {"vllm": "vllm"}

CONVENTION = replace(OPENAI, name="vLLM", always={"ignore_eos": True, "detokenize": False})
COUNTER = "vllm:spec_decode_num_draft_tokens"


class Batches:
    """Asks an ``LLM`` for several sequences at a time.

    Parameters
    ----------
    llm : vllm.LLM
    """

    def __init__(self, llm: Any) -> None:
        self._llm, self._parameters = llm, engine_module("vllm", "vllm", "vllm").SamplingParams

    def __call__(self, request: Request) -> tuple[list[Sequence[int]], int | None]:
        """Return the tokens, and how many drafts were proposed."""
        prompts = [{"prompt_token_ids": request.prompt.tolist()}] * len(request.seeds)
        settings = dict(request.settings, max_tokens=request.num_tokens)
        if "logit_bias" in settings:
            settings["logit_bias"] = {int(token): bias for token, bias in settings["logit_bias"].items()}
        asked = [self._parameters(seed=seed, **settings) for seed in request.seeds]
        before = self.drafted()
        answers = self._llm.generate(prompts, asked, use_tqdm=False)
        after = self.drafted()
        drafted = None if before is None or after is None else after - before
        return [answer.outputs[0].token_ids for answer in answers], drafted

    def drafted(self) -> int | None:
        """Draft tokens proposed so far in this process; None where the ``LLM`` was made without statistics."""
        try:
            return sum(int(metric.value) for metric in self._llm.get_metrics() if metric.name == COUNTER)
        except AssertionError:
            return None


def vllm(llm: Any, *, concurrency: int | Sequence[int] = (1, 4, 16), **call: Unpack[Call]) -> InProcess:
    """Make a subject of an ``LLM`` of vLLM, with or without speculation.

    One dictionary of settings, ``sampling``, is asked for and makes the target law. Every sequence is a request with a
    seed of its own. An end-of-sequence token is drawn, and the sequence goes on. For float32 the ``LLM`` is made with
    ``dtype="float32"``. Drafts are counted where it was made with ``disable_log_stats=False``, and is the last that was
    made in this process.

    Parameters
    ----------
    llm : vllm.LLM
    concurrency : int or sequence of int
        Requests a call of ``generate``, which the engine schedules together. Several numbers are taken in turns, so
        that a fault that shows only under load is seen; a verdict is inconclusive if the largest was never reached.
    **call
        ``prompt``, ``num_tokens=6``, ``sampling``, ``target``, ``speculation`` and ``end_tokens``, as for
        :func:`scd_analysis.subjects.endpoint`.

    Raises
    ------
    InputError
        If an argument is not what it should be; ``EngineError``, a kind of it, if ``vllm`` is not installed (the
        extra ``vllm``), and when drawing, if the engine raises.
    """
    return in_process(Batches(llm), CONVENTION, concurrency, **call)
