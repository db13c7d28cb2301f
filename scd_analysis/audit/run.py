"""The audit: draw until decided, one verdict."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from scd_analysis.audit.greedy import refuse_tolerance
from scd_analysis.audit.judges import Judge
from scd_analysis.audit.opening import Asked, open_judge, opened
from scd_analysis.audit.progress import Progress
from scd_analysis.audit.samples import FALSE_DISCOVERY_RATE
from scd_analysis.audit.verdict import Outcome, Verdict
from scd_analysis.common.foreign import foreign
from scd_analysis.common.versions import library_versions
from scd_analysis.contracts import as_subject
from scd_analysis.validate import check_between

RESOLUTION_MEANING = {
    "token for token": "probability that a sequence has another token anywhere, power 0.99",
    "samples": "total variation between laws of whole sequences, to first order, power 0.99",
    "trace": "total variation of one observation of a condition, to first order, power 0.99",
    "kernel": "total variation of a committed token given those before it, to first order, power 0.99",
    "balls": "epsilon, and beyond it total variation of a token given those before it, to first order, power 0.99",
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
    tolerance: float | None = None,
    margin: float | None = None,
    checkpoint: str | Path | None = None,
    timeout: float | None = None,
    progress: bool | None = None,
    rule: str | None = None,
    draft_model: Any = None,
    epsilon: float = 0.0,
    jobs: int | None = None,
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
        itself or by its path, a trace also by its URL; or one of :mod:`scd_analysis.subjects`.
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
    tolerance : float, optional
        How far a recorded target probability may be from the model's own, given the finished sequence; by default 1e-4.
        Greedy decoding is judged by its tokens, so that it is refused there.
    margin : float, optional
        Judge greedy decoding: given the subject's own tokens, each must have a log-probability within ``margin`` nats
        of the largest; 0 forgives nothing. By default a subject is greedy where every law of the model is a point mass,
        and a greedy call of ``subjects.generate``, with margin 0.
    checkpoint : path or URL, optional
        A folder that keeps what was drawn; an audit that finds one goes on from there, to the same verdict. One of
        another subject (by its name, code and settings), of another model (by laws that differ by more than
        ``tolerance``) or seed is refused, and so is one that another audit is using. Stored sequences and kernels need
        none.
    timeout : float, optional
        Seconds that a subject may take for one batch, and the model for one call: then it is interrupted, however often
        it takes. What never returns to Python can be ended from the command line only.
    rule : str, optional
        The exact verification rule that the decoder claims to follow: ``"mrs"`` (modified rejection sampling),
        ``"exact-match"``, ``"gumbel-match"``, ``"block"``, ``"quantile-match"``, or ``"any"`` for one of its own, of
        which only the law of the tokens is judged. By default what the trace states, else whichever the evidence
        leaves: a subject is refuted where every one that is known is; of a trace without laws, where every one but
        ``"quantile-match"`` is, which it does not tell. A kernel is judged by the law in any case.
    draft_model : TargetModel, optional
        The model that the drafts come from, over the same vocabulary. With it two thirds of the weight are bet on what
        tokens look like under faults that are known by name, so that these are found sooner, and named without a trace;
        all other bets lose ln 3 nats. A kernel has none.
    progress : bool, optional
        Show ln E live on standard error; by default where that is a terminal.
    epsilon : float
        The null is that every law of a token given those before it lies within this total variation of the model's: on
        hardware nothing is exact. 0 asks for the model's law itself. A token of probability zero then refutes nothing
        by itself.
    jobs : int, optional
        Batches that are drawn at a time, ahead of the judge, each on one thread of PyTorch: in processes of this
        machine, or wherever ``joblib.parallel_config`` says, as on a cluster of Dask or Ray. Batches are then all of
        one size, and the verdict is the same for any number of jobs. Subject and model are sent to the workers; see
        :func:`scd_analysis.subjects.made_by` for those that should not be. A subject that keeps count of what it
        draws, as an engine's server does, is drawn from in this process. Kernels and stored sequences are judged as
        without it.

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
    check_between(resolution, 0, 1, "resolution", open_ends=True)
    asked = Asked(alpha, max_sequences, seed, tolerance, margin, epsilon, checkpoint, timeout, rule, draft_model, jobs)
    with ExitStack() as held:
        given = opened(subject)
        judge = open_judge(given, model, asked, held)
        judge.steady = jobs is not None and as_subject(given).is_drawn_anew
        show = held.enter_context(Progress(judge.log_threshold, judge.limit, shown=progress))
        while not judge.decided:
            judge.step()
            show(judge.log_e_value, judge.seen)
    judge.finish()
    if tolerance is not None and checkpoint is None and judge.grade == "samples" and judge.greedy() is not None:
        refuse_tolerance(tolerance)
    return _unless_lacking(verdict_of(judge, alpha, resolution, seed), given)


def _unless_lacking(verdict: Verdict, subject: Any) -> Verdict:
    """Let nothing pass that the subject itself says was not tested."""
    lacking = tuple(map(str, as_subject(subject).lacking())) if verdict.outcome is Outcome.NOT_REFUTED else ()
    return replace(verdict, outcome=Outcome.INCONCLUSIVE, missing=lacking) if lacking else verdict


def verdict_of(judge: Judge[Any], alpha: float, wanted: float, seed: int) -> Verdict:
    """What a judge has found, at the resolution that is wanted."""
    found = {of: (max(by.values(), default=1.0), by) for of, by in judge.resolutions().items()}
    finest = min(found, key=lambda of: found[of][0])
    worst, resolutions = found[finest]
    balls = judge.balls
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
        greedy=judge.greedy(),
        epsilon=judge.epsilon,
        epsilon_refuted=None if balls is None else balls.refuted(judge.log_threshold),
        log_e_by_epsilon=() if balls is None else balls.curve(),
        drift=judge.drift(),
    )


_RESOLVING = dict.fromkeys(("samples", "token for token", "balls"), "finished sequences")


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
    hidden = {"hidden": judge.hidden_rules} if judge.hidden_rules else {}
    own = {
        "target_laws": judge.target_laws,
        "rules": {"stated": judge.stated_rule, "nearest": judge.rule} | hidden,
        "model": {"vocab_size": judge.vocab_size, "num_tokens": judge.num_tokens},
    }
    asked = {"seed": seed, "alpha": alpha, "resolution_wanted": wanted}
    return record_of(judge, asked, (meaning, resolutions), judge.log_weights(), own)


def record_of(
    judge: Any,
    asked: dict[str, Any],
    resolutions: tuple[str, dict[str, float]],
    log_weights: dict[str, float],
    own: dict[str, Any],
) -> dict[str, Any]:
    """What an audit records of how it came to its verdict.

    Parameters
    ----------
    judge : Judge or PairJudge
    asked : dict
        Arguments of the audit.
    resolutions : (str, dict of str to float)
        What they are of, and each by direction.
    log_weights : dict of str to float
        Of all arms (ln).
    own : dict
        What this kind of audit records besides.
    """
    return {
        "grade": judge.grade,
        "path": dict(zip(("taken", "why"), judge.taken, strict=True)),
        **asked,
        "max_sequences": judge.limit,
        "batch_plan": judge.plan,
        "largest_log_e_value": judge.largest,
        "resolution_meaning": resolutions[0],
        "resolutions": resolutions[1],
        **own,
        "bettor_weights": {arm: math.exp(weight) for arm, weight in log_weights.items()},
        "false_discovery_rate": FALSE_DISCOVERY_RATE,
        "versions": library_versions("numpy", "torch"),
    }
