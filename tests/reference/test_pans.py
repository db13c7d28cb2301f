"""Pans over a picture: whole patches repeat their tokens, nothing leaves the crop, and frames become pixels again."""

import numpy as np
import pytest
import torch

from studies import data
from studies.train_photos import encode


def tokens_of(frames, codebook):
    """Long[8, 8, 8]: frame, row, column."""
    return encode(torch.from_numpy(data.to_patches(frames)), codebook).view(data.FRAMES, 8, 8)


@pytest.fixture
def picture():
    return np.random.default_rng(0).random((64, 64, 3), dtype=np.float32)


@pytest.fixture
def codebook():
    return torch.rand(100, 48, generator=torch.Generator().manual_seed(0))


def test_a_pan_by_hand(picture):
    """From (3, 30) at (2, -4): frame 7 has its corner at (17, 2)."""
    frames = data.pan(picture, (2, -4), (3, 30))
    assert frames.shape == (8, 32, 32, 3)
    assert np.array_equal(frames[0], picture[3:35, 30:62])
    assert np.array_equal(frames[7], picture[17:49, 2:34])


@pytest.mark.parametrize("velocity", data.VELOCITIES)
def test_every_start_keeps_every_frame_inside_the_crop(velocity):
    """So that a pan sees the pixels of its crop and no others: held-out blocks stay held out."""
    for speed in velocity:
        allowed = data.starts(speed)
        assert len(allowed) >= 5
        ends = [start + 7 * speed for start in (allowed[0], allowed[-1])]
        assert min(allowed[0], allowed[-1], *ends) == 0
        assert max(allowed[0], allowed[-1], *ends) + 32 == 64


def test_there_are_eight_directions_at_two_speeds():
    assert len(set(data.VELOCITIES)) == 16
    assert {max(map(abs, v)) for v in data.VELOCITIES} == {2, 4}
    assert {tuple(np.sign(v)) for v in data.VELOCITIES} == {
        (a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if (a, b) != (0, 0)
    }


def test_a_whole_patch_a_frame_repeats_the_tokens_of_the_frame_before(picture, codebook):
    tokens = tokens_of(data.pan(picture, (4, -4), (0, 32)), codebook)
    assert torch.equal(tokens[1:, :-1, 1:], tokens[:-1, 1:, :-1])
    assert not torch.equal(tokens[1:, :-1, 1:], tokens[:-1, :-1, 1:])


def test_half_a_patch_a_frame_repeats_the_tokens_of_two_frames_before(picture, codebook):
    tokens = tokens_of(data.pan(picture, (0, 2), (0, 0)), codebook)
    assert torch.equal(tokens[2:, :, :-1], tokens[:-2, :, 1:])
    assert not torch.equal(tokens[1:, :, :-1], tokens[:-1, :, 1:])
