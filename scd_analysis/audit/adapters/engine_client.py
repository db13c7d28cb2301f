"""Requests to an engine's server, and what their answers must be; ``httpx`` speaks the protocol."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scd_analysis.audit.adapters.sampling import LLAMA_CPP, OPENAI, Convention
from scd_analysis.common.foreign_json import decode, first_line, parse, shown
from scd_analysis.errors import EngineError

MOST_BYTES = 2**26
"""Of an answer."""

PAUSES = (0.2, 1.0, 3.0)
"""Seconds before a request is made again."""

_COUNTER = re.compile(r"^vllm:spec_decode_num_draft_tokens(?:_total)?(?:\{[^}]*\})?\s+([0-9.eE+]+)\s*$", re.MULTILINE)


def load_httpx() -> Any:
    """Import httpx.

    Raises
    ------
    EngineError
        Naming the extra that brings it.
    """
    try:
        import httpx
    except ModuleNotFoundError:
        raise EngineError("subjects.endpoint needs httpx: pip install 'scd-analysis[engines]'") from None
    return httpx


@dataclass(frozen=True)
class Answer:
    """What a request was answered with.

    Attributes
    ----------
    tokens : tuple of tuple of int
        Of each choice, in order.
    drafted : int or None
        Draft tokens that were proposed for it, where the server says so with each answer.
    """

    tokens: tuple[tuple[int, ...], ...]
    drafted: int | None


class Client:
    """Speaks to one server; a context, in which connections are kept.

    Attributes
    ----------
    url : str
    convention : Convention

    Parameters
    ----------
    url : str
        Of the server, with or without ``/v1``.
    convention : Convention
    served_model : str or None
        Its name in requests; None asks an OpenAI-style server.
    timeout : float
        Seconds that an answer may take.
    retries : int
        How often a request is made again that was not answered.
    """

    def __init__(
        self, url: str, convention: Convention, served_model: str | None, timeout: float, retries: int
    ) -> None:
        self.url, self._retries = url.rstrip("/"), retries
        self._root = self.url.removesuffix("/v1")
        self._httpx = load_httpx()
        limits = self._httpx.Limits(max_connections=None)
        is_secret = self.url.startswith("https://")  # reading certificates takes longer than asking
        self._http = self._httpx.Client(timeout=timeout, limits=limits, trust_env=False, verify=is_secret)
        self.convention, self._model = convention, served_model

    def __enter__(self) -> Client:
        if self.convention is OPENAI and self._model is None:
            try:
                self._model = self._served()
            except BaseException:
                self._http.close()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def _served(self) -> str:
        value = self._read("GET", f"{self._root}/v1/models")
        try:
            name = value["data"][0]["id"]
        except (KeyError, IndexError, TypeError):
            name = None
        if not isinstance(name, str):
            raise EngineError(f"{self._root}/v1/models: names no model; give served_model")
        return name

    def complete(
        self, prompt: list[int], num_tokens: int, choices: int, seed: int, settings: Mapping[str, Any]
    ) -> Answer:
        """Ask for sequences, with the seeds ``seed, ..., seed + choices - 1``.

        Raises
        ------
        EngineError
            If there is no answer, or one that is not so many sequences of so many token ids.
        """
        body = {"prompt": prompt, "seed": seed, "stream": False, **settings}
        if self.convention is LLAMA_CPP:
            url = f"{self._root}/completion"
            value = self._read("POST", url, {**body, "n_predict": num_tokens})
            timings = value.get("timings") if isinstance(value, dict) else None
            drafted = timings.get("draft_n", 0) if isinstance(timings, dict) else None  # left out where there were none
            found = [value.get("tokens") if isinstance(value, dict) else None]
            names = ["tokens"]
        else:
            url = f"{self._root}/v1/completions"
            value = self._read("POST", url, {**body, "model": self._model, "max_tokens": num_tokens, "n": choices})
            drafted, found = None, _choices(value, choices, url)
            names = [f"choices[{i}].token_ids" for i in range(choices)]
        rows = [checked_tokens(row, num_tokens, f"{url}: {name}") for row, name in zip(found, names, strict=True)]
        return Answer(tuple(rows), drafted if isinstance(drafted, int) else None)

    def drafted(self) -> int | None:
        """Draft tokens that an OpenAI-style server says it has proposed so far; None where it does not say."""
        if self.convention is LLAMA_CPP:
            return None
        status, raw = self._exchange("GET", f"{self._root}/metrics")
        found = _COUNTER.findall(raw.decode("utf-8", "replace")) if status == 200 else []
        return int(sum(map(float, found))) if found else None

    def _read(self, method: str, url: str, body: Mapping[str, Any] | None = None) -> Any:
        status, raw = self._exchange(method, url, body)
        if status != 200:
            raise EngineError(f"{url}: answers with status {status} ({_told(raw)})")
        try:
            return parse(decode(raw, url), url)
        except ValueError as error:
            raise EngineError(str(error)) from None

    def _exchange(self, method: str, url: str, body: Mapping[str, Any] | None = None) -> tuple[int, bytes]:
        """Make a request, again where it was not answered; status and body."""
        for pause in (*PAUSES[: self._retries], None):
            try:
                with self._http.stream(method, url, json=body) as answer:
                    raw = self._body(answer, url)
                if answer.status_code < 500 or pause is None:
                    return int(answer.status_code), raw
            except self._httpx.InvalidURL as error:
                raise EngineError(f"url = {shown(url)}: {first_line(error)}") from None
            except self._httpx.HTTPError as error:
                if pause is None or isinstance(error, self._httpx.UnsupportedProtocol):
                    tried = f", tried {self._retries + 1} times" if self._retries else ""
                    kind = "no answer in time" if isinstance(error, self._httpx.TimeoutException) else first_line(error)
                    raise EngineError(f"{url}: cannot be reached ({kind}{tried})") from None
            time.sleep(pause)
        raise AssertionError("a request ends with an answer or an error")

    def _body(self, answer: Any, url: str) -> bytes:
        parts, size = [], 0
        for part in answer.iter_bytes():
            size += len(part)
            if size > MOST_BYTES:
                raise EngineError(f"{url}: answers with more than {MOST_BYTES:,} bytes")
            parts.append(part)
        return b"".join(parts)


def _told(raw: bytes) -> str:
    """What a refusal says, on one line: the message of an OpenAI-style error, or else what came."""
    try:
        message = parse(decode(raw, "error"), "error")["error"]["message"]
    except (ValueError, KeyError, TypeError):
        message = raw[:300].decode("utf-8", "replace")
    return shown(" ".join(str(message).split()))


def _choices(value: Any, choices: int, url: str) -> list[Any]:
    """The token ids of every choice, in the order of their indices."""
    listed = value.get("choices") if isinstance(value, dict) else None
    if not isinstance(listed, list) or len(listed) != choices or not all(isinstance(one, dict) for one in listed):
        raise EngineError(f"{url}: choices = {shown(listed)}: expected a list of {choices}")
    indices = [one.get("index", i) for i, one in enumerate(listed)]
    if sorted(indices, key=str) != sorted(range(choices), key=str):
        raise EngineError(f"{url}: choices have the indices {shown(indices)}: expected 0 to {choices - 1}")
    return [one.get("token_ids") for _, one in sorted(zip(indices, listed, strict=True), key=lambda pair: pair[0])]


def checked_tokens(row: Any, num_tokens: int, name: str) -> tuple[int, ...]:
    """Return the token ids of an answer.

    Raises
    ------
    EngineError
        If they are none, or not so many.
    """
    if not isinstance(row, list) or not row:
        raise EngineError(f"{name} = {shown(row)}: the engine does not answer with token ids, which an audit needs")
    for i, token in enumerate(row):
        if isinstance(token, bool) or not isinstance(token, int) or not 0 <= token < 2**31:
            raise EngineError(f"{name}[{i}] = {shown(token)}: is no token id")
    if len(row) != num_tokens:
        raise EngineError(f"{name} has {len(row)} tokens: {num_tokens} were asked for")
    return tuple(row)
