"""An engine of the tests' own over a table of laws, with planted faults; and its server, of two styles."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from scd_analysis.audit.adapters.sampling import LLAMA_CPP, OPENAI, Convention, Sampling, target_laws
from tests.evidence.decoders import Tables, draw

LOAD = 4


@dataclass
class Engine:
    """What is served, and what is wrong with it.

    Attributes
    ----------
    tables : Tables
    prompt : list of int
        The only one that is answered.
    fault : str or None
        ``"shared-seed"``, ``"no-top-k"``, ``"no-top-k under load"`` of four requests, or a way to answer: ``"hang"``,
        ``"rubbish"``, ``"words"``, ``"short"``, ``"refuses"``, ``"not-json"``.
    drafts : int
        Counted as proposed, for every sequence.
    dies_after : int or None
        Requests that are answered before the server fails.
    stumbles : int
        Requests that it fails before it answers.
    """

    tables: Tables
    prompt: list[int] = field(default_factory=lambda: [1, 2])
    fault: str | None = None
    drafts: int = 3
    dies_after: int | None = None
    stumbles: int = 0
    salt: int = 0
    requests: list[dict[str, Any]] = field(default_factory=list)
    proposed: int = 0
    busy: int = 0
    known: dict[Any, Any] = field(default_factory=dict)

    def sequence(self, body: dict[str, Any], seed: int, num_tokens: int, convention: Convention) -> list[int]:
        """Sample by the settings of the request."""
        back = {theirs: ours for ours, theirs in convention.fields.items()}
        settings = {back[name]: value for name, value in body.items() if name in back}
        if "logit_bias" in settings:
            pairs = settings["logit_bias"]
            settings["logit_bias"] = [(int(k), v) for k, v in (pairs.items() if isinstance(pairs, dict) else pairs)]
        if self.fault == "no-top-k" or (self.fault == "no-top-k under load" and self.busy >= LOAD):
            settings.pop("top_k", None)
        sampling = Sampling.of(settings)
        rng = np.random.default_rng([self.salt, seed])
        tokens = np.zeros((1, 0), dtype=np.int64)
        for _ in range(num_tokens):
            key = convention.name, sampling, tuple(tokens[0].tolist())
            if key not in self.known:
                logits = np.log(self.tables.laws(tokens))
                self.known[key] = target_laws(logits, tokens, np.array(self.prompt), sampling, convention, ())[:, -1]
            tokens = np.concatenate([tokens, draw(self.known[key], rng.random(1))[:, None]], axis=1)
        self.proposed += self.drafts
        return [int(token) for token in tokens[0]]


class Handler(BaseHTTPRequestHandler):
    """Answers requests of one engine."""

    engine: Engine

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        if self.path == "/v1/models":
            self._send(200, {"data": [{"id": "tiny"}]})
        elif self.path == "/metrics":
            name = "vllm:spec_decode_num_draft_tokens_total"
            self._send(200, f'# TYPE {name} counter\n{name}{{model_name="tiny"}} {float(self.engine.proposed)}\n')
        else:
            self._send(404, {})

    def do_POST(self) -> None:
        engine = self.engine
        engine.busy += 1
        if engine.fault == "no-top-k under load":
            time.sleep(0.02)  # until others that were sent with it are here
        try:
            self._answer(engine)
        finally:
            engine.busy -= 1

    def _answer(self, engine: Engine) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        engine.requests.append(body)
        if engine.dies_after is not None and len(engine.requests) > engine.dies_after:
            engine.fault = "refuses"
        if len(engine.requests) <= engine.stumbles:
            return ANSWERS["refuses"](self)
        if engine.fault in ANSWERS:
            return ANSWERS[engine.fault](self)
        assert body["prompt"] == engine.prompt
        is_llama = self.path == "/completion"
        count = 1 if is_llama else body["n"]
        shift = 0 if engine.fault == "shared-seed" else 1
        length, convention = (body["n_predict"], LLAMA_CPP) if is_llama else (body["max_tokens"], OPENAI)
        rows = [engine.sequence(body, body["seed"] + i * shift, length, convention) for i in range(count)]
        if engine.fault == "short":
            rows = [row[:-1] for row in rows]
        if is_llama:
            return self._send(
                200, {"content": "", "tokens": rows[0], "timings": {"draft_n": engine.drafts} if engine.drafts else {}}
            )
        choices = [{"index": i, "text": "", "token_ids": row} for i, row in enumerate(rows)][::-1]
        if engine.fault == "words":
            choices = [{"index": i, "text": "words"} for i in range(count)]
        return self._send(200, {"choices": choices})

    def _send(self, status: int, value: Any) -> None:
        raw = (value if isinstance(value, str) else json.dumps(value)).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


ANSWERS: dict[str, Any] = {
    "hang": lambda handler: time.sleep(1.5),
    "rubbish": lambda handler: handler._send(200, {"choices": [{"token_ids": [1, "two", 3]}] * 4}),
    "not-json": lambda handler: handler._send(200, "<html>"),
    "refuses": lambda handler: handler._send(503, "loading"),
}


@contextmanager
def served(engine: Engine, port: int = 0) -> Iterator[str]:
    """Serve an engine on a port of this machine; gives its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", port), type("Own", (Handler,), {"engine": engine}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
