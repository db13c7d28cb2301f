"""The reference decoder under the audit: lossless methods stand, the uncorrected tilt falls."""

from __future__ import annotations

from typing import Any

import pytest

from scd_analysis import Outcome, audit
from tests.statistics import ledger

reference = pytest.importorskip("reference")

LOSSLESS = ("ar", "sjd", "scd-mc", "scd-gs", "sjd-vp")
FALSE_ALARMS = ledger("audit: lossless reference methods are not refuted at 1e-7", len(LOSSLESS) * 1e-7)
FINDS = ledger("audit: sjd-vp-uncorrected is refuted", 1e-6, power=1 - 1e-6, resolution=0.05)


def _subject(method: str) -> Any:
    def subject(model: Any, num_sequences: int, seed: int) -> Any:
        return reference.decode(model, method, window=4, num_sequences=num_sequences, seed=seed).tokens

    return subject


@pytest.mark.slow
@pytest.mark.parametrize("method", LOSSLESS)
def test_lossless_methods_are_not_refuted(method: str) -> None:
    model = reference.TabularModel.random(vocab_size=3, num_tokens=4, concentration=0.7, seed=1)
    assert audit(_subject(method), model, FALSE_ALARMS / len(LOSSLESS), 2_000).outcome is Outcome.NOT_REFUTED


@pytest.mark.slow
def test_uncorrected_tilt_is_refuted() -> None:
    """TV .05; the mean stopping time is about 7,000."""
    model = reference.TabularModel.random(vocab_size=3, num_tokens=5, concentration=0.5, seed=0)
    verdict = audit(_subject("sjd-vp-uncorrected"), model, max_sequences=60_000)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.log_e_value >= 13.8
