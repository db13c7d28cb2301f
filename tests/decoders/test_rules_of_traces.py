"""A trace is refuted where every exact rule is, so that decoders of each stand, and slips of each do not."""

import json

import numpy as np
import pytest

from scd_analysis import Outcome, audit
from scd_analysis.audit.commits import Passes
from scd_analysis.audit.rules import RULES, stated
from scd_analysis.audit.windows import windows_of
from scd_analysis.conditions import Condition
from scd_analysis.errors import InputError, UnknownNameError
from studies import exact_rules
from studies.exact_rules import block, exact_match, gumbel_match, point_mass, rejection
from tests.decoders.rules import Chain, as_traced, wrong_acceptance, wrong_race, wrong_replacement
from tests.statistics import ledger

STANDS = ledger("decoders: traces of exact rules are not refuted at 1e-8", 20e-8)
RIGHT = {
    "mrs": (rejection, {"declared": "laws"}),
    "exact-match": (exact_match, {"declared": "laws"}),
    "exact-match, as for point masses": (point_mass, {"declared": "laws"}),
    "gumbel-match": (gumbel_match, {"declared": "laws", "raced": True}),
    "gumbel-match, drafts without laws": (gumbel_match, {"raced": True}),
    "block": (block, {"declared": "laws"}),
}


def judged(decoder, most=150, *, seed=0, resolution=0.5, rule_is=None, **options):
    subject = as_traced(decoder, Chain(), **options)
    return audit(
        subject, Chain(), alpha=1e-8, max_sequences=most, seed=seed, progress=False, resolution=resolution, rule=rule_is
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", RIGHT)
def test_a_trace_of_an_exact_rule_stands_and_the_rule_is_recognised(name):
    rule, options = RIGHT[name]
    verdict = judged(rule, **options)
    assert verdict.outcome is Outcome.NOT_REFUTED
    assert verdict.rule == name.split(",")[0]
    assert json.loads(verdict.to_json())["rule"] == verdict.rule
    assert f"Rule: {verdict.rule} (recognised)." in str(verdict)
    assert all(report.status in ("not refuted", "not tested") for report in verdict.conditions)


@pytest.mark.slow
def test_what_a_rule_does_not_rest_on_is_said_not_to_be_tested():
    reports = {report.condition: report for report in judged(exact_match, declared="laws").conditions}
    assert reports[Condition.DECLARED_LAW].status == "not tested"
    assert reports[Condition.DECLARED_LAW].message == "the rule 'exact-match' does not rest on it"
    assert reports[Condition.VERIFICATION].status == "not refuted"
    assert RULES["mrs"].asks_of == set(Condition)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "options"),
    [
        (wrong_replacement, {"declared": "laws"}),
        (wrong_acceptance, {"declared": "laws"}),
        (wrong_race, {"declared": "laws", "raced": True}),
        (wrong_race, {"raced": True}),
    ],
)
def test_a_slip_of_any_rule_is_refuted_under_every_rule(rule, options):
    verdict = judged(rule, 900, **options)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.condition is Condition.VERIFICATION
    assert verdict.rule is None
    assert min(dict(verdict.log_e_by_rule).values()) > 0
    assert "every exact rule that is known" in verdict.sentence


@pytest.mark.slow
def test_a_block_test_without_its_scale_is_refuted():
    def unscaled(*args):
        return block(*args, scaled=False)

    verdict = judged(unscaled, 1_000, declared="laws", seed=1)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.condition is Condition.VERIFICATION


NOISE = ledger("decoders: one noise for a pass of Gumbel match is missed or called otherwise", 1e-8)


class OneNoise(exact_rules.Noisy):
    """One Gumbel noise for all slots of a pass."""

    def race(self, slot, law):
        return super().race(0, law)


def test_one_noise_of_a_pass_is_no_slip_of_another_rule(monkeypatch):
    """Drafts and tokens race with the same noise, as they should, so that a rejection where p >= q is no fault."""
    monkeypatch.setattr(exact_rules, "Noisy", OneNoise)
    verdict = judged(gumbel_match, 1_000, declared="laws", raced=True)
    assert verdict.condition is Condition.INDEPENDENCE
    assert "the noise of the position before" in verdict.diagnosis.cause


@pytest.mark.parametrize(("rule_is", "outcome"), [("block", Outcome.NOT_REFUTED), ("mrs", Outcome.REFUTED)])
def test_a_stated_rule_is_the_only_one_that_is_asked(rule_is, outcome):
    verdict = judged(block, declared="laws", rule_is=rule_is)
    assert verdict.outcome is outcome
    assert verdict.rule == rule_is
    assert [name for name, _ in verdict.log_e_by_rule] == [rule_is]
    assert f"Rule: {rule_is} (stated)." in str(verdict)


@pytest.mark.slow
def test_a_trace_states_its_rule():
    assert judged(block, declared="laws", rule="exact-match").outcome is Outcome.REFUTED
    assert judged(exact_match, declared="laws", rule="exact-match").rule == "exact-match"


@pytest.mark.slow
def test_a_rule_of_ones_own_is_judged_by_tokens():
    verdict = judged(block, declared="laws", rule_is="any", resolution=0.99)
    assert verdict.outcome is Outcome.NOT_REFUTED
    assert (verdict.rule, verdict.record["grade"], verdict.conditions) == ("any", "samples", ())
    assert judged(wrong_replacement, 3_000, declared="laws", rule_is="any").outcome is Outcome.REFUTED


def test_what_is_no_rule_is_said():
    with pytest.raises(UnknownNameError, match="rule='blok' is not known; known: mrs, exact-match,"):
        judged(block, rule_is="blok")
    with pytest.raises(UnknownNameError, match="rule='mine' is not known"):
        judged(block, rule="mine")
    trace = as_traced(block, Chain(), declared="laws")(Chain(), 64, 0)
    with pytest.raises(InputError, match="rule = 'any' is judged by the tokens, and so needs their model"):
        audit(trace, rule="any", progress=False)


def test_every_rule_names_itself_and_its_needs():
    assert [rule.name for rule in stated(None)] == list(RULES)
    for rule in RULES.values():
        judges = {judge for need in rule.needs for judge in need.judges} - {None}
        assert judges <= set(rule.processes)
        assert len(set(rule.processes)) == len(rule.processes)
        names = [process.name for process in rule.processes]
        assert len(set(names)) == len(names)


def enumerated(p, q):
    """Every window of drafts, with its probability, and the windows that say what block verification does with each."""
    size, vocab = q.shape
    drafts = np.array(list(np.ndindex(*[vocab] * size)))
    chance = np.prod([q[i, drafts[:, i]] for i in range(size)], axis=0)
    shape = (len(drafts), 1, size)
    ones = np.ones(shape, dtype=bool)
    passes = Passes(
        base=np.zeros(shape[:2], dtype=np.int64),
        slot_position=np.broadcast_to(np.arange(size), shape),
        used=ones,
        reached=ones,
        committed=ones,
        accepted=ones,
        draft=drafts[:, None],
        after=drafts[:, None],
        uniform=np.full(shape, np.nan),
    )
    ratio = np.stack([p[i, drafts[:, i]] / q[i, drafts[:, i]] for i in range(size)], axis=1)[:, None]
    whole = (len(drafts), 1, size, vocab)
    return drafts, chance, windows_of(passes, ratio, [(0, np.broadcast_to(q, whole), np.broadcast_to(p[:-1], whole))])


def test_laws_of_block_verification_are_those_of_an_exact_rule():
    """By enumeration at V = 3: what is committed, completed from p, has the law p; Pr[tau >= i | x_1..x_i] = w_i."""
    rng, size, vocab = np.random.default_rng(3), 3, 3
    p, q = rng.dirichlet(np.ones(vocab), size + 1), rng.dirichlet(np.ones(vocab), size)
    drafts, chance, windows = enumerated(p, q)
    law, weight = windows.law[:, 0], windows.weight[:, 0]
    np.testing.assert_allclose(law.sum(axis=1), 1, atol=1e-12)
    out = np.zeros((vocab,) * (size + 1))
    for x, mass, of_tau, w in zip(drafts, chance, law, weight, strict=True):
        for tau in range(size + 1):
            rest = np.maximum(w[tau] * p[tau] - q[tau], 0) if tau < size else p[size]
            if rest.sum() <= 0:
                assert of_tau[tau] < 1e-12
                continue
            part = of_tau[tau] * mass * rest / rest.sum()
            for later in range(tau + 1, size + 1):
                part = part[..., None] * p[later]
            out[tuple(x[:tau])] += part
    expected = p[0]
    for law_after in p[1:]:
        expected = expected[..., None] * law_after
    np.testing.assert_allclose(out, expected, atol=1e-12)
    reached = law[:, ::-1].cumsum(axis=1)[:, ::-1]
    for i in range(1, size + 1):
        for head in np.ndindex(*[vocab] * i):
            own = (drafts[:, :i] == head).all(axis=1)
            mean = (chance * reached[:, i])[own].sum() / chance[own].sum()
            assert mean == pytest.approx(weight[own][0, i], abs=1e-12)


def test_the_law_of_another_rule_is_another():
    """The twin: accepted one by one, numbers of drafts have another law than block verification gives."""
    rng = np.random.default_rng(3)
    _, chance, windows = enumerated(rng.dirichlet(np.ones(3), 4), rng.dirichlet(np.ones(3), 3))
    gap = np.abs(windows.law_one_by_one - windows.law).sum(axis=-1)[:, 0] / 2
    assert (chance * gap).sum() > 0.01
