"""Rows of a trace, as somebody's loop gives them."""

import numpy as np
import torch


def foreign_rows(model, batch=2, window=3):
    """One pass of somebody's loop: uniform draft laws, drafts 0, the model's laws."""
    drafts = np.zeros((batch, window), dtype=int)
    target = model.next_token_probs(torch.zeros(batch, window - 1, dtype=torch.long)).numpy()
    flags = np.tile([True, False, True], (batch, 1))
    return {
        "base": np.zeros(batch, dtype=int),
        "draft_token": drafts,
        "next_token": drafts,
        "accepted": flags,
        "draft_probs": np.full((batch, window, 3), 1 / 3),
        "target_probs": target,
    }
