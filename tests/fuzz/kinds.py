"""The kinds of attack, and how many cases of each a round has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tests.fuzz.pool import Job


@dataclass(frozen=True)
class Kind:
    """One kind of attack.

    Attributes
    ----------
    where : str
        ``module:function`` of a case.
    cases : int
        In a round.
    limit_memory : bool
        Whether it runs in the worker itself, whose memory is limited.
    """

    where: str
    cases: int
    limit_memory: bool = True


KINDS = {
    "traces": Kind("tests.fuzz.traces:mutated", 240),
    "flips": Kind("tests.fuzz.traces:flipped", 60),
    "recorded": Kind("tests.fuzz.files:recorded", 200),
    "verdicts": Kind("tests.fuzz.files:verdict", 200),
    "checkpoints": Kind("tests.fuzz.checkpoints:damaged", 60),
    "datasets": Kind("tests.fuzz.datasets:changed", 60),
    "later": Kind("tests.fuzz.datasets:later", 20),
    "models": Kind("tests.fuzz.laws_of_models:hostile", 60),
    "returned": Kind("tests.fuzz.returned:tokens", 60),
    "kernels": Kind("tests.fuzz.returned:kernels", 30),
    "samplers": Kind("tests.fuzz.samplers:hostile", 40),
    "written": Kind("tests.fuzz.writing:written", 80),
    "words": Kind("tests.fuzz.writing:words", 80),
    "pages": Kind("tests.fuzz.pages:hostile", 60),
    "subjects": Kind("tests.fuzz.subjects:hostile", 48, limit_memory=False),
    "outputs": Kind("tests.fuzz.outputs:output", 18, limit_memory=False),
    "kill-trace": Kind("tests.fuzz.kills:recording", 6, limit_memory=False),
    "kill-audit": Kind("tests.fuzz.kills:auditing", 6, limit_memory=False),
}


def jobs_of(kinds: Iterable[str], seed: int, rounds: float, number: int | None = None) -> list[Job]:
    """Cases of some kinds (all, if none is named), interleaved; one of them, with ``number``."""
    jobs = []
    for name in tuple(kinds) or tuple(KINDS):
        kind = KINDS[name]
        numbers = range(max(1, round(kind.cases * rounds))) if number is None else (number,)
        jobs += [Job(name, kind.where, seed, n, kind.limit_memory) for n in numbers]
    return jobs
