"""Modules that stand for engines which are not installed, with what the adapters use of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from scd_analysis.audit.adapters.sampling import ONNX_GENAI, OPENVINO
from scd_analysis.audit.adapters.vllm_llm import CONVENTION as VLLM
from scd_analysis.subjects import registry
from tests.audit.engine_server import Engine


def module(name: str, **names: Any) -> ModuleType:
    made = ModuleType(name)
    vars(made).update(names)
    return made


@dataclass
class Pipeline:
    """A pipeline of OpenVINO GenAI; ``is_counted`` is what it does with a draft model, and not with prompt lookup."""

    engine: Engine
    is_counted: bool = True

    def generate(self, inputs: np.ndarray, config: SimpleNamespace) -> SimpleNamespace:
        asked = vars(config)
        self.engine.requests.append(asked)
        if self.engine.fault == "refuses":
            raise RuntimeError("Check 'content_length' failed\nat sequence_group.cpp:32")
        assert inputs.tolist() == [self.engine.prompt]
        tokens = self.engine.sequence(asked, asked["rng_seed"], asked["max_new_tokens"], OPENVINO)
        rejected = SimpleNamespace(
            get_num_accepted_tokens=lambda: 0, get_num_rejected_tokens=lambda: self.engine.drafts
        )
        passes = SimpleNamespace(raw_metrics=SimpleNamespace(m_batch_sizes=[1, 1 + self.engine.drafts]))
        counted = rejected if self.is_counted else None
        return SimpleNamespace(tokens=[tokens], extended_perf_metrics=counted, perf_metrics=passes)


@dataclass
class Parameters:
    """``GeneratorParams`` of ONNX Runtime GenAI."""

    engine: Engine
    search: dict[str, Any] = field(default_factory=dict)
    speculative: dict[str, Any] = field(default_factory=dict)

    def set_search_options(self, **options: Any) -> None:
        self.search |= options

    def set_speculative_options(self, **options: Any) -> None:
        self.speculative |= options


class Generator:
    """A ``Generator`` of ONNX Runtime GenAI."""

    def __init__(self, engine: Engine, parameters: Parameters) -> None:
        self._engine, self._search, self._tokens = engine, parameters.search, []
        engine.requests.append(parameters.search | parameters.speculative)

    def append_tokens(self, tokens: np.ndarray) -> None:
        assert tokens.dtype == np.int32
        assert tokens.tolist() == self._engine.prompt
        length = self._search["max_length"] - len(tokens) - (self._engine.fault == "short")
        made = self._engine.sequence(self._search, self._search["random_seed"], length, ONNX_GENAI)
        self._tokens, self._waiting = tokens.tolist(), made

    def is_done(self) -> bool:
        return not self._waiting

    def generate_next_token(self) -> None:
        self._tokens.append(self._waiting.pop(0))

    def get_sequence(self, index: int) -> np.ndarray:
        return np.array(self._tokens, dtype=np.int32)

    def get_speculative_stats(self) -> dict[str, int]:
        return {"draft_tokens_proposed": self._engine.drafts}


@dataclass
class Llm:
    """An ``LLM`` of vLLM; its counters are there where statistics are."""

    engine: Engine
    has_statistics: bool = True
    batches: list[int] = field(default_factory=list)

    def get_metrics(self) -> list[SimpleNamespace]:
        assert self.has_statistics, "Stat logging disabled"
        name = "vllm:spec_decode_num_draft_tokens"
        return [SimpleNamespace(name=name, value=self.engine.proposed), SimpleNamespace(name="other", value=7)]

    def generate(self, prompts: Any, asked: Any, *, use_tqdm: bool) -> list[SimpleNamespace]:
        self.batches.append(len(prompts))
        self.engine.busy = len(prompts)
        assert prompts == [{"prompt_token_ids": self.engine.prompt}] * len(asked)
        self.engine.requests += map(vars, asked)
        if self.engine.fault == "refuses":
            raise RuntimeError("EngineCore encountered an issue\nSee stack trace")
        rows = [self._answer(vars(one)) for one in asked]
        return rows[1:] if self.engine.fault == "loses one" else rows

    def _answer(self, asked: dict[str, Any]) -> SimpleNamespace:
        tokens = self.engine.sequence(asked, asked["seed"], asked["max_tokens"], VLLM)
        return SimpleNamespace(outputs=[SimpleNamespace(token_ids=tokens)])


MODULES = {
    "vllm": module("vllm", SamplingParams=SimpleNamespace),
    "openvino": module("openvino", Tensor=lambda array: array),
    "openvino_genai": module("openvino_genai", GenerationConfig=SimpleNamespace),
    "onnxruntime_genai": module("onnxruntime_genai", GeneratorParams=Parameters, Generator=Generator),
}


AROUND: dict[str, Any] = {"openvino": Pipeline, "vllm": Llm}
"""What stands between an adapter and an engine."""


@contextmanager
def installed() -> Iterator[None]:
    """Have the modules of all engines."""
    with pytest.MonkeyPatch.context() as patch:
        for name, made in MODULES.items():
            patch.setitem(sys.modules, name, made)
        yield


def subject_of(name: str, engine: Engine, **call: Any) -> Any:
    """The adapter of that name at work on an engine."""
    adapter = registry.load(name)
    with installed():
        return adapter(AROUND.get(name, lambda own: own)(engine), **call)
