"""ONNX Runtime GenAI, in this process, in float32."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from scd_analysis.subjects import onnx_genai
from studies.engines.engine import OFF, SAMPLINGS, Arm, Engine

SPECULATIVE: dict[str, dict[str, Any]] = {
    "draft": {"max_draft_tokens": 4},
    "ngram": {"max_draft_tokens": 4, "ngram_size": 2},
}


@contextmanager
def opened(folder: Path, mode: str, draft: str | None) -> Iterator[Arm]:
    """Load a model, and a draft as a part of its configuration."""
    import onnxruntime_genai

    config = onnxruntime_genai.Config(str(folder / "target.onnx"))
    if draft is not None:
        own = json.loads((folder / f"{draft}.onnx" / "genai_config.json").read_text())["model"]["decoder"]
        config.overlay(json.dumps({"model": {"draft": own | {"filename": f"../{draft}.onnx/model.onnx"}}}))
    yield partial(onnx_genai, onnxruntime_genai.Model(config), speculative=SPECULATIVE.get(mode))


ONNX_GENAI = Engine(
    package="onnxruntime-genai",
    form="onnx",
    opened=opened,
    modes=((OFF, None), ("draft", "near"), ("draft", "far"), ("draft", "target"), ("ngram", None)),
    prompts={"": [5, 6, 7], "ngram": [6, 18] * 10},  # tokens that the target likes in turns
    samplings={
        **{name: SAMPLINGS[name] for name in ("as it is", "top_k = 8", "top_p = .9")},
        "temperature = .7, top_k = 8, top_p = .9": {"temperature": 0.7, "top_k": 8, "top_p": 0.9},
        "repetition penalty": {"repetition_penalty": 1.3},
    },
)
