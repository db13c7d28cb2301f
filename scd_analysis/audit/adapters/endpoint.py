"""An engine behind its server as a subject."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import joblib
import numpy as np

from scd_analysis.audit.adapters.engine_call import EngineCall, lacking_load, load_levels
from scd_analysis.audit.adapters.engine_client import PAUSES, Answer, Client, load_httpx
from scd_analysis.audit.adapters.engine_seeds import request_seeds
from scd_analysis.audit.adapters.sampling import LLAMA_CPP, OPENAI, Sampling
from scd_analysis.common.foreign_json import shown
from scd_analysis.errors import InputError
from scd_analysis.evidence.batch import Longs
from scd_analysis.validate import check_at_least, check_between, check_integer, check_known

ADAPTERS = {"endpoint": "endpoint"}

CONVENTIONS = {"openai": OPENAI, "llama.cpp": LLAMA_CPP}

NO_DRAFT = "drafts: the server says that it proposed none, so that speculation was not on"


class Endpoint:
    """See :func:`endpoint`.

    Attributes
    ----------
    num_tokens : int
    vocab_size : int or None
        None without a target.
    target_model : EngineTarget or None
        The law that the settings ask for; an audit takes it by itself.
    drafted : int or None
        Draft tokens that were proposed for what was drawn; None where the server does not say, or nothing was drawn.
    """

    def __init__(
        self,
        url: str,
        call: EngineCall,
        *,
        choices: int,
        concurrency: tuple[int, ...],
        served_model: str | None,
        timeout: float,
        retries: int,
    ) -> None:
        self.url, self._call, self.choices, self.served_model = url, call, choices, served_model
        self.num_tokens, self.target_model, self.vocab_size = call.num_tokens, call.target, call.vocab_size
        self._at_once, self._patience = concurrency, (timeout, retries)  # no part of what is drawn
        self._reached = 0
        self.drafted: int | None = None

    def __call__(self, model: Any, num_sequences: int, seed: int) -> Longs:
        """Draw Long[num_sequences, num_tokens]; ``model`` is not used.

        Raises
        ------
        EngineError
            If the server cannot be reached, or answers with something else.
        """
        call, starts = self._call, request_seeds(seed, -(-num_sequences // self.choices), self.choices)
        prompt, settings = call.prompt.tolist(), call.settings
        with Client(self.url, call.convention, self.served_model, *self._patience) as client:
            before = client.drafted()
            answers: list[Answer] = []
            for part, level in self._turns(len(starts)):
                answers += joblib.Parallel(n_jobs=level, backend="threading")(
                    joblib.delayed(client.complete)(prompt, self.num_tokens, self.choices, start, settings)
                    for start in starts[part]
                )
            self._count(answers, before, client.drafted())
        rows = [row for answer in answers for row in answer.tokens]
        return np.array(rows[:num_sequences], dtype=np.int64)

    def _turns(self, num_requests: int) -> Iterator[tuple[slice, int]]:
        """Cut the requests of a batch into a part for each concurrency; parts are equal but for a request."""
        levels = self._at_once
        ends = [number * num_requests // len(levels) for number in range(len(levels) + 1)]
        for level, first, last in zip(levels, ends[:-1], ends[1:], strict=True):
            if last > first:
                self._reached = max(self._reached, min(level, last - first))
                yield slice(first, last), level

    def _count(self, answers: Sequence[Answer], before: int | None, after: int | None) -> None:
        told = [answer.drafted for answer in answers if answer.drafted is not None]
        if before is not None and after is not None:
            told.append(max(after - before, 0))
        if told:
            self.drafted = (self.drafted or 0) + sum(told)

    def lacking(self) -> tuple[str, ...]:
        """What a verdict lacks, one sentence each: drafts, where none was ever proposed; a load that was asked for."""
        drafts = (NO_DRAFT,) if self._call.speculation and self.drafted == 0 else ()
        return (*drafts, *lacking_load(self._at_once, self._reached))


def endpoint(
    url: str,
    *,
    prompt: Sequence[int],
    num_tokens: int = 6,
    sampling: Mapping[str, Any] | Sampling | None = None,
    target: Any = None,
    server: str = "openai",
    speculation: bool | None = None,
    choices: int = 1,
    concurrency: int | Sequence[int] = 8,
    served_model: str | None = None,
    end_tokens: Sequence[int] | None = None,
    timeout: float = 60.0,
    retries: int = 3,
) -> Endpoint:
    """Make a subject of an engine's server, an OpenAI-style one or llama.cpp's, that takes and returns token ids.

    One dictionary of settings, ``sampling``, is sent with every request and makes the target law, so that the two
    cannot differ. All settings are sent, those that are not used too: no default of the server's counts. Every request
    has a seed of its own. Nothing is stopped at an end-of-sequence token: an OpenAI-style server draws it and goes on,
    and llama.cpp's never draws it, in law and request.

    Parameters
    ----------
    url : str
        Of the server: ``http://127.0.0.1:8000/v1``.
    prompt : sequence of int
        Token ids.
    num_tokens : int
        N, tokens a sequence; a short sequence is judged as well as a long one, and sooner.
    sampling : mapping, optional
        ``temperature``, ``top_k``, ``top_p``, ``min_p``, ``repetition_penalty``, ``presence_penalty``,
        ``frequency_penalty``, ``logit_bias`` (token to number), ``allowed_tokens``; what is not given is not used.
    target : path or TargetModel, optional
        The folder of a transformers model, whose law is computed in float64, or a model whose laws the settings are
        applied to. :func:`scd_analysis.audit_pair` does without.
    server : {"openai", "llama.cpp"}
        What it speaks: ``/v1/completions`` with ``token_ids``, as vLLM has it, or ``/completion`` with ``tokens``.
    speculation : bool, optional
        Whether speculation is said to be on: if the server counts drafts and has proposed none, a verdict is
        inconclusive.
    choices : int
        Sequences a request; llama.cpp's server takes one.
    concurrency : int or sequence of int
        Requests at a time. Several numbers are taken in turns, each for a part of every batch, so that a fault that
        shows only under load is seen: ``(1, 4, 16)``. A verdict is inconclusive if the largest was never reached.
    served_model : str, optional
        The name of the model in requests; an OpenAI-style server is asked.
    end_tokens : sequence of int, optional
        End-of-sequence tokens, where a folder does not state them.
    timeout : float
        Seconds that an answer may take.
    retries : int
        How often a request that was not answered is made again, at most three times.

    Raises
    ------
    InputError
        If an argument is not what it should be; ``EngineError``, a kind of it, if httpx is not installed (the extra
        ``engines``), and when drawing, if the server goes away or answers with something else.
    """
    load_httpx()
    check_known(server, CONVENTIONS, "server")
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise InputError(f"url = {shown(url)}: expected http://... or https://...")
    check_at_least(check_integer(choices, "choices"), 1, "choices")
    levels = load_levels(concurrency)
    check_between(timeout, 1e-3, 1e6, "timeout")
    check_between(check_integer(retries, "retries"), 0, len(PAUSES), "retries")
    if server == "llama.cpp" and choices != 1:
        raise InputError(f"choices = {choices}: llama.cpp's server makes one sequence a request")
    call = EngineCall.of(
        CONVENTIONS[server],
        prompt=prompt,
        num_tokens=num_tokens,
        sampling=sampling,
        target=target,
        speculation=speculation,
        end_tokens=end_tokens,
    )
    return Endpoint(
        url,
        call,
        choices=choices,
        concurrency=levels,
        served_model=served_model,
        timeout=timeout,
        retries=retries,
    )
