"""A trace is refuted where every exact rule is, so that decoders of each stand, and slips of each do not."""

import json
import math

import numpy as np
import pytest

from reference.broken import get_fault
from scd_analysis import Outcome, audit
from scd_analysis.audit.commits import Passes
from scd_analysis.audit.rules import RULES, stated
from scd_analysis.audit.rules.quantile_match import second_quantile
from scd_analysis.audit.windows import windows_of
from scd_analysis.conditions import Condition
from scd_analysis.errors import InputError, UnknownNameError
from studies.exact_rules import Noisy, Uniform, block, exact_match, gumbel_match, pick, point_mass, rejection
from tests.decoders.rules import Chain, as_traced, wrong_acceptance, wrong_race, wrong_replacement
from tests.statistics import ledger

STANDS = ledger("decoders: traces of exact rules are not refuted at 1e-8", 21e-8)
RIGHT = {
    "mrs": (rejection, {"declared": "laws"}),
    "exact-match": (exact_match, {"declared": "laws"}),
    "exact-match, as for point masses": (point_mass, {"declared": "laws"}),
    "gumbel-match": (gumbel_match, {"declared": "laws", "noise": Noisy}),
    "gumbel-match, drafts without laws": (gumbel_match, {"noise": Noisy}),
    "block": (block, {"declared": "laws"}),
    "quantile-match": (gumbel_match, {"declared": "laws", "noise": Uniform}),
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
        (wrong_race, {"declared": "laws", "noise": Noisy}),
        (wrong_race, {"noise": Noisy}),
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


def drawn_again(rng, drafts, draft_laws, target_laws):
    """A token is drawn with the variate of the slot before, which is still there."""
    for k, p in enumerate(target_laws):
        y = rng.race(max(k - 1, 0), p)
        if k == len(drafts) or y != drafts[k]:
            return k, y
    raise AssertionError


def off_by_one(rng, drafts, draft_laws, target_laws):
    """What replaces a draft lies one further than its variate says."""
    accepted, token = gumbel_match(rng, drafts, draft_laws, target_laws)
    return accepted, token if accepted == len(drafts) else (token + 1) % len(target_laws[0])


@pytest.mark.slow
@pytest.mark.parametrize("rule", [drawn_again, off_by_one, wrong_race])
def test_a_slip_with_inverse_cdfs_is_refuted_under_every_rule(rule):
    verdict = judged(rule, 1_000, declared="laws", noise=Uniform)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.condition is Condition.VERIFICATION
    assert dict(verdict.log_e_by_rule)["quantile-match"] == math.inf


class OneVariate(Uniform):
    """One uniform variate for all slots of a pass."""

    def race(self, slot, law):
        return super().race(0, law)


def test_one_variate_of_a_pass_is_refuted_as_one_that_is_not_new():
    verdict = judged(gumbel_match, 1_000, declared="laws", noise=OneVariate)
    assert verdict.condition is Condition.INDEPENDENCE
    assert "the noise of the position before" in verdict.diagnosis.cause


def first_alone(rng, drafts, draft_laws, target_laws):
    """The first token of a window has a variate of its own, not the draft's."""
    y = pick(rng, target_laws[0])
    return (0, y) if not drafts or y != drafts[0] else gumbel_match(rng, drafts, draft_laws, target_laws)


def test_a_variate_that_is_said_to_be_shared_and_is_not_is_refuted():
    verdict = judged(first_alone, declared="laws", noise=Uniform, rule_is="quantile-match")
    assert verdict.condition is Condition.VERIFICATION
    assert "no variate gives that gave the draft" in verdict.diagnosis.cause


def test_inverse_cdfs_are_not_asked_for_where_no_laws_show_them():
    """Else every fault of a trace of numbers would have to be refuted by its tokens alone, and is said so."""
    fault = get_fault("lenient-acceptance")
    for record, hidden in (("laws", []), ("scalars", ["quantile-match"])):
        verdict = audit(fault.traced(3, record), fault.model(), max_sequences=2_000, progress=False)
        assert verdict.outcome is Outcome.REFUTED
        assert verdict.record["rules"].get("hidden", []) == hidden
        assert set(RULES) - set(dict(verdict.log_e_by_rule)) == set(hidden)
        assert ("but 'quantile-match', which takes recorded laws" in verdict.sentence) == bool(hidden)


def test_laws_given_a_variate_that_is_partly_known_average_to_the_law():
    """And it is the share of the draft's interval that each token has, by a fine grid of variates."""
    rng, vocab = np.random.default_rng(0), 6
    p, q = rng.dirichlet(np.ones(vocab), 50), rng.dirichlet(np.full(vocab, 0.5), 50)
    q[:25, 2] = 0
    q /= q.sum(axis=1, keepdims=True)
    given = np.stack([second_quantile(p, q, np.full(50, x)) for x in range(vocab)], axis=1)
    np.testing.assert_allclose(np.einsum("nx,nxv->nv", q, given), p, atol=1e-8)
    grid = (np.arange(200_000) + 0.5) / 200_000
    x, y = (np.searchsorted(law[0].cumsum()[:-1], grid, side="right") for law in (q, p))
    for draft in np.unique(x):
        share = np.bincount(y[x == draft], minlength=vocab) / (x == draft).sum()
        np.testing.assert_allclose(given[0, draft], share, atol=1e-3)


NOISE = ledger("decoders: one noise for a pass of Gumbel match is missed or called otherwise", 2e-8)


class OneNoise(Noisy):
    """One Gumbel noise for all slots of a pass."""

    def race(self, slot, law):
        return super().race(0, law)


def test_one_noise_of_a_pass_is_no_slip_of_another_rule():
    """Drafts and tokens race with the same noise, as they should, so that a rejection where p >= q is no fault."""
    verdict = judged(gumbel_match, 1_000, declared="laws", noise=OneNoise)
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
