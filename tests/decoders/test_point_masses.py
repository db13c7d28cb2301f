"""Drafts whose laws a decoder does not know: as point masses, exact rules stand, and slips of these rules do not."""

import numpy as np
import pytest
import torch

from scd_analysis import Outcome, audit
from scd_analysis.audit.kernels import make_windows
from scd_analysis.conditions import Condition
from scd_analysis.errors import InputError, UnknownNameError
from scd_analysis.subjects import kernel
from studies.exact_rules import as_kernel, exact_match, point_mass, rejection
from tests.decoders.rules import Chain, as_traced, wrong_acceptance, wrong_replacement
from tests.statistics import ledger

STANDS = ledger("decoders: exact rules for point masses are not refuted at 1e-8", 10e-8)
RIGHT, WRONG = (exact_match, point_mass, rejection), (wrong_replacement, wrong_acceptance)


def judged(rule, drafts=None, *, laws=True, most=600):
    subject = kernel(as_kernel(rule, laws=laws), output="list", numpy=True, drafts=drafts)
    return audit(subject, alpha=1e-8, max_sequences=most, progress=False)


@pytest.mark.slow
@pytest.mark.parametrize("rule", [exact_match, point_mass])
def test_a_kernel_that_never_sees_a_draft_law_stands(rule):
    assert judged(rule, laws=False).outcome is Outcome.NOT_REFUTED


@pytest.mark.slow
@pytest.mark.parametrize("rule", WRONG)
def test_a_slip_of_such_a_kernel_is_found(rule):
    verdict = judged(rule, laws=False, most=8_000)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.condition is Condition.VERIFICATION


@pytest.mark.slow
@pytest.mark.parametrize(("rule", "drafts"), [(rule, "point-mass") for rule in RIGHT] + [(point_mass, "without-laws")])
def test_a_kernel_that_takes_laws_is_told_that_drafts_are_point_masses(rule, drafts):
    assert judged(rule, drafts).outcome is Outcome.NOT_REFUTED


@pytest.mark.slow
@pytest.mark.parametrize("rule", WRONG)
def test_a_slip_is_found_where_it_is_told(rule):
    assert judged(rule, "point-mass", most=8_000).outcome is Outcome.REFUTED


@pytest.mark.parametrize("numpy", [False, True])
@pytest.mark.parametrize("batch_size", [None, 0])
def test_what_a_function_is_given(numpy, batch_size):
    given = []

    def function(draft_tokens, target_probs, draft_probs="default", draft_logits=None):
        given.append((draft_tokens, draft_probs, draft_logits))
        return [[0]] * len(draft_tokens) if batch_size is None else [0]

    windows = make_windows(np.random.default_rng(0), 3, 2, 4, point_mass=True)
    for drafts in ("point-mass", "without-laws"):
        options = {"output": "list", "vocab_size": 4, "window": 2, "numpy": numpy, "batch_size": batch_size}
        subject = kernel(function, drafts=drafts, **options)
        assert subject.point_mass
        subject.verify_window(*windows, 0)
        tokens, law, log = given[-1]
        if drafts == "without-laws":
            assert law is log is None
        else:
            point = torch.nn.functional.one_hot(torch.as_tensor(tokens), 4)
            np.testing.assert_array_equal(np.asarray(law), point)
            np.testing.assert_array_equal(np.exp(np.asarray(log)), point)
    assert not kernel(function, **options).point_mass


def test_every_draft_is_declared_as_the_point_mass_on_itself():
    tokens, draft, target = make_windows(np.random.default_rng(0), 400, 3, 5, point_mass=True)
    np.testing.assert_array_equal(draft, np.eye(5)[tokens])
    accepted = np.take_along_axis(target[:, :-1], tokens[..., None], axis=-1)
    assert (np.histogram(accepted, bins=[0, 1e-9, 0.1, 0.5, 0.9, 1.1])[0] > 20).all()  # of every kind


def test_what_cannot_be_is_said():
    with pytest.raises(InputError, match="drafts = 'laws': none of the function's parameters takes draft_probs or"):
        kernel(as_kernel(exact_match, laws=False), drafts="laws")
    with pytest.raises(UnknownNameError, match="drafts='greedy' is not known; known: laws, point-mass, without-laws"):
        kernel(as_kernel(exact_match), drafts="greedy")


@pytest.mark.slow
@pytest.mark.parametrize("rule", RIGHT)
def test_a_trace_with_drafts_declared_as_point_masses_stands(rule):
    verdict = audit(as_traced(rule, Chain()), Chain(), alpha=1e-8, max_sequences=150, progress=False, resolution=0.5)
    assert verdict.outcome is Outcome.NOT_REFUTED


@pytest.mark.slow
@pytest.mark.parametrize("rule", WRONG)
def test_a_slip_shows_in_such_a_trace(rule):
    verdict = audit(as_traced(rule, Chain()), Chain(), alpha=1e-8, max_sequences=900, progress=False)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.condition is Condition.VERIFICATION
