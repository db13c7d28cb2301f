"""Subjects of an audit: what can be judged, as ``subject(model, num_sequences, seed) -> Long[num_sequences, N]``.

Any callable of that form is a subject. It must draw anew for every seed: one that ignores its seed repeats itself,
which the audit reports as an error. Here are the others::

    sampler(function)          a sampling function that is called in another way, or uses global generators
    kernel(function)           a verification function by itself: drafts and laws to committed tokens
    tree_kernel(function, ...) the same for trees of drafts and for several drafts a position
    endpoint(url, ...)         an engine behind its server, with its target law                       (no model needed)
    openvino(pipe, ...)        a pipeline of OpenVINO GenAI, with its target law                      (no model needed)
    vllm(llm, ...)             an LLM of vLLM, with its target law                                    (no model needed)
    onnx_genai(model, ...)     a model of ONNX Runtime GenAI, with its target law                     (no model needed)
    generate(model, ...)       a call of Hugging Face transformers' generate, with its target law     (no model needed)
    sjd_sampler(sampler)       a released sampler of speculative Jacobi decoding, over several passes  (no model needed)
    made_by("module:function") what a function makes in each process that draws (jobs)
    trace(source)              the sequences of a trace, each once, with all that was recorded
    recorded(tokens)           stored sequences, each once
    recorded_file(path)        a file of tokens with the target's log-probabilities                   (no model needed)
    ancestral                  samples the model itself, token by token: the null
    resolve("module:name")     looks a subject up by name, as the command line does
    registry                   all adapters by name, with where each is written
"""

from __future__ import annotations

from typing import Any

from scd_analysis.audit.adapters.ancestral import ancestral
from scd_analysis.audit.adapters.endpoint import Endpoint, endpoint
from scd_analysis.audit.adapters.kernel import Kernel, kernel
from scd_analysis.audit.adapters.made_by import MadeBy, made_by
from scd_analysis.audit.adapters.recorded_file import recorded_file
from scd_analysis.audit.adapters.registry import registry
from scd_analysis.audit.adapters.sampler import sampler
from scd_analysis.audit.adapters.stored import Recorded, Traced, recorded, trace
from scd_analysis.audit.adapters.tree_kernel import TreeKernel, tree_kernel
from scd_analysis.common.load import load
from scd_analysis.contracts import Subject
from scd_analysis.errors import UnknownNameError

__all__ = [  # noqa: F822 -- some are loaded on first use
    "Endpoint",
    "Kernel",
    "MadeBy",
    "Recorded",
    "Subject",
    "Traced",
    "TreeKernel",
    "ancestral",
    "endpoint",
    "generate",
    "kernel",
    "made_by",
    "onnx_genai",
    "openvino",
    "recorded",
    "recorded_file",
    "registry",
    "resolve",
    "sampler",
    "sjd_sampler",
    "trace",
    "tree_kernel",
    "vllm",
]


def __getattr__(name: str) -> Any:
    if name in registry.functions:  # generate, which needs PyTorch and transformers, and whatever is added
        return registry.load(registry.functions[name])
    raise AttributeError(f"module 'scd_analysis.subjects' has no attribute {name!r}")


def resolve(name: str) -> Subject:
    """Look up a subject by ``module:attribute``.

    Raises
    ------
    UnknownNameError
        If the name has another form, or module or attribute do not exist.
    """
    found = load(name, "subject")
    if not callable(found):
        raise UnknownNameError(f"subject={name!r} is a {type(found).__name__}: a subject is callable")
    subject: Subject = found
    return subject
