"""An engine in this process as a subject: what all of them have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scd_analysis.audit.adapters.engine_client import checked_tokens
from scd_analysis.audit.adapters.engine_seeds import request_seeds
from scd_analysis.audit.adapters.engine_target import EngineTarget, prompt_ids
from scd_analysis.audit.adapters.sampling import Convention, Sampling
from scd_analysis.common.foreign_json import first_line
from scd_analysis.errors import EngineError
from scd_analysis.evidence.batch import Longs
from scd_analysis.validate import check_at_least, check_integer

NO_DRAFT = "drafts: the engine tells of none, so that nothing shows that speculation was on"


@dataclass(frozen=True)
class Request:
    """What an engine is asked for, once a sequence.

    Attributes
    ----------
    prompt : Long[P]
    num_tokens : int
    settings : mapping of str to value
        As the engine calls them.
    seed : int
    """

    prompt: Longs
    num_tokens: int
    settings: Mapping[str, Any]
    seed: int


Engine = Callable[[Request], tuple[Sequence[int], int]]
"""From a request to the tokens behind the prompt, and how many draft tokens the engine tells of."""


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
        Draft tokens that the engine told of for what was drawn; None where nothing was drawn.
    """

    def __init__(
        self,
        engine: Engine,
        prompt: Longs,
        num_tokens: int,
        sampling: Sampling,
        convention: Convention,
        target: EngineTarget | None,
        speculation: bool | None,
    ) -> None:
        self._engine, self.prompt, self.num_tokens, self.sampling = engine, prompt, num_tokens, sampling
        self.target_model, self.vocab_size = target, None if target is None else target.vocab_size
        self.speculation, self._convention = speculation, convention
        self._settings = convention.request(sampling, len(prompt) + num_tokens)
        self.drafted: int | None = None

    def __call__(self, model: Any, num_sequences: int, seed: int) -> Longs:
        """Draw Long[num_sequences, num_tokens]; ``model`` is not used.

        Raises
        ------
        EngineError
            If the engine raises, or answers with something else than so many tokens.
        """
        rows, name = [], self._convention.name
        for start in request_seeds(seed, num_sequences, 1, self._convention.seeds):
            try:
                tokens, drafted = self._engine(Request(self.prompt, self.num_tokens, self._settings, start))
            except Exception as error:
                raise EngineError(f"{name}: raised at seed {start} ({first_line(error)})") from error
            rows.append(checked_tokens([int(token) for token in tokens], self.num_tokens, f"{name}: tokens"))
            self.drafted = (self.drafted or 0) + drafted
        return np.array(rows, dtype=np.int64)

    def lacking(self) -> tuple[str, ...]:
        """What a verdict on speculation lacks, one sentence each: drafts, where none was told of."""
        return (NO_DRAFT,) if self.speculation and self.drafted == 0 else ()


def in_process(
    engine: Engine,
    convention: Convention,
    *,
    prompt: Sequence[int],
    num_tokens: int,
    sampling: Mapping[str, Any] | Sampling | None,
    target: Any,
    speculation: bool | None,
    end_tokens: Sequence[int] | None,
) -> InProcess:
    """Make a subject of what answers one request.

    Parameters
    ----------
    engine : callable
        From a ``Request`` to the tokens behind its prompt, and a number of drafts.
    convention : Convention
    prompt, num_tokens, sampling, target, speculation, end_tokens
        As for :func:`scd_analysis.subjects.endpoint`.

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
    return InProcess(engine, ids, num_tokens, stated, convention, law, speculation)
