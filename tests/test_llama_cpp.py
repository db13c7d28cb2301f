"""A released engine: llama.cpp's own server on the tiny model, judged as a user would; with slips in between."""

from __future__ import annotations

import json
import threading
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from scd_analysis import Outcome, audit, audit_pair
from scd_analysis.engines.tiny import tiny_model
from scd_analysis.errors import EngineError
from scd_analysis.subjects import endpoint
from studies.llama_server import served
from tests.statistics import ledger

httpx = pytest.importorskip("httpx")
pytest.importorskip("xllamacpp", reason="llama.cpp is not installed: the extra llama-cpp")
pytest.importorskip("gguf")
pytestmark = pytest.mark.slow

ALPHA = 1e-8
STANDS = ledger("llama.cpp: what it samples is not refuted at 1e-8", 3e-8)
FALLS = ledger("llama.cpp: planted slips are refuted", 2e-7)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny_model(folder, ("hf", "gguf"))
    return folder


@pytest.fixture(scope="module")
def off(tiny):
    with served(tiny / "target.gguf", "off") as url:
        yield url


@pytest.fixture(scope="module")
def on(tiny):
    with served(tiny / "target.gguf", "drawn-draft", tiny / "near.gguf") as url:
        yield url


def asked(url, tiny, sampling=None, *, target=True, **options):
    folder = tiny / "target" if target else None
    call = {"prompt": [5, 6, 7], "num_tokens": 6, "server": "llama.cpp", "concurrency": 4, "retries": 0}
    return endpoint(url, sampling=sampling, target=folder, **call, **options)


@contextmanager
def between(url, spoil):
    """A proxy that changes what is asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            try:
                answer = httpx.post(url + self.path, json=body | spoil(body), timeout=30)
            except httpx.HTTPError:
                return  # without an answer
            self.send_response(answer.status_code)
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("mode", ["off", "on"])
def test_it_samples_from_the_law_that_its_settings_state(tiny, request, mode):
    subject = asked(request.getfixturevalue(mode), tiny, {"temperature": 0.8, "top_k": 8, "repetition_penalty": 1.2})
    verdict = audit(subject, alpha=ALPHA, max_sequences=400, progress=False)
    assert verdict.outcome is Outcome.NOT_REFUTED
    assert (subject.drafted or 0) > 0 if mode == "on" else not subject.drafted


def test_speculation_on_is_not_told_from_off(tiny, on, off):
    arms = (asked(url, tiny, target=False) for url in (on, off))
    verdict = audit_pair(*arms, alpha=ALPHA, max_sequences=400, resolution=0.4)
    assert verdict.outcome is Outcome.NOT_REFUTED


SLIPS = {
    "top-k left out": lambda body: {"top_k": 0},
    "two sequences share a seed": lambda body: {"seed": body["seed"] // 2**24},
    "another temperature": lambda body: {"temperature": 1.0},
}


@pytest.mark.parametrize("name", SLIPS)
def test_a_slip_between_request_and_engine_is_refuted(tiny, on, name):
    with between(on, SLIPS[name]) as url:
        verdict = audit(asked(url, tiny, {"temperature": 0.8, "top_k": 3}), alpha=1e-6, max_sequences=3_000)
    assert verdict.outcome is Outcome.REFUTED


def test_with_a_slip_the_pair_falls_too(tiny, on, off):
    with between(on, SLIPS["top-k left out"]) as url:
        arms = (asked(one, tiny, {"top_k": 3}, target=False) for one in (url, off))
        assert audit_pair(*arms, max_sequences=3_000).outcome is Outcome.REFUTED


def test_a_server_that_is_killed_in_the_middle_is_said_and_what_was_drawn_is_kept(tiny, tmp_path):
    requests = []

    def kill(body):
        requests.append(body)
        if len(requests) == 100:
            engine.close()
        return {}

    with (
        ExitStack() as engine,
        between(engine.enter_context(served(tiny / "target.gguf", "off")), kill) as url,
        pytest.raises(EngineError, match=r"cannot be reached .*; the batch before is kept in"),
    ):
        audit(asked(url, tiny), max_sequences=200, checkpoint=tmp_path / "kept", progress=False)
    assert (tmp_path / "kept" / "batch-00000.zarr").is_dir()


def test_equal_seeds_give_equal_sequences(tiny, off):
    subject = asked(off, tiny)
    np.testing.assert_array_equal(subject(None, 16, 3), subject(None, 16, 3))
