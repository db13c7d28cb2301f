"""A verdict says where nothing in the audit could have shown that a law was declared wrongly."""

import pytest

from scd_analysis import Outcome, audit
from scd_analysis.audit.verdict import UNTESTED
from scd_analysis.subjects import sjd_sampler
from studies.exact_rules import exact_match, rejection
from tests.decoders.rules import Chain, as_traced
from tests.decoders.sjd_samplers import AsFirstReleased, MaximalCoupling, SpeculativeJacobi
from tests.statistics import ledger

STANDS = ledger("warnings: exact decoders are not refuted at 1e-8", 6e-8)


def said(subject, model=None, most=64, rule="mrs"):
    verdict = audit(subject, model, alpha=1e-8, max_sequences=most, rule=rule, resolution=0.6, progress=False)
    assert verdict.outcome is Outcome.NOT_REFUTED
    assert verdict.sentence in str(verdict)
    return verdict.sentence, [finding for finding in verdict.findings if finding.name == UNTESTED]


@pytest.mark.slow
def test_where_no_draft_survives_it_is_said():
    """Two tokens take two passes at most: whoever keeps old laws of kept drafts passes by that."""
    for sampler in (MaximalCoupling, AsFirstReleased):
        sentence, found = said(sjd_sampler(sampler, num_tokens=2, window=2, batch_size=None))
        assert "Declared-law could not have been refuted: no draft survived two passes" in sentence
        assert [(one.log_e_value, one.significant) for one in found] == [(0.0, False)]


@pytest.mark.slow
def test_where_drafts_survive_nothing_is_said():
    sentence, found = said(sjd_sampler(SpeculativeJacobi, num_tokens=5, batch_size=None))
    assert "could not have been refuted" not in sentence
    assert not found


@pytest.mark.slow
@pytest.mark.parametrize(("declared", "warned"), [("point-mass", True), ("laws", False)])
def test_point_masses_are_their_laws_and_fresh_drafts_are_seen(declared, warned):
    """A draft model drafts anew in every pass, by recorded ages: what it declares is seen without survivors."""
    model = Chain()
    sentence, found = said(as_traced(rejection, model, declared=declared), model)
    assert ("every draft is declared as a point mass" in sentence) == bool(found) == warned


@pytest.mark.slow
def test_a_rule_that_does_not_rest_on_declared_laws_is_not_warned_of():
    model = Chain()
    assert not said(as_traced(exact_match, model), model, rule="exact-match")[1]
