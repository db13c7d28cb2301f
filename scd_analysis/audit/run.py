"""The audit on samples: batches until decided, one verdict."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from scd_analysis.audit.draws import FIRST_BATCH, Draws, Subject
from scd_analysis.audit.progress import Progress
from scd_analysis.audit.target import Target
from scd_analysis.audit.verdict import Finding, Outcome, Verdict
from scd_analysis.evidence.catalogue import CONCENTRATIONS, PRIOR_TOKENS, standard_portfolio
from scd_analysis.evidence.multiplicity import e_benjamini_hochberg
from scd_analysis.evidence.portfolio import Portfolio
from scd_analysis.evidence.resolution import every_cell, one_direction
from scd_analysis.validate import check_at_least, check_between
from scd_analysis.version import __version__

DEFAULT_TOKENS = 500_000
"""Tokens that an audit without ``max_sequences`` looks at before it gives up refuting."""

DEFAULT_SEQUENCES = 100_000
"""Sequences that it looks at, where they are short."""

FALSE_DISCOVERY_RATE = 0.05
SMALLEST_CHUNK, CHUNK_GROWTH = 16, 1 / 16


def audit(
    subject: Subject,
    model: Any,
    alpha: float = 1e-6,
    max_sequences: int | None = None,
    seed: int = 0,
    *,
    resolution: float = 0.2,
    progress: bool | None = None,
) -> Verdict:
    """Judge from its tokens alone whether a subject samples from its target model.

    A portfolio of bettors plays against the target, token by token. Under the null (every token has the model's law
    given the tokens before it, and sequences are independent) the mixture of their wealths is a martingale from one, so
    a lossless subject is refuted with probability at most ``alpha``, however long the audit runs and whenever it stops
    [1]_.

    Parameters
    ----------
    subject : callable
        ``subject(model, num_sequences, seed) -> Long[num_sequences, N]``, tensor or array, drawn anew
        for every seed.
    model : TargetModel
        ``vocab_size``, ``num_tokens`` and ``next_token_probs(Long[B, t]) -> Float[B, t+1, V]``.
    alpha : float
        Probability of refuting a lossless subject, at most.
    max_sequences : int, optional
        Where to stop without a refutation; by default 100,000 sequences or 500,000 tokens, whichever is less.
    seed : int
        Seeds the subject's batches and the audit's own variates, through separate streams.
    resolution : float
        The total variation that an audit must have been able to find for ``NOT_REFUTED``; a coarser one is
        ``INCONCLUSIVE``. It never ends an audit early.
    progress : bool, optional
        Show ln E live on standard error; by default where that is a terminal.

    Returns
    -------
    Verdict

    Raises
    ------
    InputError
        If an argument, the model or the subject's output is not what the contract says; ``LawError`` and
        ``CausalityError`` are kinds of it.

    References
    ----------
    .. [1] J. Ville (1939). Etude critique de la notion de collectif. Gauthier-Villars.
    """
    check_between(alpha, 0, 1, "alpha", open_ends=True)
    check_between(resolution, 0, 1, "resolution", open_ends=True)
    target = Target(model)
    limit = _limit(target, subject, max_sequences)
    for_subject, for_checks, for_pit = np.random.SeedSequence(seed).spawn(3)
    target.check(np.random.default_rng(for_checks))
    draws = Draws(subject, model, for_subject)
    portfolio = standard_portfolio(target.vocab_size, target.num_tokens, target.companions, target.grid_width)
    run = _Run(target, draws, portfolio, np.random.default_rng(for_pit), math.log(1 / alpha), limit)
    with Progress(run.log_threshold, limit, shown=progress) as show:
        while not run.decided:
            run.step()
            show(run.log_e_value, run.seen)
    return _verdict(run, alpha, resolution, seed)


@dataclass
class _Run:
    """An audit under way."""

    target: Target
    draws: Draws
    portfolio: Portfolio
    rng: np.random.Generator
    log_threshold: float
    limit: int
    seen: int = 0
    log_e_value: float = 0.0
    plan: list[int] = field(default_factory=list)

    @property
    def refuted(self) -> bool:
        return self.log_e_value >= self.log_threshold

    @property
    def decided(self) -> bool:
        return self.refuted or self.seen >= self.limit

    def step(self) -> None:
        """Draw half as many sequences as were seen, and bet on them in parts until one refutes."""
        size = min(max(FIRST_BATCH, self.seen // 2), self.target.sequences_at_once, self.limit - self.seen)
        tokens = self.draws.next(size)
        batch = self.target.batch(tokens, self.rng)
        self.draws.check_fresh(tokens, batch.token_probs)
        self.plan.append(size)
        for part in batch.chunks(self.seen, CHUNK_GROWTH, SMALLEST_CHUNK):
            path = self.portfolio.bet(part)
            crossed = path >= self.log_threshold
            last = int(crossed.argmax()) if crossed.any() else len(part) - 1
            self.seen, self.log_e_value = self.seen + last + 1, float(path[last])
            if self.refuted:
                return


def _limit(target: Target, subject: Subject, max_sequences: int | None) -> int:
    if max_sequences is None:
        max_sequences = max(FIRST_BATCH, min(DEFAULT_SEQUENCES, DEFAULT_TOKENS // target.num_tokens))
    check_at_least(max_sequences, 1, "max_sequences")
    return min(max_sequences, getattr(subject, "num_available", max_sequences))


def _verdict(run: _Run, alpha: float, wanted: float, seed: int) -> Verdict:
    resolutions = _resolutions(run)
    worst = max(resolutions.values())
    outcome = Outcome.REFUTED if run.refuted else Outcome.NOT_REFUTED if worst <= wanted else Outcome.INCONCLUSIVE
    return Verdict(
        outcome=outcome,
        log_e_value=run.log_e_value,
        alpha=alpha,
        num_sequences=run.seen,
        num_tokens=run.seen * run.target.num_tokens,
        resolution=worst,
        findings=_findings(run),
        record=_record(run, alpha, resolutions, wanted, seed),
    )


def _resolutions(run: _Run) -> dict[str, float]:
    """Total variation between laws of whole sequences, by direction."""
    weights = dict(zip(run.portfolio.arms, run.portfolio.log_weights, strict=True))
    directed = next(weight for arm, weight in weights.items() if arm.startswith("directed:"))
    out = {
        "one learned direction": one_direction(
            run.log_threshold, float(directed), run.seen, run.seen * run.target.num_tokens, np.asarray(PRIOR_TOKENS)
        )
    }
    joint = [weight for arm, weight in weights.items() if arm.startswith("joint-cells:")]
    if joint:
        cells = run.target.vocab_size**run.target.num_tokens
        out["every cell at once"] = every_cell(run.log_threshold, float(joint[0]), run.seen, cells, CONCENTRATIONS)
    return out


def _findings(run: _Run) -> tuple[Finding, ...]:
    """Rank families by their evidence, each with what its best arm says; those below one nat say nothing."""
    families = run.portfolio.families()
    log_e_values = np.array([family.log_e_value for family in families])
    stands = e_benjamini_hochberg(log_e_values, FALSE_DISCOVERY_RATE)
    ranked = [i for i in np.argsort(-log_e_values) if log_e_values[i] >= 1]
    out = [Finding(families[i].best_arm, families[i].message, float(log_e_values[i]), bool(stands[i])) for i in ranked]
    if run.portfolio.impossible:
        out.insert(0, Finding("support", "a token came that the target gives probability zero", math.inf, True))
    return tuple(out)


def _record(run: _Run, alpha: float, resolutions: dict[str, float], wanted: float, seed: int) -> dict[str, Any]:
    weights = np.exp(run.portfolio.log_weights)
    return {
        "grade": "samples",
        "seed": seed,
        "alpha": alpha,
        "max_sequences": run.limit,
        "batch_plan": run.plan,
        "resolution_wanted": wanted,
        "resolution_meaning": "total variation between laws of whole sequences, to first order, power 0.99",
        "resolutions": resolutions,
        "bettor_weights": {arm: float(weight) for arm, weight in zip(run.portfolio.arms, weights, strict=True)},
        "log_e_values_at_end_of_part": {
            arm: float(wealth) for arm, wealth in zip(run.portfolio.arms, run.portfolio.log_wealth, strict=True)
        },
        "false_discovery_rate": FALSE_DISCOVERY_RATE,
        "model": {"vocab_size": run.target.vocab_size, "num_tokens": run.target.num_tokens},
        "versions": {"scd-analysis": __version__, "python": sys.version.split()[0], **_versions("numpy", "torch")},
    }


def _versions(*packages: str) -> dict[str, str]:
    out = {}
    for package in packages:
        try:
            out[package] = version(package)
        except PackageNotFoundError:
            continue
    return out
