"""A rule without a plain form of its own is not followed by another's: nothing about it can be proved by mistake."""

from dataclasses import dataclass, replace

import pytest
import torch

from reference import Method, TabularModel, VerificationPrediction, decode, get_method
from reference.drafting import Draft, DrawnFrom, Gumbel, Independent, Maximal, Mixture
from reference.plain import PlainDecoder, plain_decoder
from reference.plain_forms import specifies
from reference.verification import ModifiedRejection, PositionRule
from scd_analysis import exact_law
from scd_analysis.errors import InputError, UnknownNameError
from scd_analysis.exact import exact_target_law
from scd_analysis.exact.loop import as_loop

MODEL = TabularModel.random(3, 3, 0.7, seed=0)


@dataclass(frozen=True)
class Mode:
    """The most probable token, declared as drawn from the law: not lossless."""

    needs_previous: bool = False
    needs_race: bool = False

    def draft(self, sweep):
        return Draft(sweep.target_probs.argmax(-1), sweep.target_probs)


@dataclass(frozen=True)
class ModeOfMaximal(Maximal):
    def draft(self, sweep):
        return Draft(sweep.target_probs.argmax(-1), sweep.target_probs)


@dataclass(frozen=True)
class OtherTilt(VerificationPrediction):
    def laws(self, target_probs, previous_probs):
        return previous_probs, target_probs


class AcceptAll(ModifiedRejection):
    def verify(self, check):
        found = super().verify(check)
        return found._replace(accepted=torch.ones_like(found.accepted), tokens=check.draft_token)


class OtherBonus(ModifiedRejection):
    def bonus_probs(self, probs):
        return probs[:, 0]


class BothWays(PositionRule):
    def verify(self, check):
        return super().verify(check)


SJD = get_method("sjd")
WITHOUT = {
    "a new drafting rule": (replace(SJD, drafting=Mode()), "drafting = Mode.*has no draft_one"),
    "one that replaces another's draft": (replace(SJD, drafting=ModeOfMaximal()), "ModeOfMaximal replaces draft but"),
    "one that replaces another's laws": (
        replace(SJD, drafting=OtherTilt()),
        "OtherTilt replaces laws but not draft_one",
    ),
    "a verification rule": (replace(SJD, verification=AcceptAll()), "AcceptAll replaces verify but not verify_one"),
    "a verification rule by position": (replace(SJD, verification=BothWays()), "BothWays replaces verify but"),
    "a bonus": (replace(SJD, verification=OtherBonus()), "OtherBonus replaces bonus_probs but not bonus_one"),
}


@pytest.mark.parametrize("name", WITHOUT)
def test_a_rule_with_a_batched_form_only_cannot_be_proved(name):
    method, words = WITHOUT[name]
    decode(MODEL, method, 2, 8, record=None)  # it runs
    with pytest.raises(InputError, match=words):
        plain_decoder(MODEL, method, 2)


def test_so_it_is_where_a_rule_is_inside_of_another():
    mixed = Mixture(Mode(), 0.5)
    with pytest.raises(InputError, match=r"coupled = Mode.*has no draft_one"):
        exact_law(as_loop(plain_decoder(MODEL, replace(SJD, drafting=mixed), 2)), intercept=False)


@dataclass(frozen=True)
class ModeWithPlain(Mode):
    @specifies("draft")
    def draft_one(self, slot):
        return max(range(len(slot.target)), key=slot.target.__getitem__), slot.target


class Anything(DrawnFrom):
    def laws(self, target_probs, previous_probs):
        law = torch.ones_like(target_probs) / target_probs.shape[-1]
        return law, law


RIGHT = {
    "drawn from anything": Anything(),
    "sjd": Independent(),
    "gumbel": Gumbel(),
    "mixture": Mixture(Maximal(), 0.5),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RIGHT)
def test_rules_with_a_plain_form_are_proved(name):
    law = exact_law(as_loop(plain_decoder(MODEL, replace(SJD, drafting=RIGHT[name]), 3)), intercept=False)
    assert law.total_variation(exact_target_law(MODEL)) < 1e-12


def test_a_wrong_rule_with_a_plain_form_is_not():
    law = exact_law(as_loop(plain_decoder(MODEL, replace(SJD, drafting=ModeWithPlain()), 3)), intercept=False)
    assert law.total_variation(exact_target_law(MODEL)) > 1e-3


def test_a_mixture_declares_one_law():
    @dataclass(frozen=True)
    class Uniform(DrawnFrom):
        def laws(self, target_probs, previous_probs):
            law = torch.ones_like(target_probs) / target_probs.shape[-1]
            return law, law

    with pytest.raises(InputError, match="declares another law than the independent draft's"):
        exact_law(as_loop(plain_decoder(MODEL, Method("m", Mixture(Uniform(), 0.5)), 3)), intercept=False)


@pytest.mark.parametrize(
    ("setting", "words"), [("initial", "initial = 'right'"), ("initial_law", "initial_law = 'right'")]
)
def test_first_drafts_that_it_does_not_know_are_refused(setting, words):
    method = replace(SJD)
    object.__setattr__(method, setting, "right")  # as if somebody had added one to the names that are known
    decoder = PlainDecoder(lambda prefix: (0.5, 0.5), 2, 2, 2, method)
    with pytest.raises(UnknownNameError, match=words):
        exact_law(as_loop(decoder), intercept=False)
