"""``assert_lossless``: an audit as an assert."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

from scd_analysis.audit import Outcome, Verdict, audit
from scd_analysis.audit.adapters.kernel import Kernel
from scd_analysis.audit.adapters.sampler import Sampler
from scd_analysis.audit.adapters.stored import Traced
from scd_analysis.common.foreign import attribute
from scd_analysis.contracts import is_trace
from scd_analysis.testing.rates import Audited, current

MAX_SEQUENCES = 4_000
"""Enough for a resolution of 0.1 on small models, in a second or two."""

RESOLUTION = 0.2
"""As of :func:`scd_analysis.audit`."""


def assert_lossless(
    subject: Any,
    model: Any = None,
    *,
    alpha: float | None = None,
    max_sequences: int = MAX_SEQUENCES,
    seed: int = 0,
    resolution: float | None = RESOLUTION,
    **options: Any,
) -> Verdict:
    """Fail if an audit refutes a decoder, or if it had too little evidence to find a difference that matters.

    Parameters
    ----------
    subject : callable, path, xarray.Dataset or one of :mod:`scd_analysis.subjects`
        Whatever :func:`scd_analysis.audit` takes: a callable ``(model, num_sequences, seed)``, a kernel, a trace.
    model : TargetModel, optional
        Whose law it should sample. Not needed for kernels and for traces with laws.
    alpha : float, optional
        Probability, at most, of refuting a lossless decoder (Ville's inequality). By default ``--scd-alpha`` where the
        pytest plugin is active, else 1e-6.
    max_sequences : int
        How much to draw; a broken decoder mostly fails sooner.
    seed : int
        Of the audit and of the subject's seeds; the same seed gives the same verdict.
    resolution : float, optional
        The total variation that the audit must have been able to find. Where it could only find larger ones, the assert
        fails too, so that a test with too few sequences does not pass in silence. None accepts any resolution. This
        failure is about the test and not about the decoder; ``alpha`` does not bound it.
    options
        Passed on to :func:`scd_analysis.audit`: ``margin`` (of greedy decoding), ``epsilon``, ``tolerance``,
        ``checkpoint``, ``draft_model``, ``progress``.

    Returns
    -------
    Verdict
        Not refuted or exact; or inconclusive, with ``resolution=None``.

    Raises
    ------
    AssertionError
        With the verdict, its diagnosis, and how to repeat it.
    InputError
        As :func:`scd_analysis.audit`: an error is not a verdict.
    """
    __tracebackhide__ = True
    ledger, name = current(), name_of(subject)
    bound = ledger.alpha if alpha is None else alpha
    wanted = RESOLUTION if resolution is None else resolution
    options = {"progress": False, **options}
    verdict = audit(subject, model, bound, max_sequences, seed, resolution=wanted, **options)
    ledger.enter(_entry(ledger.test, name, verdict, seed))
    if verdict.outcome is Outcome.REFUTED:
        broken = verdict.condition
        what = verdict.fails_to if broken is None else f"breaks the condition of {broken.value}"
        problem = f"{name} {what}."
    elif verdict.outcome is Outcome.INCONCLUSIVE and resolution is not None:
        problem = _too_few(name, verdict, resolution)
    else:
        return verdict
    called = name if model is None else f"{name}, {type(model).__name__}"
    raise AssertionError(
        f"{problem}\n{verdict}\n"
        f"To repeat it: scd_analysis.audit({called}, alpha={bound:g}, max_sequences={max_sequences}, seed={seed})\n"
        f"A lossless decoder is refuted here with probability at most {bound:g}."
    )


def _too_few(name: str, verdict: Verdict, wanted: float) -> str:
    if untested := [what for what in verdict.missing if not what.startswith("resolution: ")]:
        return f"{name}: too little could be tested. Missing: {'; '.join(untested)}."
    needed = math.ceil(verdict.num_sequences * (verdict.resolution / wanted) ** 2)  # it falls as one over the root
    or_more = " or more" if verdict.resolution == 1 else ""
    return (
        f"{name}: {verdict.num_sequences:,} sequences resolve a total variation of {verdict.resolution:.2g}, and "
        f"resolution={wanted:g} was asked for. Allow about {needed:,}{or_more}, or ask for less; "
        "resolution=None takes any."
    )


def _entry(test: str, name: str, verdict: Verdict, seed: int) -> Audited:
    return Audited(
        test=test,
        subject=name,
        alpha=float(verdict.alpha),
        seed=int(seed),
        num_sequences=int(verdict.num_sequences),
        resolution=float(verdict.resolution),
        outcome=verdict.outcome.name,
        condition=None if verdict.condition is None else verdict.condition.value,
        log_e_value=float(verdict.log_e_value),
        epsilon=float(verdict.epsilon),
        epsilon_refuted=verdict.epsilon_refuted,
    )


def name_of(subject: Any) -> str:
    """Name a subject: ``module:function`` as on the command line, a path, a trace's decoder, or a type."""
    if isinstance(subject, (str, Path)):
        return str(subject)
    trace = subject.trace if isinstance(subject, Traced) else subject
    if is_trace(trace):
        return " ".join(["trace of", *(str(trace.attrs[key]) for key in ("decoder", "method") if key in trace.attrs)])
    while isinstance(subject, partial):
        subject = subject.func
    function = subject.function if isinstance(subject, (Kernel, Sampler)) else subject
    name = attribute(function, "__qualname__", "subject")
    return type(subject).__name__ if name is None else f"{function.__module__}:{name}"
