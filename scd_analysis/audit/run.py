"""The audit on samples: stopgap with one bettor; the portfolio replaces it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from scd_analysis.audit.verdict import Outcome, Verdict
from scd_analysis.validate import as_array, check_tokens


def audit(subject: Any, model: Any, alpha: float = 1e-6, max_sequences: int = 20_000, seed: int = 0) -> Verdict:
    """Audit ``subject`` against ``model`` by a Krichevsky-Trofimov bet over eight rank-PIT bins."""
    rng = np.random.default_rng(seed)
    counts, log_e, done, batch = np.full(8, 0.5), 0.0, 0, 64
    while done < max_sequences and log_e < math.log(1 / alpha):
        size = min(batch, max_sequences - done)
        tokens = as_array(subject(model, size, int(rng.integers(2**31))), "subject(...)", np.int64)
        check_tokens(tokens, model.vocab_size, "subject(...)")
        laws = _laws(model, tokens)
        law = np.take_along_axis(laws, tokens[..., None], -1)
        pit = np.where(laws > law, laws, 0).sum(-1) + rng.random(tokens.shape) * law[..., 0]
        bins = np.bincount(np.minimum((pit * 8).astype(int), 7).ravel(), minlength=8)
        log_e += float((bins * np.log(8 * counts / counts.sum())).sum())
        counts += bins
        done, batch = done + size, batch * 2
    outcome = Outcome.REFUTED if log_e >= math.log(1 / alpha) else Outcome.NOT_REFUTED
    return Verdict(outcome, log_e, alpha, done, done * model.num_tokens, 1.0, (), {"seed": seed})


def _laws(model: Any, tokens: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    import torch

    return as_array(model.next_token_probs(torch.from_numpy(tokens)), "laws")[:, : tokens.shape[1]]
