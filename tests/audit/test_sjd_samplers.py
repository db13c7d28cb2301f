"""Released samplers in many forms: judged over several passes, from samples and exactly."""

import pytest
import torch

from scd_analysis import Outcome, audit, exact_verdict
from scd_analysis.conditions import Condition
from scd_analysis.errors import InputError, UnknownNameError
from scd_analysis.subjects import sjd_sampler
from tests.decoders.sjd_samplers import (
    AsFirstReleased,
    MaximalCoupling,
    ReplacedFromTarget,
    SpeculativeJacobi,
    WithEpsilon,
    as_list,
    in_numpy,
    with_bonus,
)
from tests.statistics import ledger

STANDS = ledger("sjd samplers: exact ones are not refuted at 1e-8", 2e-8)
SMALL = {"vocab_size": 2, "num_tokens": 3, "window": 3, "initial": "point-mass"}
ROLES = ("draft_tokens", "advanced_tokens", "draft_prob", "advanced_prob")

FORMS = {
    "class with a method": (SpeculativeJacobi, {}),
    "object": (SpeculativeJacobi(), {}),
    "class that is called": (MaximalCoupling, {}),
    "epsilon in the residual": (WithEpsilon, {}),
    "without a batch": (SpeculativeJacobi, {"batch_size": 0}),
    "arrays, one sequence, a named tuple": (
        in_numpy,
        {"arguments": ROLES, "numpy": True, "batch_size": 0, "window": 2},
    ),
    "a list of committed tokens": (as_list, {"batch_size": 0}),
    "a kernel with a bonus": (with_bonus, {"bonus": True, "next_drafts": "advanced"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_an_exact_sampler_has_the_target_law_in_every_form(form):
    sampler, more = FORMS[form]
    subject = sjd_sampler(sampler, **SMALL | more)
    assert exact_verdict(subject.one_sequence(), subject.target_model).outcome is Outcome.EXACT


@pytest.mark.parametrize("sampler", [AsFirstReleased, ReplacedFromTarget])
def test_a_wrong_one_has_not(sampler):
    """Total variation .14 and .23: where all first drafts are point masses, a kept one shows its stale law soon."""
    subject = sjd_sampler(sampler, **SMALL)
    verdict = exact_verdict(subject.one_sequence(), subject.target_model)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.resolution > 0.1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sampler", "condition"),
    [(AsFirstReleased, Condition.DECLARED_LAW), (ReplacedFromTarget, Condition.VERIFICATION)],
)
def test_samples_name_the_condition_of_a_wrong_one(sampler, condition):
    """Both took fewer than 110 sequences."""
    verdict = audit(sjd_sampler(sampler, batch_size=None), max_sequences=600, rule="mrs", progress=False)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.condition is condition


@pytest.mark.slow
@pytest.mark.parametrize(("sampler", "batch_size"), [(SpeculativeJacobi, 5), (MaximalCoupling, None)])
def test_samples_of_a_right_one_stand(sampler, batch_size):
    subject = sjd_sampler(sampler, batch_size=batch_size)
    verdict = audit(subject, alpha=1e-8, max_sequences=64, rule="mrs", resolution=0.4, progress=False)
    assert verdict.outcome is Outcome.NOT_REFUTED
    assert {report.status for report in verdict.conditions} == {"not refuted"}


class GumbelSharing(SpeculativeJacobi):
    """Advanced tokens by Gumbel noise that a position keeps for life."""

    def __init__(self, owner=lambda j: j):
        self.noise, self.owner = {}, owner

    def draw(self, laws, place):
        rows = [[self.of(self.owner(j), law) for j, law in zip(place[0].tolist(), laws[0], strict=True)]]
        return torch.stack([torch.stack(row) for row in rows])

    def of(self, j, law):
        if j not in self.noise:
            self.noise[j] = torch.empty(law.shape, dtype=law.dtype).exponential_()
        return (law / self.noise[j]).argmax()


@pytest.mark.slow
@pytest.mark.parametrize(("owner", "outcome"), [(lambda j: j, Outcome.EXACT), (lambda j: 0, Outcome.REFUTED)])
def test_advanced_tokens_may_be_drawn_by_the_release(owner, outcome):
    subject = sjd_sampler(GumbelSharing, advance="draw", init={"owner": owner}, **SMALL | {"window": 2})
    assert exact_verdict(subject.one_sequence(), subject.target_model).outcome is outcome


def test_the_same_seed_gives_the_same_trace():
    subject = sjd_sampler(MaximalCoupling)
    first, second = (subject(subject.target_model, 4, 3) for _ in range(2))
    assert first.equals(second)


def test_what_is_kept_by_an_object_is_its_sequences_own():
    """A class is made anew for every group; the one here counts its calls, and starts from one each time."""
    starts = []

    class Counting(SpeculativeJacobi):
        def __init__(self, extra):
            starts.append(extra)

    subject = sjd_sampler(Counting, init={"extra": 5})
    subject(subject.target_model, 3, 0)
    assert starts == [5] * (2 + 3)


def one_off(draft_tokens, advanced_tokens, draft_prob, advanced_prob):
    count, tokens = SpeculativeJacobi().sample(draft_tokens, advanced_tokens, draft_prob, advanced_prob)
    return count + 7, tokens


def keeps_tail(draft_tokens, advanced_tokens, draft_prob, advanced_prob):
    count, tokens = SpeculativeJacobi().sample(draft_tokens, advanced_tokens, draft_prob, advanced_prob)
    place = torch.arange(draft_tokens.shape[1])
    return count, torch.where(place > count[:, None], draft_tokens, tokens)


def no_replacement(draft_tokens, advanced_tokens, draft_prob, advanced_prob):
    return SpeculativeJacobi().sample(draft_tokens, advanced_tokens, draft_prob, advanced_prob)[0]


def two_numbers(draft_tokens, advanced_tokens, draft_prob, advanced_prob):
    count, tokens = SpeculativeJacobi().sample(draft_tokens, advanced_tokens, draft_prob, advanced_prob)
    return count, tokens[:, 0]


class Two:
    def first(self, draft_tokens, advanced_tokens, draft_prob, advanced_prob): ...

    def second(self, draft_tokens, advanced_tokens, draft_prob, advanced_prob): ...


@pytest.mark.parametrize(
    ("sampler", "what"),
    [
        (one_off, r"it returns \[7, 8\]; say what that counts: returns="),
        (keeps_tail, "next_drafts='returned', or not used, next_drafts='advanced'"),
        (no_replacement, "no part holds the token that replaces a rejected draft"),
        (two_numbers, "part 1 of 2 that are returned could be anything"),
    ],
)
def test_what_cannot_be_read_is_asked_about(sampler, what):
    subject = sjd_sampler(sampler)
    with pytest.raises(InputError, match=what):
        subject(subject.target_model, 2, 0)


@pytest.mark.parametrize(
    ("arguments", "error", "what"),
    [
        ({"sampler": Two}, InputError, "first and second take draft_tokens"),
        ({"sampler": object()}, InputError, "is a function"),
        ({"sampler": Two, "method": "third"}, InputError, "method = 'third'"),
        ({"window": 1}, InputError, "window = 1: must be at least 2"),
        ({"returns": ("acepted",)}, UnknownNameError, "returns: part='acepted' is not known"),
        ({"returns": "accepted"}, InputError, "parts in order, or key to part"),
        ({"initial": "zeros"}, UnknownNameError, "initial='zeros'"),
        ({"next_drafts": "mine"}, UnknownNameError, "next_drafts='mine'"),
        ({"advance": "draw"}, InputError, "advance = 'draw': neither a function nor a method"),
        ({"vocab_size": 100, "num_tokens": 20}, InputError, "pass a model of your own"),
    ],
)
def test_arguments_are_checked(arguments, error, what):
    with pytest.raises(error, match=what):
        sjd_sampler(**{"sampler": SpeculativeJacobi} | arguments)


def test_a_number_out_of_range_is_an_error():
    subject = sjd_sampler(lambda *window: (9, [1, 1, 1, 1]), batch_size=0, returns=("accepted", "tokens"))
    with pytest.raises(InputError, match="accepted = 9: must be a whole number between 0 and 4"):
        subject(subject.target_model, 1, 0)
