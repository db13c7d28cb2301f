"""What an audit is asked, and the judge for what the subject shows."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scd_analysis.audit.draws import FIRST_BATCH, Draws
from scd_analysis.audit.greedy import GreedyJudge, check_greedy, laws_of_greedy
from scd_analysis.audit.judges import Judge
from scd_analysis.audit.named import DraftModel
from scd_analysis.audit.rules import ANY, stated
from scd_analysis.audit.samples import SampleEvidence, SampleJudge
from scd_analysis.audit.target import Target
from scd_analysis.common.urls import place_of
from scd_analysis.contracts import SubjectSeen, as_kernel, as_subject, is_trace
from scd_analysis.errors import InputError
from scd_analysis.validate import check_at_least, check_between, check_integer, check_known

if TYPE_CHECKING:
    import xarray as xr

DEFAULT_TOKENS = 500_000
"""Tokens that an audit without ``max_sequences`` looks at before it gives up refuting."""

DEFAULT_SEQUENCES = 100_000
"""Sequences that it looks at, where they are short."""

LONGEST_TIMEOUT = 1e8
"""Seconds, three years: what a clock that rings can be set to is not much more."""

TOLERANCE = 1e-4
"""Of recorded probabilities against the model's, where none is stated."""

LARGEST_MARGIN = 1e3
"""Nats; a probability in float64 has a logarithm of -745 at least."""

NO_DRIFT = (
    "of a trace it takes the model, and the laws that the decoder used, recorded (record='laws'); without these, "
    "rule = 'any' judges its tokens"
)


@dataclass(frozen=True)
class Asked:
    """The arguments of an audit, checked; :func:`scd_analysis.audit` says what each is.

    Raises
    ------
    InputError
        Naming the argument and its value.
    """

    alpha: float
    max_sequences: int | None
    seed: int
    tolerance: float | None = None
    margin: float | None = None
    epsilon: float = 0.0
    checkpoint: str | Path | None = None
    timeout: float | None = None
    rule: str | None = None
    draft_model: Any = None
    jobs: int | None = None

    def __post_init__(self) -> None:
        check_between(self.alpha, 0, 1, "alpha", open_ends=True)
        if self.tolerance is not None:
            check_between(self.tolerance, 0, 1, "tolerance", open_ends=True)
        if self.margin is not None:
            check_between(self.margin, 0, LARGEST_MARGIN, "margin")
        check_between(self.epsilon, 0, 1, "epsilon")
        if self.epsilon == 1:
            raise InputError("epsilon = 1: every law lies within a total variation of 1; ask for less")
        check_at_least(check_integer(self.seed, "seed"), 0, "seed")
        if self.max_sequences is not None:
            check_at_least(check_integer(self.max_sequences, "max_sequences"), 1, "max_sequences")
        if self.jobs is not None:
            check_at_least(check_integer(self.jobs, "jobs"), 1, "jobs")
        if self.timeout is not None:
            check_at_least(self.timeout, 1e-3, "timeout")
            check_between(self.timeout, 0, LONGEST_TIMEOUT, "timeout")
        if self.epsilon and self.draft_model is not None:
            raise InputError(
                f"draft_model: faults are named at epsilon = 0 only, and epsilon = {self.epsilon:g} was asked"
            )
        if self.epsilon and self.margin is not None:
            raise InputError(f"margin = {self.margin:g}: greedy decoding has no law to be within epsilon of")

    @property
    def log_threshold(self) -> float:
        """Return ln(1/alpha), nats."""
        return math.log(1 / self.alpha)

    def streams(self) -> list[np.random.SeedSequence]:
        """Seeds of the subject's batches, and of the audit's checks, randomised PIT and conditions."""
        return np.random.SeedSequence(self.seed).spawn(4)


def open_judge(given: Any, model: Any, asked: Asked, held: ExitStack) -> Judge[Any]:
    """Look at what the subject shows, and choose the judge.

    Parameters
    ----------
    given, model
        The subject, opened, and the model as the caller gave it.
    asked : Asked
    held : ExitStack
        Closes what the judge uses, at the end of the audit.

    Raises
    ------
    InputError
        If the subject, the model and what was asked do not go together.
    """
    subject = as_subject(given)
    if subject.is_kernel:
        return _of_kernel(given, asked)
    if subject.is_tree:
        return _of_tree_kernel(given, asked)
    stated(asked.rule)
    model = subject.target_model if model is None else model
    laws = laws_of_greedy(model, asked.margin)
    if laws is not None:
        _check_greedy(asked)
    target = model
    if model is not None and not isinstance(model, Target):
        target = Target(model if laws is None else laws, asked.timeout)
    sizes = _sizes(subject, target)
    for_subject, for_checks, _, _ = asked.streams()
    limit = most_sequences(sizes[1], subject.num_available, asked.max_sequences)
    if target is not None:
        target.check(np.random.default_rng(for_checks))
    kept = _checkpoint(given, target, sizes, asked, held) if subject.num_available is None else None
    in_batches = subject.num_available is None
    own = None if subject.brings_its_model else model
    draws = Draws(given, own, sizes, for_subject, kept, asked.timeout, in_batches=in_batches)
    size = min(FIRST_BATCH, FIRST_BATCH if target is None else target.sequences_at_once, limit)
    first = draws.next(size)
    if asked.jobs is not None and in_batches:
        draw_ahead(draws, subject, asked.jobs, limit - size, held)
    if laws is not None and target is not None:
        return _of_greedy(target, draws, first, asked, limit)
    if is_trace(first):
        return _of_trace(target, draws, first, asked, limit)
    if target is None:
        raise InputError("model = None: an audit of tokens needs the model whose law they should have")
    certain = asked.max_sequences is None
    return SampleJudge(_evidence(target, draws, asked), draws, first, asked.log_threshold, limit, until_certain=certain)


def draw_ahead(draws: Draws, subject: SubjectSeen, jobs: int, left: int, held: ExitStack) -> None:
    """Let batches of a subject be drawn ahead, unless it keeps count of them; see :meth:`Draws.draw_ahead`."""
    if not subject.keeps_count:  # else in this process, as one job would: an engine's draws are parallel by themselves
        draws.draw_ahead(jobs, left, held)


def opened(subject: Any) -> Any:
    """Take a trace or a recorded file, or a path to one, as what it is."""
    from scd_analysis.audit.adapters.recorded_file import SUFFIXES, recorded_file
    from scd_analysis.audit.adapters.stored import trace

    if isinstance(subject, (str, Path)):
        subject = place_of(subject)
        if isinstance(subject, str):
            return _at_url(subject)
        if not Path(subject).exists():
            raise InputError(f"subject = {str(subject)!r}: neither a callable nor the path of a trace or recorded file")
        suffix = Path(subject).suffix.lower()
        if Path(subject).is_file() and suffix not in (*SUFFIXES, ".zip"):
            kinds = f"a trace (a folder, or .zip) or a recorded file ({', '.join(SUFFIXES)})"
            raise InputError(f"subject = {str(subject)!r}: is none of the kinds of file that are known, {kinds}")
        return recorded_file(subject) if suffix in SUFFIXES else trace(subject)
    return trace(subject) if is_trace(subject) else subject


def _at_url(url: str) -> Any:
    from scd_analysis.audit.adapters.recorded_file import SUFFIXES
    from scd_analysis.audit.adapters.stored import trace

    if Path(url).suffix.lower() in SUFFIXES:
        raise InputError(f"subject = {url!r}: a recorded file is read from a file system only; copy it here")
    return trace(url)


def _check_of_kernel(asked: Asked) -> None:
    if asked.draft_model is not None:
        raise InputError("draft_model: a kernel is judged on laws made up by the audit, and has no draft model")
    if asked.margin is not None:
        raise InputError(f"margin = {asked.margin:g}: a kernel is judged by the law of what it commits, not as greedy")


def _of_tree_kernel(given: Any, asked: Asked) -> Judge[Any]:
    from scd_analysis.audit.trees import TreeJudge

    _check_of_kernel(asked)
    check_known(ANY if asked.rule is None else asked.rule, (ANY,), "rule of a kernel for trees")
    limit = DEFAULT_SEQUENCES if asked.max_sequences is None else asked.max_sequences
    for_subject, _, _, for_watch = asked.streams()
    return TreeJudge(given, for_subject, for_watch, asked.log_threshold, limit, asked.timeout, asked.epsilon)


def _of_kernel(given: Any, asked: Asked) -> Judge[Any]:
    from scd_analysis.audit.kernels import KernelJudge
    from scd_analysis.audit.panel import Panel

    _check_of_kernel(asked)
    limit = DEFAULT_SEQUENCES if asked.max_sequences is None else asked.max_sequences
    for_subject, _, _, for_watch = asked.streams()
    rules, kernel = stated(asked.rule) or stated(None), as_kernel(given)
    panel = Panel(rules, for_watch, asked.log_threshold, vocab_size=kernel.vocab_size, tolerance=TOLERANCE)
    return KernelJudge(kernel, for_subject, panel, asked.log_threshold, limit, asked.timeout, asked.epsilon)


def _check_greedy(asked: Asked) -> None:
    if asked.epsilon:
        raise InputError(
            f"epsilon = {asked.epsilon:g}: greedy decoding has no law to be within; state a margin instead"
        )
    has_checkpoint, has_draft = asked.checkpoint is not None, asked.draft_model is not None
    check_greedy(asked.margin, asked.tolerance, asked.rule, has_checkpoint=has_checkpoint, has_draft=has_draft)


def _of_greedy(target: Target, draws: Draws, first: Any, asked: Asked, limit: int) -> Judge[Any]:
    from scd_analysis.audit.traced import TokensOfTraces, tokens_of

    draws, first = (TokensOfTraces(draws), tokens_of(first)) if is_trace(first) else (draws, first)
    limit = limit if asked.max_sequences else len(first)
    return GreedyJudge(target, draws, first, asked.margin or 0.0, asked.log_threshold, limit)


def _of_trace(target: Target | None, draws: Draws, first: xr.Dataset, asked: Asked, limit: int) -> Judge[Any]:
    from scd_analysis.audit.panel import Panel
    from scd_analysis.audit.traced import TokensOfTraces, TraceJudge, tokens_of

    if target is None and asked.draft_model is not None:
        raise InputError("draft_model: what its drafts should become is the law of the model, and there is none")
    evidence = None if target is None else _evidence(target, draws, asked)
    own = first.attrs.get("rule") if asked.rule is None else asked.rule
    rules = stated(own, laws_recorded="draft_probs" in first and "target_probs" in first)
    if not rules:
        if evidence is None:
            raise InputError(f"model = None: rule = {ANY!r} is judged by the tokens, and so needs their model")
        tokens = TokensOfTraces(draws)
        return SampleJudge(evidence, tokens, tokens_of(first), asked.log_threshold, limit, stated_rule=ANY)
    if asked.epsilon and (evidence is None or "target_probs" not in first):
        raise InputError(f"epsilon = {asked.epsilon:g}: {NO_DRIFT}")
    if evidence is None and "target_probs" not in first:
        raise InputError("model = None: the trace holds no laws that are exact, so an audit of it needs the model")
    panel = Panel(
        rules,
        asked.streams()[3],
        asked.log_threshold,
        vocab_size=draws.sizes[0],
        tolerance=TOLERANCE if asked.tolerance is None else asked.tolerance,
        grid_width=None if target is None else target.grid_width,
    )
    certain = asked.max_sequences is None
    return TraceJudge(evidence, panel, draws, first, asked.log_threshold, limit, until_certain=certain)


def _evidence(target: Target, draws: Draws, asked: Asked) -> SampleEvidence:
    draft, pit = _draft(target, asked), np.random.default_rng(asked.streams()[2])
    return SampleEvidence(target, pit, draft, in_batches=draws.in_batches, epsilon=asked.epsilon)


def _draft(target: Target, asked: Asked) -> DraftModel | None:
    """Check a draft model, if there is one."""
    if asked.draft_model is None:
        return None
    draft = DraftModel(asked.draft_model, target, asked.timeout)
    draft.check(np.random.default_rng([asked.seed, 1]))
    return draft


def _checkpoint(given: Any, target: Target | None, sizes: tuple[int, int], asked: Asked, held: ExitStack) -> Any:
    if asked.checkpoint is None:
        return None
    from scd_analysis.audit.identity import identity
    from scd_analysis.audit.mirror import checkpoint_at

    tolerance = TOLERANCE if asked.tolerance is None else asked.tolerance
    own = identity(given, target, sizes, asked.seed)
    return held.enter_context(checkpoint_at(asked.checkpoint, own, tolerance))


def _sizes(subject: SubjectSeen, target: Target | None) -> tuple[int, int]:
    if target is not None:
        return target.vocab_size, target.num_tokens
    if subject.vocab_size is None or subject.num_tokens is None:
        raise InputError(
            "model = None: only a kernel or a recorded trace can be audited without a model, and what brings its laws "
            "along: a recorded file with them, or subjects.generate"
        )
    vocab_size, num_tokens = subject.vocab_size, subject.num_tokens
    what = "subject's vocab_size and num_tokens"
    return check_integer(vocab_size, what), check_integer(num_tokens, what)


def most_sequences(num_tokens: int, available: int | None, max_sequences: int | None) -> int:
    """Sequences at which an audit stops: as it was asked, by default, or as there are."""
    if max_sequences is None:
        max_sequences = max(FIRST_BATCH, min(DEFAULT_SEQUENCES, DEFAULT_TOKENS // num_tokens))
    return max_sequences if available is None else min(max_sequences, available)
