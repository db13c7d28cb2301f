"""An engine in this process as a subject: what all of them have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import cycle
from typing import Any, Unpack

import numpy as np

from scd_analysis.audit.adapters.engine_call import Call, EngineCall, lacking_load, load_levels
from scd_analysis.audit.adapters.engine_client import checked_tokens
from scd_analysis.audit.adapters.engine_seeds import request_seeds
from scd_analysis.audit.adapters.sampling import Convention
from scd_analysis.common.foreign_json import first_line
from scd_analysis.errors import EngineError
from scd_analysis.evidence.batch import Longs

NO_DRAFT = "drafts: the engine tells of none, so that nothing shows that speculation was on"


def engine_module(module: str, function: str, extra: str) -> Any:
    """Import an engine.

    Raises
    ------
    EngineError
        Naming the extra that brings it.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise EngineError(f"subjects.{function} needs {error.name}: pip install 'scd-analysis[{extra}]'") from None


@dataclass(frozen=True)
class Request:
    """What an engine is asked for.

    Attributes
    ----------
    prompt : Long[P]
    num_tokens : int
    settings : mapping of str to value
        As the engine calls them.
    seeds : tuple of int
        One a sequence.
    """

    prompt: Longs
    num_tokens: int
    settings: Mapping[str, Any]
    seeds: tuple[int, ...]


Engine = Callable[[Request], tuple[Sequence[Sequence[int]], int | None]]
"""From a request to the tokens behind the prompt, a row a seed, and how many draft tokens the engine tells of."""


class InProcess:
    """See :func:`in_process`.

    Attributes
    ----------
    num_tokens : int
    vocab_size : int or None
        None without a target.
    target_model : EngineTarget or None
        The law that the settings ask for; an audit takes it by itself.
    drafted : int or None
        Draft tokens that the engine told of for what was drawn; None where nothing was drawn, or it does not tell.
    """

    def __init__(self, engine: Engine, call: EngineCall, concurrency: tuple[int, ...]) -> None:
        self._engine, self._call = engine, call
        self._at_once, self._reached = concurrency, 0  # no part of what is drawn
        self.num_tokens, self.target_model, self.vocab_size = call.num_tokens, call.target, call.vocab_size
        self.drafted: int | None = None

    def __call__(self, model: Any, num_sequences: int, seed: int) -> Longs:
        """Draw Long[num_sequences, num_tokens]; ``model`` is not used.

        Raises
        ------
        EngineError
            If the engine raises, or answers with something else than so many tokens.
        """
        call, name = self._call, self._call.convention.name
        out: list[tuple[int, ...]] = []
        seeds = request_seeds(seed, num_sequences, 1, call.convention.seeds)
        for level in cycle(self._at_once):
            own = tuple(seeds[len(out) : len(out) + level])
            if not own:
                break
            try:
                rows, drafted = self._engine(Request(call.prompt, call.num_tokens, call.settings, own))
                answers = [checked_tokens([*map(int, row)], call.num_tokens, f"{name}: tokens") for row in rows]
            except EngineError:
                raise
            except Exception as error:
                raise EngineError(f"{name}: raised at seed {own[0]} ({first_line(error)})") from error
            if len(answers) != len(own):
                raise EngineError(f"{name}: answers with {len(answers)} sequences: {len(own)} were asked for")
            out += answers
            self._reached = max(self._reached, len(own))
            if drafted is not None:
                self.drafted = (self.drafted or 0) + drafted
        return np.array(out, dtype=np.int64)

    def lacking(self) -> tuple[str, ...]:
        """What a verdict lacks, one sentence each: drafts, where none was told of; a load that was asked for."""
        drafts = (NO_DRAFT,) if self._call.speculation and not self.drafted else ()
        return (*drafts, *lacking_load(self._at_once, self._reached))


def in_process(
    engine: Engine, convention: Convention, concurrency: int | Sequence[int] = 1, **call: Unpack[Call]
) -> InProcess:
    """Make a subject of what answers requests.

    Parameters
    ----------
    engine : callable
        From a ``Request`` to the tokens behind its prompt, and a number of drafts.
    convention : Convention
    concurrency : int or sequence of int
        Sequences a request, in turns.
    **call
        Prompt, num_tokens, sampling, target, speculation, end_tokens, as for :func:`scd_analysis.subjects.endpoint`.

    Raises
    ------
    InputError
        If an argument is not what it should be.
    """
    return InProcess(engine, EngineCall.of(convention, **call), load_levels(concurrency))
