"""An engine behind a server: judged through real requests, with faults planted in the server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from scd_analysis import Outcome, audit, audit_pair
from scd_analysis.audit.adapters import engine_client
from scd_analysis.errors import EngineError, InputError
from scd_analysis.subjects import endpoint
from tests.audit.engine_server import Engine, served
from tests.evidence.decoders import random_tables
from tests.statistics import ledger

TABLES = random_tables(5, 4, 0.8, np.random.default_rng(11))
SETTINGS: dict[str, Any] = {"temperature": 0.8, "top_k": 2}
STANDS = ledger("endpoint: right engines are not refuted", 1e-6)  # five audits and pairs at 1e-7, with controls
FINDS = ledger("endpoint: planted faults are refuted", 2e-6)
CALL: dict[str, Any] = {"prompt": [1, 2], "num_tokens": 4, "sampling": SETTINGS, "choices": 16}


@pytest.mark.slow
@pytest.mark.parametrize("server", ["openai", "llama.cpp"])
def test_a_right_engine_is_not_refuted(server: str) -> None:
    with served(Engine(TABLES)) as url:
        choices = 16 if server == "openai" else 1
        subject = endpoint(url, target=TABLES, speculation=True, server=server, **{**CALL, "choices": choices})
        verdict = audit(subject, alpha=1e-7, max_sequences=192, resolution=0.9)
    assert verdict.outcome is Outcome.NOT_REFUTED
    assert subject.drafted == 3 * 192


def test_an_engine_that_ignores_a_setting_is_refuted() -> None:
    with served(Engine(TABLES, fault="no-top-k")) as url:
        verdict = audit(endpoint(url, target=TABLES, **CALL), max_sequences=600)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.log_e_value == np.inf


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["shared-seed", "no-top-k"])
@pytest.mark.parametrize("target", [TABLES, None])
def test_a_fault_with_speculation_on_is_refuted(fault: str, target: Any) -> None:
    with served(Engine(TABLES, drafts=0)) as off_url, served(Engine(TABLES, fault=fault, salt=1)) as on_url:
        off, on = (endpoint(url, target=target, **CALL) for url in (off_url, on_url))
        verdict = audit_pair(on, off, max_sequences=1_000)
    assert verdict.outcome is Outcome.REFUTED
    if target is not None:
        assert verdict.control is not None
        assert verdict.control.outcome is not Outcome.REFUTED


@pytest.mark.slow
def test_an_engine_that_is_off_its_stated_law_in_both_arms() -> None:
    """As half precision is: the pair stands, and the control is refuted where a law is stated."""
    other = random_tables(5, 4, 0.8, np.random.default_rng(12))
    with served(Engine(other)) as off_url, served(Engine(other, salt=1)) as on_url:
        arms = [[endpoint(url, target=law, **CALL) for url in (on_url, off_url)] for law in (None, TABLES)]
        assert audit_pair(*arms[0], alpha=1e-7, max_sequences=192, resolution=0.9).outcome is Outcome.NOT_REFUTED
        assert audit_pair(*arms[1], max_sequences=192, resolution=0.9).outcome is Outcome.CONTROL_REFUTED


def test_a_fault_that_shows_under_load_is_found_where_load_is_asked_for() -> None:
    """One request at a time draws what a right engine draws, token for token; the sweep refutes by what cannot come."""
    call = {**CALL, "choices": 2, "target": TABLES}
    with served(Engine(TABLES)) as right, served(Engine(TABLES, fault="no-top-k under load")) as url:
        assert_array_equal(endpoint(url, **call, concurrency=1)(None, 32, 7), endpoint(right, **call)(None, 32, 7))
        verdict = audit(endpoint(url, **call, concurrency=(1, 8)), max_sequences=600)
        swept = endpoint(right, **call, concurrency=(1, 2, 8))
        assert_array_equal(swept(None, 48, 7), endpoint(right, **call, concurrency=1)(None, 48, 7))
    assert (verdict.outcome, verdict.log_e_value) == (Outcome.REFUTED, np.inf)
    assert swept.lacking() == ()


def test_a_load_that_was_never_reached_is_missed() -> None:
    with served(Engine(TABLES)) as url:
        subject = endpoint(url, target=TABLES, **CALL, concurrency=[1, 8])
        subject(None, 96, 0)  # six requests
    assert subject.lacking() == (
        "concurrency: 8 requests at a time were asked for, and 3 were made at most; with fewer choices a request, or "
        "more sequences, there are more",
    )


@pytest.mark.slow
def test_speculation_that_proposes_nothing_is_inconclusive() -> None:
    with served(Engine(TABLES, drafts=0)) as url, served(Engine(TABLES, drafts=0, salt=1)) as other:
        subject = endpoint(url, target=TABLES, speculation=True, **CALL)
        verdict = audit(subject, alpha=1e-7, max_sequences=128, resolution=0.9)
        pair = audit_pair(endpoint(other, **CALL), endpoint(url, **CALL), alpha=1e-7, max_sequences=128, resolution=0.9)
    assert (verdict.outcome, subject.drafted) == (Outcome.INCONCLUSIVE, 0)
    assert "proposed none" in verdict.missing[0]
    assert pair.outcome is Outcome.INCONCLUSIVE
    assert "proposed none" in pair.missing[0]


def test_one_dictionary_makes_request_and_law() -> None:
    engine = Engine(TABLES)
    with served(engine) as url:
        subject = endpoint(url, target=TABLES, **CALL)
        tokens = subject(None, 40, 5)
    assert tokens.shape == (40, 4)
    assert {len(body) for body in engine.requests} == {len(engine.requests[0])}
    body = engine.requests[0]
    assert (body["top_k"], body["temperature"], body["n"], body["max_tokens"]) == (2, 0.8, 16, 4)
    assert body["model"] == "tiny"
    laws = subject.target_model.next_token_probs(tokens[:, :3])
    assert ((laws > 0).sum(axis=-1) == 2).all()
    seeds = sorted(body["seed"] for body in engine.requests)
    assert min(np.diff(seeds)) >= 16


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("words", r"completions: choices\[0\]\.token_ids = None: the engine does not answer with token ids"),
        ("short", r"choices\[0\]\.token_ids has 3 tokens: 4 were asked for"),
        ("rubbish", r"choices = .*: expected a list of 16"),
        ("not-json", r"completions: is not JSON"),
        ("refuses", r"completions: answers with status 503 \('loading'\)"),
        ("hang", r"completions: cannot be reached \(no answer in time\)"),
    ],
)
def test_answers_that_are_none_are_refused_by_name(fault: str, message: str) -> None:
    with served(Engine(TABLES, fault=fault)) as url:
        subject = endpoint(url, timeout=0.3 if fault == "hang" else 20, retries=0, **CALL)
        with pytest.raises(EngineError, match=message):
            subject(None, 16, 0)


@pytest.mark.slow
def test_a_server_that_goes_away_loses_nothing(tmp_path: Path) -> None:
    """It dies in the third batch; started anew, on another salt even, the audit goes on from what it has."""
    call = {**CALL, "retries": 0}
    engine = Engine(TABLES, dies_after=10)
    with served(engine) as url:
        port = int(url.split(":")[2].removesuffix("/v1"))
        with pytest.raises(EngineError, match=r"status 503 .*; the 2 batches before are kept in"):
            audit(endpoint(url, target=TABLES, **call), max_sequences=256, checkpoint=tmp_path / "kept")
    with pytest.raises(EngineError, match="cannot be reached"):
        endpoint(url, **call)(None, 16, 0)
    again = Engine(TABLES)
    with served(again, port) as url:
        verdict = audit(
            endpoint(url, target=TABLES, **call, concurrency=2),
            max_sequences=256,
            resolution=0.9,
            checkpoint=tmp_path / "kept",
        )
    assert verdict.num_sequences == 256
    assert len(again.requests) == 8


def test_a_server_that_stumbles_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_client, "PAUSES", (0.01, 0.01, 0.01))
    engine = Engine(TABLES, stumbles=1)
    with served(engine) as url:
        assert endpoint(url, **CALL)(None, 16, 0).shape == (16, 4)
    assert len(engine.requests) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"url": "localhost:8000"}, "url = 'localhost:8000': expected http"),
        ({"prompt": []}, r"prompt = \[\]: expected token ids"),
        ({"prompt": [-1]}, "prompt = "),
        ({"num_tokens": 0}, "num_tokens = 0: must be at least 1"),
        ({"num_tokens": 9}, "num_tokens = 9: the target has laws for 4 tokens"),
        ({"concurrency": 0}, "concurrency = 0: must be at least 1"),
        ({"concurrency": (4, 0)}, r"concurrency\[1\] = 0: must be at least 1"),
        ({"concurrency": ()}, r"concurrency = .*: expected requests at a time"),
        ({"server": "tgi"}, "server='tgi' is not known; known: openai, llama.cpp"),
        ({"server": "llama.cpp"}, "choices = 16: llama.cpp's server makes one"),
        ({"sampling": {"repetition_penalty": 1.1}}, "looks at the sign of logits"),
        ({"prompt": [9]}, "token 9 of prompt or sampling: is none of a vocabulary of 5"),
        ({"target": 3}, "target = 3: expected the folder"),
        ({"target": "/nowhere"}, "target = '/nowhere': there is no such folder"),
        ({"retries": 9}, "retries = 9"),
    ],
)
def test_bad_arguments_are_named(changes: dict[str, Any], message: str) -> None:
    given = {"url": "http://127.0.0.1:1/v1", "target": TABLES, **CALL, **changes}
    with pytest.raises(InputError, match=message):
        endpoint(given.pop("url"), **given)


def test_httpx_is_asked_for_by_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(InputError, match=r"pip install 'scd-analysis\[engines\]'"):
        endpoint("http://127.0.0.1:1", **CALL)
