"""What every engine is asked, in this process or behind a server: stated once, and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Required, TypedDict

from scd_analysis.audit.adapters.engine_target import EngineTarget, prompt_ids
from scd_analysis.audit.adapters.sampling import Convention, Sampling
from scd_analysis.common.foreign_json import shown
from scd_analysis.errors import InputError
from scd_analysis.evidence.batch import Longs
from scd_analysis.validate import check_at_least, check_integer


class Call(TypedDict, total=False):
    """Keywords of every engine in this process, as for :func:`scd_analysis.subjects.endpoint`."""

    prompt: Required[Sequence[int]]
    num_tokens: int
    sampling: Mapping[str, Any] | Sampling | None
    target: Any
    speculation: bool | None
    end_tokens: Sequence[int] | None


@dataclass(frozen=True)
class EngineCall:
    """A call that was checked.

    Attributes
    ----------
    prompt : Long[P]
    num_tokens : int
    sampling : Sampling
    convention : Convention
    target : EngineTarget or None
        The law that the settings ask for.
    speculation : bool or None
        Whether speculation is said to be on.
    """

    prompt: Longs
    num_tokens: int
    sampling: Sampling
    convention: Convention
    target: EngineTarget | None
    speculation: bool | None

    @classmethod
    def of(
        cls,
        convention: Convention,
        *,
        prompt: Sequence[int],
        num_tokens: int = 6,
        sampling: Mapping[str, Any] | Sampling | None = None,
        target: Any = None,
        speculation: bool | None = None,
        end_tokens: Sequence[int] | None = None,
    ) -> EngineCall:
        """Check what an engine is asked; see :func:`scd_analysis.subjects.endpoint`.

        Raises
        ------
        InputError
            If an argument is not what it should be.
        """
        ids = prompt_ids(prompt)
        check_at_least(check_integer(num_tokens, "num_tokens"), 1, "num_tokens")
        stated = Sampling.of(sampling)
        convention.request(stated, len(ids) + num_tokens)
        law = EngineTarget(target, ids, num_tokens, stated, convention, end_tokens) if target is not None else None
        return cls(ids, num_tokens, stated, convention, law, speculation)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings as the engine calls them."""
        return self.convention.request(self.sampling, len(self.prompt) + self.num_tokens)

    @property
    def vocab_size(self) -> int | None:
        """V; None without a target."""
        return None if self.target is None else self.target.vocab_size


def load_levels(concurrency: int | Sequence[int]) -> tuple[int, ...]:
    """Return how many requests are under way at a time, in turns.

    Raises
    ------
    InputError
        If they are none.
    """
    levels = tuple(concurrency) if isinstance(concurrency, Sequence) else (concurrency,)
    if not levels:
        raise InputError(f"concurrency = {shown(concurrency)}: expected requests at a time, such as 8 or (1, 4, 16)")
    for number, level in enumerate(levels):
        name = f"concurrency[{number}]" if isinstance(concurrency, Sequence) else "concurrency"
        check_at_least(check_integer(level, name), 1, name)
    return levels


def lacking_load(levels: tuple[int, ...], reached: int) -> tuple[str, ...]:
    """What a verdict lacks where the largest of several loads was never reached."""
    most = max(levels)
    if len(levels) == 1 or reached >= most:
        return ()
    return (
        f"concurrency: {most} requests at a time were asked for, and {reached} were made at most; with fewer "
        "choices a request, or more sequences, there are more",
    )
