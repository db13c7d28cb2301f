"""Verification kernels by themselves: right ones stand, slips are found and named, wrong outputs are refused."""

import pytest
import torch

from scd_analysis import Outcome, audit
from scd_analysis.conditions import Condition
from scd_analysis.errors import InputError
from scd_analysis.subjects import kernel
from tests.statistics import ledger


def verify(drafts, draft_probs, target_probs, generator, slip=None):
    """Modified rejection sampling with a bonus token, with at most one slip."""
    batch, window = drafts.shape
    uniform = torch.rand(batch, window, generator=generator)
    if slip == "one uniform":
        uniform = uniform[:, :1].expand(batch, window)
    target = target_probs[:, :window]
    ratio = target.gather(-1, drafts[..., None])[..., 0] / draft_probs.gather(-1, drafts[..., None])[..., 0]
    accepted = (uniform**2 if slip == "lenient" else uniform) < ratio
    if slip == "block":
        accepted = (uniform[:, :1] < ratio.cumprod(1)).flip(1).cummax(1).values.flip(1)
    count = accepted.long().cumprod(1).sum(1)
    residual = (target - draft_probs).clamp(min=1e-3 if slip == "floor" else 0)
    if slip == "target":
        residual = target
    residual = torch.where(residual.sum(-1, keepdim=True) > 0, residual, target)
    flat = residual.reshape(batch * window, -1)
    other = torch.multinomial(flat, 1, generator=generator).view(batch, window)
    if slip == "same uniform":
        upto = residual.cumsum(-1)
        other = torch.searchsorted((upto / upto[..., -1:]).contiguous(), uniform[..., None].contiguous())[..., 0]
        other = other.clamp(max=target.shape[-1] - 1)
    bonus = torch.multinomial(target_probs[:, -2 if slip == "bonus" else -1], 1, generator=generator)
    kept = torch.arange(window) < count[:, None]
    return torch.cat([torch.where(kept, drafts, other), bonus], 1), count + 1


STANDS = ledger("audit of kernels: modified rejection sampling is not refuted at 1e-6", 1e-6)


@pytest.mark.slow
def test_modified_rejection_sampling_stands():
    verdict = audit(kernel(verify), max_sequences=3_000, progress=False)
    assert verdict.outcome is Outcome.NOT_REFUTED
    status = {report.condition: report.status for report in verdict.conditions}
    assert status[Condition.TARGET] == status[Condition.DECLARED_LAW] == "not tested"
    assert status[Condition.VERIFICATION] == status[Condition.SELECTION] == "not refuted"
    assert verdict.record["grade"] == "kernel"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("slip", "condition"),
    [
        ("one uniform", Condition.INDEPENDENCE),
        ("lenient", Condition.VERIFICATION),
        ("block", Condition.SELECTION),
        ("floor", Condition.VERIFICATION),
        ("target", Condition.VERIFICATION),
        ("same uniform", Condition.VERIFICATION),
        ("bonus", Condition.VERIFICATION),
    ],
)
def test_a_slip_is_found_and_named(slip, condition):
    verdict = audit(kernel(lambda *args: verify(*args, slip=slip)), max_sequences=8_000, progress=False)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.condition is condition


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda out, count: out, "expected .tokens, counts."),
        (lambda out, count: (out[:, :, None], count), r"tokens have shape \(64, 5, 1\)"),
        (lambda out, count: (out, count[:-1]), r"counts have shape \(63,\)"),
        (lambda out, count: (out, count * 0), r"counts\[0\] = 0: must lie between 1 and 5"),
        (lambda out, count: (out + 6, count), "not a token of a vocabulary of 6"),
        (lambda out, count: (out * 0 - 1, count), r"tokens\[0, 0\] = -1: not a token of a vocabulary of 6"),
    ],
)
def test_wrong_outputs_are_refused(change, words):
    with pytest.raises(InputError, match=words):
        audit(kernel(lambda *args: change(*verify(*args))), max_sequences=100, progress=False)


def test_wrong_arguments_are_named():
    for arguments, words in (({"vocab_size": 1}, "vocab_size = 1"), ({"window": 0}, "window = 0")):
        with pytest.raises(InputError, match=words):
            kernel(verify, **arguments)
    with pytest.raises(InputError, match="function = 3"):
        kernel(3)
