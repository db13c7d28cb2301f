"""The shipped video model: time shows in its bits, and in what it draws."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from reference import get_method
from reference.decoder import make_settings
from reference.kernel import _enter, init
from reference.models.image import load_image_model
from studies.data import VELOCITIES
from studies.training import bits_of_tokens
from tests.reference.test_models import held_out

FRAMES, PLACES = 8, 64


@pytest.fixture(scope="module")
def video():
    return load_image_model("video")


@pytest.fixture(scope="module")
def pans():
    """A held-out pan of a whole patch a frame for every photograph, in directions by turns: Long[12, 512], Long[12]."""
    tokens, classes = held_out("video")
    index = [16 * photograph + 8 + photograph % 8 for photograph in range(12)]
    return tokens[index], classes[index]


def by_frame(video, tokens, classes):
    return bits_of_tokens(video.net, tokens, classes).view(len(tokens), FRAMES, PLACES).mean((0, 2))


@pytest.mark.slow
def test_later_frames_take_less_than_seven_tenths_of_the_bits_of_the_first(video):
    tokens, classes = held_out("video")
    bits = by_frame(video, tokens, classes)
    assert bits[1:].mean() <= 0.7 * bits[0]
    np.testing.assert_allclose(bits.numpy(), video.card["bits_per_token_by_frame"], atol=0.02)
    assert bits.mean().item() == pytest.approx(video.card["bits_per_token_held_out"], abs=0.01)
    assert len(tokens) == video.card["num_held_out_images"]
    assert bits[1:].mean().item() == pytest.approx(video.card["bits_per_token_later_frames"], abs=0.01)


@pytest.mark.slow
def test_it_is_the_motion_that_saves_bits(video, pans):
    """The same frames in another order, or of different pans, are dear: the twin of the test above."""
    tokens, classes = pans
    moving = by_frame(video, tokens, classes)
    frames = tokens.view(len(tokens), FRAMES, PLACES)
    jumping = frames[:, torch.tensor([0, 5, 2, 7, 1, 6, 3, 4])].flatten(1)
    other = torch.stack([frames[(torch.arange(len(frames)) + f) % len(frames), f] for f in range(FRAMES)], 1).flatten(1)
    assert moving[2:].mean() < 0.4 * moving[0]
    assert by_frame(video, jumping, classes)[2:].mean() > 2 * moving[2:].mean()
    assert by_frame(video, other, classes)[2:].mean() > 4 * moving[2:].mean()


def test_its_held_out_pans_show_every_velocity_on_every_photograph():
    """A whole-patch pan repeats the tokens of the frame before, displaced; half a patch those of two frames before."""
    tokens, classes = held_out("video")
    assert classes.tolist() == [c for c in range(12) for _ in range(16)]
    frames = tokens.view(-1, FRAMES, 8, 8)
    for clip, (down, right) in zip(frames, VELOCITIES * 12, strict=True):
        back = 1 if max(abs(down), abs(right)) == 4 else 2
        down, right = down * back // 4, right * back // 4
        now = clip[back:, max(-down, 0) : 8 - max(down, 0), max(-right, 0) : 8 - max(right, 0)]
        before = clip[:-back, max(down, 0) : 8 - max(-down, 0), max(right, 0) : 8 - max(-right, 0)]
        assert torch.equal(now, before)


def test_frames_lie_side_by_side(video, pans):
    """Pixel (r, 32 f + c) of a strip is pixel (r, c) of frame f, hence of the code of place (r // 4, c // 4)."""
    tokens = pans[0][:1]
    strip = video.to_pixels(tokens)[0]
    for f, r, c in ((0, 0, 0), (3, 17, 30), (7, 31, 5)):
        code = tokens[0, 64 * f + 8 * (r // 4) + c // 4]
        pixel = video.codebook[code].view(4, 4, 3)[r % 4, c % 4].clamp(0, 1)
        assert torch.equal(strip[r, 32 * f + c], pixel)


def test_the_first_draft_of_a_token_is_the_same_place_one_frame_before(video):
    """One frame committed, and the next 32 positions enter: they start as the first 32 tokens."""
    assert video.grid == (FRAMES, PLACES)
    settings = make_settings(video, replace(get_method("sjd"), initial="upper"), 32, 0, torch.float32)
    state = init(settings, torch.arange(2))
    tokens = held_out("video")[0][:2]
    state = replace(state, tokens=tokens.clone(), base=torch.tensor([64, 64]))
    entering = torch.ones(2, 32, dtype=torch.bool)
    assert torch.equal(_enter(settings, state, entering).tokens[:, 64:96], tokens[:, :32])
