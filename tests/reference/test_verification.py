"""Modified rejection sampling: boundary cases, and its exact output law on a fine grid of variates."""

import numpy as np
import pytest
import torch

from reference.verification import verify
from scd_analysis.laws import verified_law


def run(target, draft, token, u, r=0.5):
    wrap = lambda x: torch.tensor([x], dtype=torch.float64)  # noqa: E731
    out = verify(wrap(target), wrap(draft), torch.tensor([token]), wrap(u), wrap(r))
    return bool(out.accepted), int(out.tokens)


def test_equal_laws_never_need_the_residual():
    assert run([0.5, 0.5], [0.5, 0.5], 0, 1 - 2**-53) == (True, 0)


def test_an_empty_residual_never_gives_an_impossible_token():
    """Laws equal but for rounding: the draft stays, a draw from the target, not token V - 1 of probability zero."""
    assert run([0.3, 0.7, 0.0], [0.30000004, 0.7, 0.0], 0, 1 - 1e-9, 0.9) == (False, 0)
    assert run([0.3, 0.69, 0.01], [0.31, 0.69, 0.0], 0, 1 - 1e-9, 0.9) == (False, 2)  # the twin: not empty


def test_a_draft_of_target_probability_zero_is_rejected_even_at_variate_zero():
    assert run([0.0, 1.0], [1.0, 0.0], 0, 0.0) == (False, 1)


def test_a_made_up_draft_is_accepted_with_its_target_probability():
    """Point-mass draft law: accept iff u < p(x); the residual is p without x."""
    assert run([0.25, 0.5, 0.25], [1.0, 0.0, 0.0], 0, 0.2499) == (True, 0)
    assert run([0.25, 0.5, 0.25], [1.0, 0.0, 0.0], 0, 0.25, 0.6) == (False, 1)
    assert run([0.25, 0.5, 0.25], [1.0, 0.0, 0.0], 0, 0.25, 0.7) == (False, 2)


@pytest.mark.parametrize(
    ("target", "draft"),
    [([0.5, 0.3, 0.2], [0.2, 0.3, 0.5]), ([0.0, 0.5, 0.5], [0.5, 0.0, 0.5]), ([0.9, 0.05, 0.05], [0.0, 0.1, 0.9])],
)
def test_output_law_is_the_target(target, draft):
    """The variates run over a midpoint grid, so that every threshold is resolved to 1/2000."""
    grid = (torch.arange(2000, dtype=torch.float64) + 0.5) / 2000
    p, q = torch.tensor(target, dtype=torch.float64), torch.tensor(draft, dtype=torch.float64)
    out = torch.zeros(3, dtype=torch.float64)
    for x in range(3):
        both = verify(p.expand(2000, 3), q.expand(2000, 3), torch.full((2000,), x), grid, grid)
        accept = both.accepted.double().mean()
        redrawn = verify(p.expand(2000, 3), q.expand(2000, 3), torch.full((2000,), x), grid * 0 + 1 - 2**-53, grid)
        out[x] += q[x] * accept
        out += (
            q[x]
            * (1 - accept)
            * torch.bincount(redrawn.tokens[~redrawn.accepted], minlength=3)
            / max(1, int((~redrawn.accepted).sum()))
        )
    np.testing.assert_allclose(out, p, atol=2e-3)
    wrong = verified_law(draft, np.minimum(1, np.divide(target, draft, where=q.numpy() > 0, out=np.ones(3))), target)
    assert np.abs(wrong - np.array(target)).max() > 2e-2  # the twin: a rejection redrawn from p would be seen
