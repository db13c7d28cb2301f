"""A kernel is refuted by the law of what it commits: exact rules of any kind stand, wrong ones of any kind do not."""

import math

import numpy as np
import pytest

from scd_analysis import Outcome, audit
from scd_analysis.conditions import Condition
from scd_analysis.errors import InputError
from scd_analysis.subjects import kernel
from studies import exact_rules
from studies.exact_rules import as_kernel, block, exact_match, pick, point_mass, rejection
from tests.decoders.rules import wrong_acceptance, wrong_replacement
from tests.statistics import ledger

STANDS = ledger("decoders: exact rules are not refuted as kernels at 1e-8", 9e-8)


def judged(rule, most, **options):
    subject = kernel(as_kernel(rule), output="list", numpy=True, **options)
    return audit(subject, alpha=1e-8, max_sequences=most, progress=False)


def ragged(rng, drafts, draft_laws, target_laws):
    """As many drafts are verified as a proposer found, and a token is drawn after the last of them."""
    size = int(rng.integers(len(drafts) + 1))
    return rejection(rng, drafts[:size], draft_laws[:size], target_laws[: size + 1])


def one_at_a_time(rng, drafts, draft_laws, target_laws):
    """Drafts are left alone."""
    return 0, pick(rng, target_laws[0])


@pytest.mark.slow
def test_block_verification_stands():
    assert judged(block, 600).outcome is Outcome.NOT_REFUTED


@pytest.mark.slow
@pytest.mark.parametrize("rule", [ragged, one_at_a_time])
def test_an_exact_rule_that_nobody_knows_stands_and_is_said_to_be_one(rule):
    verdict = judged(rule, 600)
    assert verdict.outcome is Outcome.NOT_REFUTED
    assert verdict.rule == "any"
    assert verdict.findings[0].message == "the rule is none of those that are known"
    disturbed = [report for report in verdict.conditions if report.status == "disturbed"]
    assert disturbed
    assert all("is none of those that are known" in report.message for report in disturbed)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "name"), [(exact_match, "exact-match"), (point_mass, "exact-match"), (block, "block")]
)
def test_an_exact_rule_that_is_known_is_recognised(rule, name):
    verdict = judged(rule, 2_000)
    assert verdict.outcome is Outcome.NOT_REFUTED
    assert verdict.rule == name
    assert f"Rule: {name} (recognised)." in str(verdict)
    assert all(report.status in ("not refuted", "not tested") for report in verdict.conditions)


@pytest.mark.slow
def test_modified_rejection_sampling_is_not_said_to_be_another():
    verdict = judged(rejection, 600)
    assert verdict.outcome is Outcome.NOT_REFUTED
    assert all(report.status in ("not refuted", "not tested") for report in verdict.conditions)
    assert verdict.rule == "mrs"


@pytest.mark.slow
@pytest.mark.parametrize("rule", [wrong_replacement, wrong_acceptance])
def test_a_wrong_rule_is_refuted(rule):
    verdict = judged(rule, 8_000)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.diagnosis is not None


@pytest.mark.slow
def test_the_condition_of_a_wrong_rule_is_named():
    assert judged(wrong_replacement, 8_000, drafts="point-mass").condition is Condition.VERIFICATION


SHOWN = ledger("decoders: noise that windows share, or greedy bonus tokens, are missed as kernels", 2e-8)


def test_one_noise_for_a_window_is_found_by_the_tokens_it_commits():
    """Exact match with one race for all slots, which once stood after 100,000 windows."""

    def one_race(draft_tokens, target_probs, rng):
        with np.errstate(divide="ignore"):
            sampled = (np.log(target_probs) + rng.gumbel(size=target_probs[:, :1].shape)).argmax(axis=-1)
        same = (sampled[:, :-1] == draft_tokens).cumprod(axis=1).sum(axis=1)
        return [row[: n + 1].tolist() for row, n in zip(sampled, same, strict=True)]

    verdict = audit(kernel(one_race, output="list", numpy=True), alpha=1e-8, max_sequences=3_000, progress=False)
    assert verdict.condition is Condition.INDEPENDENCE
    assert "one Gumbel noise" in verdict.diagnosis.cause


def test_greedy_bonus_tokens_are_found():
    def greedy_bonus(rng, drafts, draft_laws, target_laws):
        accepted, token = rejection(rng, drafts, draft_laws, target_laws)
        return accepted, token if accepted < len(drafts) else int(target_laws[-1].argmax())

    verdict = judged(greedy_bonus, 8_000)
    assert verdict.condition is Condition.VERIFICATION
    assert "bonus tokens" in verdict.diagnosis.cause


def test_a_token_of_probability_zero_is_enough():
    def impossible(rng, drafts, draft_laws, target_laws):
        least = int(target_laws[0].argmin())
        return (0, least) if target_laws[0][least] == 0 and drafts[0] != least else rejection(
            rng, drafts, draft_laws, target_laws
        )  # fmt: skip

    verdict = judged(impossible, 300)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.log_e_value == math.inf


MOST = np.array([1, 2, 6])


def top_k(target_probs):
    """As many tokens as each row's own setting says."""
    kept = [
        np.where(row >= np.sort(row, axis=-1)[:, -k][:, None], row, 0)
        for row, k in zip(target_probs, np.resize(MOST, len(target_probs)), strict=True)
    ]
    return np.stack([row / row.sum(axis=-1, keepdims=True) for row in kept])


def of_requests(draft_tokens, draft_probs, target_probs, rng):
    """Rejection sampling that applies the settings of each row by itself."""
    return as_kernel(rejection)(draft_tokens, draft_probs, top_k(np.asarray(target_probs, dtype=np.float64)), rng)


@pytest.mark.slow
@pytest.mark.parametrize(("processor", "outcome"), [(top_k, Outcome.NOT_REFUTED), (None, Outcome.REFUTED)])
def test_a_kernel_that_filters_by_row_says_how(processor, outcome):
    subject = kernel(of_requests, output="list", numpy=True, processor=processor)
    verdict = audit(subject, alpha=1e-8, max_sequences=900, progress=False)
    assert verdict.outcome is outcome
    assert verdict.rule == ("mrs" if processor else None)


@pytest.mark.parametrize(
    ("processor", "message"),
    [
        (lambda laws: laws[:, :-1], r"processor\(target_probs\) has shape \(64, 4, 6\): expected \(64, 5, 6\)"),
        (lambda laws: 2 * laws, r"processor\(target_probs\)\[0, 0\]"),
        (lambda laws: 1 / 0, "kernel's processor"),
    ],
)
def test_what_a_processor_may_not_return(processor, message):
    with pytest.raises(InputError, match=message):
        audit(kernel(of_requests, output="list", numpy=True, processor=processor), progress=False)


def outcomes(rule, drafts, draft_laws, target_laws):
    """Every way a rule can go, with its probability: chance is followed along each branch."""

    class Follow:
        def __init__(self, path):
            self.path, self.at, self.weight, self.sizes = path, 0, 1.0, []

        def choose(self, law):
            chosen = self.path[self.at] if self.at < len(self.path) else 0
            self.at += 1
            self.sizes.append(len(law))
            self.weight *= law[chosen]
            return chosen

    def branches(path):
        follow = Follow(path)
        found = rule(follow, drafts, draft_laws, target_laws)
        yield found, follow.weight
        for at in range(len(path), follow.at):
            for other in range(1, follow.sizes[at]):
                yield from branches([*path, *[0] * (at - len(path)), other])

    return branches([])


def block_by_choices(chance, drafts, draft_laws, target_laws, *, scaled=True):
    """Block verification, written for :func:`outcomes`."""

    class Rng:
        def random(self):
            return self

        def __lt__(self, probability):
            return chance.choose([1 - probability, probability]) == 1

        def __mul__(self, total):
            raise AssertionError

    before, exact_rules.pick = exact_rules.pick, lambda rng, law: chance.choose(np.asarray(law) / np.sum(law))
    try:
        return block(Rng(), drafts, draft_laws, target_laws, scaled=scaled)
    finally:
        exact_rules.pick = before


@pytest.mark.parametrize("scaled", [True, False])
def test_bets_on_the_committed_prefix_have_mean_one_under_block_verification(scaled):
    """By enumeration at V = 3 and two drafts, with arbitrary bets; the twin without the scale has another mean."""
    rng, vocab = np.random.default_rng(0), 3
    p, q = rng.dirichlet(np.ones(vocab), 3), rng.dirichlet(np.ones(vocab), 2)
    bets = {}

    def ratio(prefix, token):
        law = p[len(prefix)]
        if prefix not in bets:
            bets[prefix] = rng.dirichlet(np.ones(vocab))
        return bets[prefix][token] / law[token]

    total = wealth = 0.0
    for drafts in np.ndindex(vocab, vocab):
        chance = q[0][drafts[0]] * q[1][drafts[1]]
        rule = lambda *args: block_by_choices(*args, scaled=scaled)  # noqa: E731
        for (accepted, token), weight in outcomes(rule, list(drafts), q, p):
            committed = (*drafts[:accepted], token)
            total += chance * weight
            wealth += chance * weight * math.prod(ratio(committed[:k], committed[k]) for k in range(len(committed)))
    assert total == pytest.approx(1, abs=1e-12)
    if scaled:
        assert wealth == pytest.approx(1, abs=1e-12)
    else:
        assert abs(wealth - 1) > 1e-3
