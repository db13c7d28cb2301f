"""Engines on the command line: by their URL, alone or against themselves with speculation off."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from scd_analysis.audit.adapters import engine_client
from scd_analysis.cli.commands import run
from scd_analysis.cli.engines import numbers, settings
from scd_analysis.errors import InputError
from tests.audit.engine_server import Engine, served
from tests.evidence.decoders import random_tables

TABLES = random_tables(5, 4, 0.8, np.random.default_rng(11))
REQUEST = ["--prompt", "1,2", "--num-tokens", "4", "--sampling", "temperature=0.8,top_k=1"]


@pytest.mark.slow
def test_an_engine_is_compared_with_itself(capsys: pytest.CaptureFixture[str]) -> None:

    engines = Engine(TABLES, fault="no-top-k", salt=1), Engine(TABLES)
    with served(engines[0]) as on, served(engines[1]) as off:
        status, line = run(["audit", on, "--against", off, *REQUEST, "--max-sequences", "256", "--json"])
    assert (status, line) == (1, None)
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert said["outcome"] == "REFUTED"
    assert engines[0].requests[0]["top_k"] == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["http://127.0.0.1:1/v1"], "prompt: is missing"),
        (["http://127.0.0.1:1/v1", "--prompt", "1,2"], "target: is missing; the folder of its model"),
        (["http://127.0.0.1:1/v1", "--prompt", "1;2", "--target", "x"], "'1;2' is no token id"),
        (["http://127.0.0.1:1/v1", "--prompt", "1", "--target", "/nowhere"], "target = '/nowhere': there is no such"),
        (
            ["http://127.0.0.1:1/v1", "--prompt", "1", "--target", "x", "--sampling", "top_k"],
            "'top_k' is not name=number",
        ),
        (["reference.subjects:ar", "--prompt", "1"], "prompt = '1': is for an engine, whose SUBJECT is a URL"),
    ],
)
def test_what_is_missing_or_wrong_is_one_line(words: list[str], message: str) -> None:
    status, line = run(["audit", *words])
    assert status == 2
    assert line is not None
    assert message in line


def test_a_server_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_client, "PAUSES", (0.01, 0.01, 0.01))
    status, line = run(["audit", "http://127.0.0.1:1/v1", "--against", "http://127.0.0.1:1/v1", *REQUEST])
    assert status == 2
    assert line is not None
    assert "cannot be reached" in line


def test_words_of_the_command_line_are_read_by_hand() -> None:
    assert numbers("1, 2,30", "prompt", "token id") == [1, 2, 30]
    assert settings("temperature=1,top_k=8") == {"temperature": 1.0, "top_k": 8}
    assert settings(None) == {}
    with pytest.raises(InputError, match="each name once"):
        settings("top_k=8,top_k=9")
