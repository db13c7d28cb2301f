"""One-position laws of right and wrong rules, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from scd_analysis.evidence.rules import RULES, companion_laws
from scd_analysis.laws.kernels import acceptance, output_law, residual
from tests.evidence.decoders import Tables

TARGET, DRAFT = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.3, 0.5])
BY_NAME = {rule.name: rule for rule in RULES}


def test_modified_rejection_sampling_is_exact() -> None:
    out = output_law(DRAFT, acceptance(TARGET, DRAFT), residual(TARGET, DRAFT))
    np.testing.assert_allclose(out, TARGET, atol=1e-15)


def test_rejection_replaced_by_the_target_by_hand() -> None:
    """min(p, q) = (.2, .3, .2), TV = .3: out = (.2 + .15, .3 + .09, .2 + .06), TV .15 from p."""
    out = BY_NAME["residual-from-target"].law(TARGET, DRAFT, DRAFT)
    np.testing.assert_allclose(out, [0.35, 0.39, 0.26], atol=1e-15)
    assert np.abs(out - TARGET).sum() / 2 == pytest.approx(0.15, abs=1e-15)


def test_residual_without_the_draft_by_hand() -> None:
    """Token 2 is rejected .3 of the time and replaced by (5/8, 3/8, 0): (.2 + .1875, .3 + .1125, .2)."""
    np.testing.assert_allclose(
        BY_NAME["residual-without-draft"].law(TARGET, DRAFT, DRAFT), [0.3875, 0.4125, 0.2], atol=1e-15
    )


def test_fresh_match_by_hand() -> None:
    """Sum q p = .1 + .09 + .1 = .29: out = q p + .71 p."""
    expected = np.array([0.1 + 0.355, 0.09 + 0.213, 0.1 + 0.142])
    np.testing.assert_allclose(BY_NAME["fresh-match"].law(TARGET, DRAFT, DRAFT), expected, atol=1e-15)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_gives_a_wrong_law(rule: object, tables: Tables) -> None:
    """A law, and not the target's, or it would be no direction to bet along."""
    for law, row in zip(companion_laws(tables.rows)[rule.name], tables.rows, strict=True):  # type: ignore[attr-defined]
        np.testing.assert_allclose(law.sum(axis=-1), 1, atol=1e-12)
        assert (law >= 0).all()
        if len(row) > 1:
            assert np.abs(law - row).max() > 0.01
