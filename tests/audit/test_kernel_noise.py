"""Noise that windows share, which nothing inside a window shows; and kernels that are only unusual."""

import numpy as np
import pytest
import torch

from scd_analysis import Outcome, audit
from scd_analysis.audit.kernel_noise import log_odds_of_one_call, log_odds_of_sharing, log_probability, outcome_laws
from scd_analysis.audit.kernels import make_windows
from scd_analysis.conditions import Condition
from scd_analysis.errors import InputError
from scd_analysis.subjects import kernel
from tests.statistics import ledger

STANDS = ledger("kernels: right ones with unusual noise are not refuted at 1e-7", 1e-7)
FINDS = ledger("kernels: noise shared by windows is found", 1e-7)


def verify(draft_tokens, draft_probs, target_probs, uniform, other):
    """MRS given its variates, Float[B, L] and Float[B, 1], or what broadcasts to them."""
    rows, window = torch.arange(len(draft_tokens)), draft_tokens.shape[1]
    p, q = (x[:, :window].gather(2, draft_tokens[..., None])[..., 0] for x in (target_probs, draft_probs))
    accepted = (uniform * q < p).long().cumprod(1).sum(1)
    short = torch.cat([draft_probs, torch.zeros_like(draft_probs[:, :1])], dim=1)
    rest = (target_probs - short).clamp(min=0)[rows, accepted].double()
    upto = (rest / rest.sum(1, keepdim=True)).cumsum(1)
    last = (upto <= other).sum(1).clamp(max=rest.shape[1] - 1)
    draft_tokens = torch.cat([draft_tokens, draft_tokens[:, :1]], dim=1)
    draft_tokens[rows, accepted] = last
    return draft_tokens, accepted + 1


def right(draft_tokens, draft_probs, target_probs, generator):
    uniform, other = (torch.rand(len(draft_tokens), n, generator=generator, dtype=torch.float64) for n in (4, 1))
    return verify(draft_tokens, draft_probs, target_probs, uniform, other)


def writes_over_its_input(draft_tokens, draft_probs, target_probs, generator):
    tokens, counts = right(draft_tokens, draft_probs, target_probs, generator)
    draft_tokens[:] = tokens[:, :-1]
    return tokens, counts


def one_variate_a_slot(draft_tokens, draft_probs, target_probs, generator):
    uniform = torch.rand(1, 4, generator=generator)
    return verify(
        draft_tokens, draft_probs, target_probs, uniform, torch.rand(len(draft_tokens), 1, generator=generator)
    )


def one_replacement_a_call(draft_tokens, draft_probs, target_probs, generator):
    uniform, other = (torch.rand(size, generator=generator) for size in ((len(draft_tokens), 4), (1, 1)))
    return verify(draft_tokens, draft_probs, target_probs, uniform, other)


def one_table_for_both_halves(draft_tokens, draft_probs, target_probs, generator):
    half = torch.rand(-(-len(draft_tokens) // 2), 5, generator=generator, dtype=torch.float64)
    both = torch.cat([half, half])[: len(draft_tokens)]
    return verify(draft_tokens, draft_probs, target_probs, both[:, :4], both[:, 4:])


def one_table_read_back(draft_tokens, draft_probs, target_probs, generator):
    half = torch.rand(-(-len(draft_tokens) // 2), 5, generator=generator, dtype=torch.float64)
    both = torch.cat([half, half.flip(0)])[-len(draft_tokens) :]
    return verify(draft_tokens, draft_probs, target_probs, both[:, :4], both[:, 4:])


def seeded_anew(draft_tokens, draft_probs, target_probs, generator):
    return right(draft_tokens, draft_probs, target_probs, torch.Generator().manual_seed(0))


def judged(function, **options):
    return audit(kernel(function, **options), alpha=1e-7, max_sequences=2_000, progress=False)


@pytest.mark.parametrize(
    ("function", "batch_size"),
    [
        (one_variate_a_slot, 8),
        (one_variate_a_slot, None),
        (one_replacement_a_call, 8),
        (one_replacement_a_call, None),
        (one_table_for_both_halves, None),
        (one_table_read_back, None),
    ],
)
def test_noise_shared_by_windows_is_found(function, batch_size):
    verdict = judged(function, batch_size=batch_size)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.condition is Condition.INDEPENDENCE
    assert "windows of one call share their noise" in verdict.diagnosis.cause


def test_a_kernel_that_ignores_its_seed_is_an_error():
    with pytest.raises(InputError, match="512 windows come out the same under two seeds"):
        judged(seeded_anew)


@pytest.mark.slow
@pytest.mark.parametrize("function", [right, writes_over_its_input])
def test_right_kernels_stand(function):
    assert judged(function).outcome is Outcome.NOT_REFUTED


def test_laws_of_outcomes_are_those_of_the_kernel():
    windows = make_windows(np.random.default_rng(3), 1, 2, 3)
    tokens, draft, target = (np.repeat(part, 40_000, axis=0) for part in windows)
    emitted, accepted = kernel(right_of_two, vocab_size=3, window=2).verify_window(tokens, draft, target, 0)
    laws = outcome_laws(draft[:1], target[:1], tokens[:1], has_bonus=True, lengths=np.array([2]))
    assert laws.sum() == pytest.approx(1)
    seen = np.zeros_like(laws[0])
    np.add.at(seen, (accepted, emitted[np.arange(len(emitted)), accepted]), 1 / len(emitted))
    assert np.abs(seen - laws[0]).max() < 0.02  # five standard deviations are 0.0125
    assert log_probability(laws, emitted[:1], accepted[:1]) == pytest.approx(
        np.log(laws[0, accepted[0], emitted[0, accepted[0]]])
    )


def right_of_two(draft_tokens, draft_probs, target_probs, generator):
    uniform, other = (torch.rand(len(draft_tokens), n, generator=generator, dtype=torch.float64) for n in (2, 1))
    return verify(draft_tokens, draft_probs, target_probs, uniform, other)


def test_odds_by_hand():
    """Two equally likely outcomes: alike pays (1 - e) + 2 e, apart 1 - e, given the number too, which is certain."""
    laws, one = np.array([[[0.5, 0.5]]]), np.array([0])
    for alike, pays in ((True, 1.3 + 1.95), (False, 0.7 + 0.05)):
        found = log_odds_of_sharing(laws, np.array([alike]), np.array([True]), one)
        assert found == pytest.approx(np.log((pays + 1 + 1 + pays) / 6))
    other_number = np.array([[[0.25, 0.25], [0.25, 0.25]]])
    found = log_odds_of_sharing(other_number, np.array([False]), np.array([False]), one)
    assert found == pytest.approx(np.log((0.75 + 0.75 + 1 + 1) / 6))  # nothing is bet on what comes after


def test_odds_of_one_call_by_hand():
    """Of pairs alike in one way only, each pays 1 + e for one call and 1 - e for two."""
    within, apart = np.array([True, True, False, True]), np.array([True, False, True, False])
    expected = np.log(((1.3**2 * 0.7) + (1.95**2 * 0.05)) / 2)
    assert log_odds_of_one_call((within,), (apart,)) == pytest.approx(expected)


def most_probable_replacement(draft_tokens, draft_probs, target_probs, generator):
    window = draft_tokens.shape[1]
    p, q = (x[:, :window].gather(2, draft_tokens[..., None])[..., 0] for x in (target_probs, draft_probs))
    accepted = (torch.rand(p.shape, generator=generator) * q < p).long().cumprod(1).sum(1)
    other = (target_probs[:, :window] - draft_probs).argmax(-1)
    kept = torch.arange(window) < accepted[:, None]
    bonus = torch.multinomial(target_probs[:, window], 1, generator=generator)
    return torch.cat([torch.where(kept, draft_tokens, other), bonus], dim=1), accepted + 1


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [8, None])
def test_copies_that_are_alike_in_every_call_share_nothing(batch_size):
    """A law that is too narrow makes copies alike, whatever their noise."""
    verdict = judged(most_probable_replacement, batch_size=batch_size)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.condition is Condition.VERIFICATION
