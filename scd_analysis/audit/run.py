"""The audit: draw until decided, one verdict."""

from __future__ import annotations

import math
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from scd_analysis.audit.draws import FIRST_BATCH, Draws, Subject, is_trace
from scd_analysis.audit.judges import Judge
from scd_analysis.audit.progress import Progress
from scd_analysis.audit.rules import ANY, stated
from scd_analysis.audit.samples import FALSE_DISCOVERY_RATE, SampleEvidence, SampleJudge
from scd_analysis.audit.target import Target
from scd_analysis.audit.verdict import Outcome, Verdict
from scd_analysis.common.foreign import attribute, foreign
from scd_analysis.common.versions import library_versions
from scd_analysis.errors import InputError
from scd_analysis.validate import check_at_least, check_between, check_integer, check_known

DEFAULT_TOKENS = 500_000
"""Tokens that an audit without ``max_sequences`` looks at before it gives up refuting."""

LONGEST_TIMEOUT = 1e8
"""Seconds, three years: what a clock that rings can be set to is not much more."""

DEFAULT_SEQUENCES = 100_000
"""Sequences that it looks at, where they are short."""

RESOLUTION_MEANING = {
    "token for token": "probability that a sequence has another token anywhere, power 0.99",
    "samples": "total variation between laws of whole sequences, to first order, power 0.99",
    "trace": "total variation of one observation of a condition, to first order, power 0.99",
    "kernel": "total variation of a committed token given those before it, to first order, power 0.99",
}


@foreign("subject or model raised", only_exits=True)
def audit(
    subject: Any,
    model: Any = None,
    alpha: float = 1e-6,
    max_sequences: int | None = None,
    seed: int = 0,
    *,
    resolution: float = 0.2,
    tolerance: float = 1e-4,
    checkpoint: str | Path | None = None,
    timeout: float | None = None,
    progress: bool | None = None,
    rule: str | None = None,
) -> Verdict:
    """Judge whether a subject samples from its target model.

    A portfolio of bettors plays against the target, token by token. Under the null (every token has the model's law
    given the tokens before it, and sequences are independent) the mixture of their wealths is a martingale from one, so
    a lossless subject is refuted with probability at most ``alpha``, however long the audit runs and whenever it stops
    [1]_. What the subject shows decides what is bet on:

    * *samples*: tokens only.
    * *trace*: also the five conditions of a lossless decoder, each at the pass that commits a position, and checks of
      what a lossless decoder never does.
    * *kernel*: a verification function by itself, on laws made up by the audit (:func:`scd_analysis.subjects.kernel`):
      the law of what it commits decides, whatever its rule.

    Parameters
    ----------
    subject : callable, path or xarray.Dataset
        ``subject(model, num_sequences, seed)``, drawn anew for every seed, returns Long[num_sequences, N] (tensor or
        array), a trace, or an object with one of them as ``tokens`` or ``trace``; or a trace or a recorded file by
        itself or by its path; or one of :mod:`scd_analysis.subjects`.
    model : TargetModel, optional
        ``vocab_size``, ``num_tokens`` and ``next_token_probs(Long[B, t]) -> Float[B, t+1, V]``. Not needed for kernels
        and for subjects that bring their laws along as ``target_model``; for traces with laws, without it the target
        condition and bonus tokens are not tested.
    alpha : float
        Probability of refuting a lossless subject, at most.
    max_sequences : int, optional
        Where to stop without a refutation; by default 100,000 sequences or 500,000 tokens, whichever is less, and one
        batch where every target law is a point mass.
    seed : int
        Seeds the subject's batches and the audit's own variates, through separate streams.
    resolution : float
        The total variation that an audit must have been able to find for ``NOT_REFUTED``; a coarser one is
        ``INCONCLUSIVE``. It never ends an audit early.
    tolerance : float
        How far a recorded target probability may be from the model's own, given the finished sequence.
    checkpoint : path, optional
        A folder that keeps what was drawn; an audit that finds one goes on from there, to the same verdict. One of
        another subject (by its name, code and settings), of another model (by laws that differ by more than
        ``tolerance``) or seed is refused, and so is one that another audit is using. Stored sequences and kernels need
        none.
    timeout : float, optional
        Seconds that a subject may take for one batch, and the model for one call: then it is interrupted, however often
        it takes. What never returns to Python can be ended from the command line only.
    rule : str, optional
        The exact verification rule that the decoder claims to follow: ``"mrs"`` (modified rejection sampling),
        ``"exact-match"``, ``"gumbel-match"``, ``"block"``, or ``"any"`` for one of its own, of which only the law of
        the tokens is judged. By default what the trace states, else whichever the evidence leaves: a subject is
        refuted where every one of the four is. A kernel is judged by the law in any case.
    progress : bool, optional
        Show ln E live on standard error; by default where that is a terminal.

    Returns
    -------
    Verdict

    Raises
    ------
    InputError
        If an argument, the model or the subject's output is not what the contract says; ``LawError``,
        ``CausalityError`` and ``TraceError`` are kinds of it.

    References
    ----------
    .. [1] J. Ville (1939). Etude critique de la notion de collectif. Gauthier-Villars.
    """
    check_between(alpha, 0, 1, "alpha", open_ends=True)
    check_between(resolution, 0, 1, "resolution", open_ends=True)
    check_between(tolerance, 0, 1, "tolerance", open_ends=True)
    check_at_least(check_integer(seed, "seed"), 0, "seed")
    if max_sequences is not None:
        check_at_least(check_integer(max_sequences, "max_sequences"), 1, "max_sequences")
    if timeout is not None:
        check_at_least(timeout, 1e-3, "timeout")
        check_between(timeout, 0, LONGEST_TIMEOUT, "timeout")
    with ExitStack() as held:
        judge = _open(
            _as_subject(subject), model, alpha, max_sequences, seed, tolerance, checkpoint, timeout, rule, held
        )
        show = held.enter_context(Progress(judge.log_threshold, judge.limit, shown=progress))
        while not judge.decided:
            judge.step()
            show(judge.log_e_value, judge.seen)
    judge.finish()
    return _verdict(judge, alpha, resolution, seed)


def _as_subject(subject: Any) -> Any:
    """Take a trace or a recorded file, or a path to one, as what it is."""
    from scd_analysis.audit.adapters.recorded_file import SUFFIXES, recorded_file
    from scd_analysis.audit.adapters.stored import trace

    if isinstance(subject, (str, Path)):
        if not Path(subject).exists():
            raise InputError(f"subject = {str(subject)!r}: neither a callable nor the path of a trace or recorded file")
        suffix = Path(subject).suffix.lower()
        if Path(subject).is_file() and suffix not in (*SUFFIXES, ".zip"):
            kinds = f"a trace (a folder, or .zip) or a recorded file ({', '.join(SUFFIXES)})"
            raise InputError(f"subject = {str(subject)!r}: is none of the kinds of file that are known, {kinds}")
        return recorded_file(subject) if suffix in SUFFIXES else trace(subject)
    return trace(subject) if is_trace(subject) else subject


def _open(
    subject: Any,
    model: Any,
    alpha: float,
    max_sequences: int | None,
    seed: int,
    tolerance: float,
    checkpoint: str | Path | None,
    timeout: float | None,
    rule: str | None,
    held: ExitStack,
) -> Judge[Any]:
    """Look at what the subject shows, and choose the judge."""
    log_threshold = math.log(1 / alpha)
    for_subject, for_checks, for_pit, for_watch = np.random.SeedSequence(seed).spawn(4)
    if attribute(subject, "verify_window", "subject") is not None:
        from scd_analysis.audit.kernels import KernelJudge
        from scd_analysis.audit.rules.panel import Panel

        limit = DEFAULT_SEQUENCES if max_sequences is None else max_sequences
        rules = stated(rule) or stated(None)
        panel = Panel(rules, for_watch, log_threshold, vocab_size=subject.vocab_size, tolerance=1e-4)
        return KernelJudge(subject, for_subject, panel, log_threshold, limit, timeout)
    if attribute(subject, "verify_tree", "subject") is not None:
        from scd_analysis.audit.trees import TreeJudge

        check_known(ANY if rule is None else rule, (ANY,), "rule of a kernel for trees")
        limit = DEFAULT_SEQUENCES if max_sequences is None else max_sequences
        return TreeJudge(subject, for_subject, for_watch, log_threshold, limit, timeout)
    stated(rule)
    model = attribute(subject, "target_model", "subject") if model is None else model
    target = model if model is None or isinstance(model, Target) else Target(model, timeout)
    sizes = _sizes(subject, target)
    limit = _limit(sizes[1], subject, max_sequences)
    if target is not None:
        target.check(np.random.default_rng(for_checks))
    kept = None
    if checkpoint is not None and attribute(subject, "num_available", "subject") is None:
        from scd_analysis.audit.checkpoint import Checkpoint
        from scd_analysis.audit.identity import identity

        kept = held.enter_context(Checkpoint(checkpoint, identity(subject, target, sizes, seed), tolerance))
    draws = Draws(subject, model, sizes, for_subject, kept, timeout)
    evidence = None if target is None else SampleEvidence(target, np.random.default_rng(for_pit))
    most = FIRST_BATCH if target is None else target.sequences_at_once
    first = draws.next(min(FIRST_BATCH, most, limit))
    if not is_trace(first):
        if evidence is None:
            raise InputError("model = None: an audit of tokens needs the model whose law they should have")
        return SampleJudge(evidence, draws, first, log_threshold, limit, until_certain=max_sequences is None)
    from scd_analysis.audit.rules.panel import Panel
    from scd_analysis.audit.traced import TokensOfTraces, TraceJudge, tokens_of

    rules = stated(first.attrs.get("rule") if rule is None else rule)
    if not rules:
        if evidence is None:
            raise InputError(f"model = None: rule = {ANY!r} is judged by the tokens, and so needs their model")
        tokens = TokensOfTraces(draws)
        return SampleJudge(evidence, tokens, tokens_of(first), log_threshold, limit, stated_rule=ANY)
    if evidence is None and "target_probs" not in first:
        raise InputError("model = None: the trace holds no laws that are exact, so an audit of it needs the model")
    grid_width = None if target is None else target.grid_width
    panel = Panel(rules, for_watch, log_threshold, vocab_size=sizes[0], tolerance=tolerance, grid_width=grid_width)
    return TraceJudge(evidence, panel, draws, first, log_threshold, limit, until_certain=max_sequences is None)


def _sizes(subject: Any, target: Target | None) -> tuple[int, int]:
    if target is not None:
        return target.vocab_size, target.num_tokens
    sizes = [attribute(subject, name, "subject") for name in ("vocab_size", "num_tokens")]
    if None in sizes:
        raise InputError(
            "model = None: only a kernel or a recorded trace can be audited without a model, and what brings its laws "
            "along: a recorded file with them, or subjects.generate"
        )
    vocab_size, num_tokens = (check_integer(size, "subject's vocab_size and num_tokens") for size in sizes)
    return vocab_size, num_tokens


def _limit(num_tokens: int, subject: Subject, max_sequences: int | None) -> int:
    if max_sequences is None:
        max_sequences = max(FIRST_BATCH, min(DEFAULT_SEQUENCES, DEFAULT_TOKENS // num_tokens))
    available = attribute(subject, "num_available", "subject")
    return max_sequences if available is None else min(max_sequences, check_integer(available, "subject.num_available"))


def _verdict(judge: Judge[Any], alpha: float, wanted: float, seed: int) -> Verdict:
    found = {of: (max(by.values(), default=1.0), by) for of, by in judge.resolutions().items()}
    finest = min(found, key=lambda of: found[of][0])
    worst, resolutions = found[finest]
    outcome = Outcome.REFUTED if judge.refuted else Outcome.NOT_REFUTED if worst <= wanted else Outcome.INCONCLUSIVE
    return Verdict(
        outcome=outcome,
        log_e_value=judge.log_e_value,
        alpha=alpha,
        num_sequences=judge.seen,
        num_tokens=judge.seen * judge.num_tokens,
        resolution=worst,
        findings=judge.findings(),
        record=_record(judge, alpha, resolutions, RESOLUTION_MEANING[finest], wanted, seed),
        conditions=judge.conditions(),
        diagnosis=judge.diagnosis(),
        certificate=judge.certificate(),
        path=tuple(judge.path),
        missing=_missing(judge, found, wanted) if outcome is Outcome.INCONCLUSIVE else (),
        rule=judge.stated_rule if outcome is Outcome.REFUTED else judge.rule,
        log_e_by_rule=tuple(judge.log_e_by_rule.items()),
    )


_RESOLVING = {"samples": "finished sequences", "token for token": "finished sequences"}


def _missing(judge: Judge[Any], found: dict[str, tuple[float, dict[str, float]]], wanted: float) -> tuple[str, ...]:
    """What the audit lacked: tests, and sequences for the resolution that was asked for."""
    lacking = list(judge.missing())
    for of, (worst, by) in found.items():
        if of in _RESOLVING or not lacking:
            what = _RESOLVING.get(of) or max(by, key=lambda direction: by[direction], default=of)
            found_at = f"of the {what}, a total variation of {worst:.3g} would have been found"
            lacking.append(
                f"resolution: {found_at}, and {wanted:g} was asked for: allow more sequences, or ask for less"
            )
    return tuple(lacking)


def _record(
    judge: Judge[Any],
    alpha: float,
    resolutions: dict[str, float],
    meaning: str,
    wanted: float,
    seed: int,
) -> dict[str, Any]:
    taken, why = judge.taken
    return {
        "grade": judge.grade,
        "path": {"taken": taken, "why": why},
        "seed": seed,
        "alpha": alpha,
        "max_sequences": judge.limit,
        "batch_plan": judge.plan,
        "largest_log_e_value": judge.largest,
        "resolution_wanted": wanted,
        "resolution_meaning": meaning,
        "resolutions": resolutions,
        "target_laws": judge.target_laws,
        "rules": {"stated": judge.stated_rule, "nearest": judge.rule},
        "bettor_weights": {arm: math.exp(weight) for arm, weight in judge.log_weights().items()},
        "false_discovery_rate": FALSE_DISCOVERY_RATE,
        "model": {"vocab_size": judge.vocab_size, "num_tokens": judge.num_tokens},
        "versions": library_versions("numpy", "torch"),
    }
