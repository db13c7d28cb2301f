"""OpenVINO GenAI, in this process, in float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from scd_analysis.subjects import openvino
from studies.engines.engine import OFF, SAMPLINGS, Arm, Engine

FLOAT32 = {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32"}
CACHED = "draft, prefix caching"
"""Prefix caching is on by default; the other modes are without."""

LOOKUP = "prompt lookup"
ASSISTANTS: dict[str, dict[str, Any]] = {
    "draft": {"num_assistant_tokens": 4},
    CACHED: {"num_assistant_tokens": 4},
    LOOKUP: {"num_assistant_tokens": 4, "max_ngram_size": 2},
}


@contextmanager
def opened(folder: Path, mode: str, draft: str | None) -> Iterator[Arm]:
    """Load a pipeline."""
    import openvino_genai

    def scheduler() -> Any:
        made = openvino_genai.SchedulerConfig()
        made.cache_size, made.enable_prefix_caching = 1, mode == CACHED
        return made

    more: dict[str, Any] = {"prompt_lookup": True} if mode == LOOKUP else {}
    if draft is not None:
        place = str(folder / f"{draft}.openvino")
        more["draft_model"] = openvino_genai.draft_model(place, "CPU", scheduler_config=scheduler(), **FLOAT32)
    target = str(folder / "target.openvino")
    pipe = openvino_genai.LLMPipeline(target, "CPU", scheduler_config=scheduler(), **FLOAT32, **more)
    yield partial(openvino, pipe, assistant=ASSISTANTS.get(mode))


OPENVINO = Engine(
    package="openvino-genai",
    form="openvino",
    opened=opened,
    modes=((OFF, None), ("draft", "near"), ("draft", "far"), ("draft", "target"), (CACHED, "near"), (LOOKUP, None)),
    prompts={"": [5, 6, 7], LOOKUP: [6, 18] * 10},  # tokens that the target likes in turns
    samplings=SAMPLINGS,
)
