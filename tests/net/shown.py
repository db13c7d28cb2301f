"""Subjects that the net's commands name."""

import torch

import reference
import reference.subjects

model = reference.TabularModel.random(vocab_size=3, num_tokens=4, concentration=0.7, seed=0)
lossless = reference.subjects.subject("scd-gs", 3)
faulty = reference.subjects.subject("sjd-vp-uncorrected", 3)
fair = {True: 0.5, False: 0.5}


def coin() -> bool:
    """Say heads in three cases of ten."""
    return bool(torch.rand(()) < 0.3)
