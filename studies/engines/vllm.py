"""vLLM on the CPU, its engine in a process of its own, in float32 and in bf16."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from scd_analysis import subjects
from studies.engines.engine import BF16, OFF, SAMPLINGS, Arm, Engine, control_of

REPAIRED = Path(__file__).parent / "vllm_repaired"
NGRAM = {"method": "ngram", "num_speculative_tokens": 3, "prompt_lookup_max": 2, "prompt_lookup_min": 1}
DRAFT = {"method": "draft_model", "num_speculative_tokens": 3}
DRAWN = {**DRAFT, "draft_sample_method": "probabilistic"}
SPECULATIVE: dict[str, dict[str, Any]] = {"ngram": NGRAM, "draft": DRAFT, "drawn-draft": DRAWN}
MENDED = ", repaired"
"""A mode so named runs with the function that is repaired here."""

HEADS = {"num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 32}
"""The same weights, read as two heads of 32: for heads of 16 vLLM has no attention on the CPU."""

ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_WORKER_MULTIPROCESSING_METHOD": "spawn",
}
OPTIONS = {"max_model_len": 256, "max_num_seqs": 16, "enforce_eager": True, "disable_log_stats": False}


@contextmanager
def opened(folder: Path, mode: str, draft: str | None) -> Iterator[Arm]:
    """Load an ``LLM``; the target law is of the folder that is loaded."""
    path = os.pathsep.join(filter(None, (str(REPAIRED), os.environ.get("PYTHONPATH"))))
    with tempfile.TemporaryDirectory() as place:
        wide = {role: with_wide_heads(folder / role, Path(place, role)) for role in ("target", "near", "far")}
        more: dict[str, Any] = {"dtype": "bfloat16" if mode.endswith(BF16) else "float32"}
        if mode != control_of(mode):
            drafts = {} if draft is None else {"model": str(wide[draft])}
            more["speculative_config"] = SPECULATIVE[mode.partition(",")[0]] | drafts
        with _environment(ENVIRONMENT | ({"PYTHONPATH": path} if MENDED in mode else {})):
            import vllm

            llm = vllm.LLM(model=str(wide["target"]), **OPTIONS, **more)
        try:
            yield partial(_asked, llm, wide)
        finally:
            llm.llm_engine.engine_core.shutdown()


@contextmanager
def _environment(names: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(names)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _asked(llm: Any, wide: dict[str, Path], *, target: Path, **options: Any) -> Any:
    """The engine as a subject, by the law of the folder that it has loaded."""
    return subjects.vllm(llm, target=wide[target.name], **options)


def with_wide_heads(folder: Path, place: Path) -> Path:
    """Copy a model with the heads that vLLM takes, and return the copy."""
    shutil.copytree(folder, place)
    config = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps(config | HEADS))
    return place


VLLM = Engine(
    package="vllm-cpu",
    form="hf",
    opened=opened,
    modes=(
        (OFF, None),
        ("ngram", None),
        ("ngram" + MENDED, None),
        ("draft", "near"),
        ("draft" + MENDED, "near"),
        ("drawn-draft", "near"),
        ("drawn-draft" + MENDED, "near"),
        ("drawn-draft" + MENDED, "target"),
        (OFF + BF16, None),
        ("ngram" + BF16, None),
        ("ngram" + MENDED + BF16, None),
        ("draft" + MENDED + BF16, "near"),
        ("drawn-draft" + MENDED + BF16, "near"),
    ),
    prompts={"": [5, 6, 7], **{f"ngram{more}{half}": [6, 18] * 10 for more in ("", MENDED) for half in ("", BF16)}},
    samplings={
        **{name: SAMPLINGS[name] for name in ("as it is", "top_k = 8", "top_p = .9")},
        "top_k = 8, top_p = .95": {"top_k": 8, "top_p": 0.95},
    },
)
