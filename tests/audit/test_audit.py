"""The audit as its user meets it: outcomes, records, errors."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import scd_analysis
from scd_analysis import Outcome, audit
from scd_analysis.audit import Verdict
from scd_analysis.subjects import ancestral, recorded
from tests.evidence.decoders import Longs, Tables, decode, random_tables
from tests.statistics import ledger

FALSE_ALARMS = ledger("audit: lossless subjects are not refuted", 6.4e-6)  # six audits at 1e-6, four at 1e-7
FINDS = ledger(
    "audit: planted faults are refuted and named", 4e-6
)  # four audits, several times their mean stopping time


@pytest.fixture
def tables() -> Tables:
    return random_tables(3, 4, 0.8, np.random.default_rng(3))


def subject_with(fault: str | None = None, *, coupled: bool = True) -> Any:
    def subject(model: Tables, num_sequences: int, seed: int) -> Longs:
        return decode(model, num_sequences, np.random.default_rng(seed), fault=fault, coupled=coupled)

    return subject


@pytest.mark.slow
@pytest.mark.parametrize("subject", [ancestral, subject_with(), subject_with(coupled=False)])
def test_lossless_subject_is_not_refuted(tables: Tables, subject: Any) -> None:
    verdict = audit(subject, tables, 1e-7, max_sequences=4_000)
    assert verdict.outcome is Outcome.NOT_REFUTED
    assert verdict.num_sequences == 4_000
    assert verdict.num_tokens == 16_000
    assert verdict.log_e_value < math.log(1e6)
    assert 0 < verdict.resolution <= 0.1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("residual-from-target", "target"),
        ("temperature", "sharp"),
        ("truncated", "least probable token comes too rarely"),
        ("tilted-draft", ""),
    ],
)
def test_faulty_subject_is_refuted_and_named(tables: Tables, fault: str, expected: str) -> None:
    verdict = audit(subject_with(fault), tables, max_sequences=60_000)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.log_e_value >= math.log(1e6)
    assert verdict.findings[0].significant
    assert any(expected in finding.message for finding in verdict.findings[:3])
    evidence = [finding.log_e_value for finding in verdict.findings]
    assert evidence == sorted(evidence, reverse=True)


def test_support_is_decided_by_one_token() -> None:
    tables = Tables((np.array([[0.6, 0.4, 0.0]]), np.full((3, 3), 1 / 3)))

    def subject(model: Any, num_sequences: int, seed: int) -> Longs:
        tokens = np.zeros((num_sequences, 2), dtype=np.int64)
        tokens[9, 0] = 2
        return tokens

    verdict = audit(subject, tables, alpha=1e-6)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.num_sequences <= 10
    json.loads(verdict.to_json())


def test_too_little_evidence_is_inconclusive(tables: Tables) -> None:
    verdict = audit(ancestral, tables, max_sequences=300)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert 0.2 < verdict.resolution < 0.9
    assert audit(ancestral, tables, max_sequences=300, resolution=0.9).outcome is Outcome.NOT_REFUTED


@pytest.mark.slow
def test_verdict_repeats_itself(tables: Tables) -> None:
    first, second = (audit(subject_with("stale-law"), tables, max_sequences=700, seed=4) for _ in range(2))
    assert first.to_json() == second.to_json()
    assert first.to_json() != audit(subject_with("stale-law"), tables, max_sequences=700, seed=5).to_json()


def test_record_holds_what_a_repetition_needs(tables: Tables) -> None:
    verdict = audit(ancestral, tables, alpha=1e-4, max_sequences=300, seed=7)
    fields = json.loads(verdict.to_json())
    assert fields["outcome"] == verdict.outcome.name
    assert (fields["alpha"], fields["record"]["seed"]) == (1e-4, 7)
    assert sum(fields["record"]["batch_plan"]) == 300
    assert sum(fields["record"]["bettor_weights"].values()) == pytest.approx(1, abs=1e-12)
    assert {"numpy", "python", "scd-analysis"} <= set(fields["record"]["versions"])


def test_words_never_claim_proof(tables: Tables) -> None:
    text = str(audit(ancestral, tables, max_sequences=100)).lower()
    assert "lossless" not in text
    assert "proved" not in text
    assert not any("lossless" in outcome.value.lower() for outcome in Outcome)


def test_infinite_evidence_is_valid_json() -> None:
    verdict = Verdict(Outcome.REFUTED, math.inf, 1e-6, 1, 1, 1.0, (), {})
    assert json.loads(verdict.to_json())["log_e_value"] == "inf"


def test_recorded_sequences_are_judged_to_their_end(tables: Tables) -> None:
    tokens = decode(tables, 500, np.random.default_rng(0))
    verdict = audit(recorded(tokens), tables)
    assert verdict.num_sequences == 500
    assert verdict.outcome is not Outcome.REFUTED


@pytest.mark.slow
def test_torch_model_and_subject(tables: Tables) -> None:
    torch = pytest.importorskip("torch")

    class Model:
        vocab_size, num_tokens = 3, 4

        def next_token_probs(self, tokens: Any) -> Any:
            assert isinstance(tokens, torch.Tensor)
            return torch.from_numpy(tables.laws(tokens.numpy())).float()

    def subject(model: Any, num_sequences: int, seed: int) -> Any:
        return torch.from_numpy(decode(tables, num_sequences, np.random.default_rng(seed)))

    assert audit(subject, Model(), 1e-7, max_sequences=2_000).outcome is Outcome.NOT_REFUTED


def test_import_is_light() -> None:
    code = "import scd_analysis, sys; print([m for m in ('torch','pandas','xarray','matplotlib') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
    assert callable(scd_analysis.audit)


@pytest.mark.slow
@pytest.mark.parametrize("names", ["scd_analysis; scd_analysis.audit", "scd_analysis.subjects", "reference"])
def test_what_records_nothing_loads_no_stores(names: str) -> None:
    """They took two seconds of every command."""
    heavy = ("pandas", "xarray", "zarr", "scipy", "matplotlib", "transformers")[: None if names == "reference" else 3]
    code = f"import {names}; import sys; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_progress_is_silent_in_a_pipe(tables: Tables, capsys: pytest.CaptureFixture[str]) -> None:
    audit(ancestral, tables, max_sequences=100)
    assert capsys.readouterr() == ("", "")
    audit(ancestral, tables, max_sequences=100, progress=True)
    assert capsys.readouterr().out == ""
