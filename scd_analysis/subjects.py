"""Subjects of an audit: what can be judged, as ``subject(model, num_sequences, seed) -> Long[num_sequences, N]``.

Any callable of that form is a subject. It must draw anew for every seed: one that ignores its seed repeats itself,
which the audit reports as an error. Here are the others::

    sampler(function)          a sampling function that is called in another way, or uses global generators
    kernel(function)           a verification function by itself: drafts and laws to committed tokens
    tree_kernel(function, ...) the same for trees of drafts and for several drafts a position
    generate(model, ...)       a call of Hugging Face transformers' generate, with its target law     (no model needed)
    trace(source)              the sequences of a trace, each once, with all that was recorded
    recorded(tokens)           stored sequences, each once
    recorded_file(path)        a file of tokens with the target's log-probabilities                   (no model needed)
    ancestral                  samples the model itself, token by token: the null
    resolve("module:name")     looks a subject up by name, as the command line does
    registry                   all adapters by name, with where each is written
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scd_analysis.audit.adapters.kernel import Kernel, kernel
from scd_analysis.audit.adapters.recorded_file import recorded_file
from scd_analysis.audit.adapters.registry import registry
from scd_analysis.audit.adapters.sampler import sampler
from scd_analysis.audit.adapters.stored import Recorded, Traced, recorded, trace
from scd_analysis.audit.adapters.tree_kernel import TreeKernel, tree_kernel
from scd_analysis.audit.draws import Subject
from scd_analysis.audit.target import model_input
from scd_analysis.common.load import load
from scd_analysis.errors import UnknownNameError
from scd_analysis.evidence.batch import Longs
from scd_analysis.validate import as_array, check_laws

__all__ = [  # noqa: F822 -- generate is loaded on first use
    "Kernel",
    "Recorded",
    "Subject",
    "Traced",
    "TreeKernel",
    "ancestral",
    "generate",
    "kernel",
    "recorded",
    "recorded_file",
    "registry",
    "resolve",
    "sampler",
    "trace",
    "tree_kernel",
]


def __getattr__(name: str) -> Any:
    if name == "generate":  # the only one that needs PyTorch and transformers
        return registry.load(name)
    raise AttributeError(f"module 'scd_analysis.subjects' has no attribute {name!r}")


def ancestral(model: Any, num_sequences: int, seed: int) -> Longs:
    """Sample the model token by token, by inverse distribution function in float64.

    Parameters
    ----------
    model : TargetModel
    num_sequences : int
    seed : int
        Of ``numpy.random.default_rng``: PCG64.

    Returns
    -------
    Long[num_sequences, N]

    Raises
    ------
    LawError
        If a law of the model is not one.
    """
    rng = np.random.default_rng(seed)
    tokens = np.zeros((num_sequences, int(model.num_tokens)), dtype=np.int64)
    for j in range(tokens.shape[1]):
        laws = as_array(model.next_token_probs(model_input(tokens[:, :j])), "model.next_token_probs(...)")[:, j]
        check_laws(laws, "model.next_token_probs(...)")
        upto = laws.cumsum(axis=1)
        chosen = (upto <= rng.random((num_sequences, 1)) * upto[:, -1:]).sum(axis=1)
        tokens[:, j] = np.minimum(chosen, laws.shape[1] - 1)
    return tokens


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
