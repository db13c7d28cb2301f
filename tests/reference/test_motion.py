"""What a row of a video sees of the frames before, and pans: by hand, causal, the same through the cache."""

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from reference.models.motion import NUM_DISPLACEMENTS, Motion
from reference.models.transformer import KVCache, TokenTransformer, TransformerConfig

SAME_PLACE, BELOW_RIGHT = 4, 8
"""Displacements by number: in the frame before, at (0, 0) and at (1, 1)."""


def tiny(**sizes):
    """Three frames of 3x4 tokens of 5 values; every weight random, so that nothing is switched off."""
    config = TransformerConfig(**{"vocab_size": 5, "height": 3, "width": 4, "num_classes": 2, "frames": 3} | sizes)
    config = TransformerConfig(**config.to_dict() | {"d_model": 32, "num_layers": 2, "num_heads": 2})
    net = TokenTransformer(config).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.3, generator=generator)
    return net


def random_tokens(net, batch, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(net.config.vocab_size, (batch, net.config.num_tokens), generator=generator)


def known(tokens, vocab_size):
    return torch.cat([tokens, torch.full((len(tokens), 1), vocab_size)], dim=1)


def small(frames):
    """Frames of 2x2 tokens of 9 values."""
    return Motion(TransformerConfig(9, 2, 2, 1, d_model=8, num_heads=2, frames=frames))


def test_displacements_by_hand():
    """Two frames of 2x2, positions 0 1 / 2 3 and 4 5 / 6 7. From 4, (1, 1) leads to 3; from 7, (-1, -1) leads to 0."""
    table = small(2).displaced
    assert table.shape == (8, NUM_DISPLACEMENTS)
    assert table[4:, SAME_PLACE].tolist() == [0, 1, 2, 3]
    assert table[4:, BELOW_RIGHT].tolist() == [3, 8, 8, 8]
    assert table[4:, 0].tolist() == [8, 8, 8, 0]
    assert (table[:4] == 8).all()  # nothing precedes the first frame
    assert (table[:, 9:] == 8).all()  # nor the one before it


def share_of(motion, tokens, displacement):
    rows = torch.arange(len(tokens))[None]
    both = motion.agreement(known(torch.tensor([tokens]), 9), rows)[0]
    torch.testing.assert_close(both[:, NUM_DISPLACEMENTS:], both[:, :NUM_DISPLACEMENTS] ** 4)
    return both[:, displacement]


def test_agreement_by_hand():
    """The second frame of 8 7 / 6 5 is 5 8 / 7 6. No token repeats its place, so 0 of 1, 2 and 3. The first is what
    stood below right of it, and nothing else has a place there: 1 of 1, and with one more counted as missed 1/2. A
    token counts for the rows after it only. Of a still picture 1, 2 and 3 repeat.
    """
    moved, still = [8, 7, 6, 5, 5, 8, 7, 6], [8, 7, 6, 5, 8, 7, 6, 5]
    assert share_of(small(2), moved, SAME_PLACE).tolist() == [0] * 8
    assert share_of(small(2), moved, BELOW_RIGHT).tolist() == [0] * 5 + [1 / 2] * 3
    expected = torch.tensor([0] * 5 + [1 / 2, 2 / 3, 3 / 4])
    torch.testing.assert_close(share_of(small(2), still, SAME_PLACE), expected)


def test_agreement_forgets_what_is_long_ago():
    """Twelve frames of four tokens, still but for the last, another picture: of the last 32 tokens all agree at rows 36
    to 44, and then one less a row; 32 rows are looked back at, so the first frame, which has none before, is forgotten.
    """
    share = share_of(small(12), [0, 1, 2, 3] * 11 + [8] * 4, SAME_PLACE)
    torch.testing.assert_close(share[:6], torch.tensor([0, 0, 0, 0, 0, 1 / 2]))
    torch.testing.assert_close(share[20], torch.tensor(16 / 17))
    torch.testing.assert_close(share[36:], torch.tensor([32] * 9 + [31, 30, 29]) / 33)


def test_mixture_by_hand():
    """Weights 3 for the same place, 2 for below right, 1 for none, under which all 9 tokens are equally probable."""
    motion = small(2)
    torch.nn.init.zeros_(motion.copy.weight)
    torch.nn.init.constant_(motion.copy.bias, -1e9)
    motion.copy.bias.data[[SAME_PLACE, BELOW_RIGHT, -1]] = torch.tensor([3.0, 2.0, 1.0]).log()
    tokens = torch.tensor([[8, 7, 6, 5, 0, 0, 0, 0]])
    rows = torch.tensor([[0, 4, 5]])

    def law():
        with torch.no_grad():
            return motion.mixture(torch.zeros(1, 3, 9), torch.zeros(1, 3, 8), known(tokens, 9), rows)[0].exp()

    first, at_4, at_5 = law()
    torch.testing.assert_close(first, torch.full((9,), 1 / 9))  # nothing to copy
    expected = torch.full((9,), 1 / 54)
    expected[8] += 3 / 6  # at its place
    expected[5] += 2 / 6  # below right of it
    torch.testing.assert_close(at_4, expected)
    expected = torch.full((9,), 1 / 36)
    expected[7] += 3 / 4  # nothing lies right of the frame
    torch.testing.assert_close(at_5, expected)
    tokens[0, 3] = 8  # found twice
    assert law()[1, 8].item() == pytest.approx(5 / 6 + 1 / 54)


def test_no_token_is_impossible():
    motion = small(2)
    logits = torch.full((1, 1, 9), -1000.0)
    logits[..., 2] = 0
    tokens = torch.tensor([[8, 7, 6, 5, 0, 0, 0, 0]])
    log_law = motion.mixture(logits, torch.zeros(1, 1, 8), known(tokens, 9), torch.tensor([[0]]))
    assert log_law[0, 0, 3].exp().item() == pytest.approx(1e-12, rel=1e-3)
    assert log_law[0, 0].exp().sum().item() == pytest.approx(1)


def test_a_video_transformer_is_causal_in_every_row():
    net = tiny()
    tokens, classes = random_tokens(net, 1), torch.tensor([0])
    base = net(tokens, classes)
    for j in range(36):
        moved = tokens.clone()
        moved[0, j] = (moved[0, j] + 1) % 5
        change = (net(moved, classes) - base).abs().amax(-1)[0]
        assert (change[: j + 1] < 1e-5).all()
        if j < 35:  # the twin: the next row sees the token
            assert change[j + 1 :].max() > 1e-3


def test_a_row_sees_the_places_around_its_own_in_the_frame_before():
    """Without attention and agreement, so that nothing but the neighbourhood can tell: row 17 is (1, 1) of frame 1."""
    net = tiny()
    torch.nn.init.zeros_(net.motion.agree.weight)
    net.motion.copy.weight.data[:, -2 * NUM_DISPLACEMENTS :] = 0
    for block in net.blocks:
        torch.nn.init.zeros_(block.out.weight)
    tokens, classes = random_tokens(net, 1), torch.tensor([0])
    base = net(tokens, classes)
    seen = []
    for j in range(12):
        moved = tokens.clone()
        moved[0, j] = (moved[0, j] + 1) % 5
        if (net(moved, classes) - base)[0, 17].abs().max() > 1e-3:
            seen.append(j)
    assert seen == [0, 1, 2, 4, 5, 6, 8, 9, 10]  # column 3 is two places away


def test_windows_over_all_frames_equal_the_full_pass():
    """Drafts past what is committed are wrong, and the cache entries made from them are overwritten."""
    net = tiny()
    tokens, classes = random_tokens(net, 2), torch.tensor([0, 2])
    full = net(tokens, classes)
    cache = KVCache(net.config, 2, torch.device("cpu"), torch.float32)
    wrong = (tokens + 1) % 5
    base = 0
    for advance in (3, 1, 7, 2, 8, 5, 8):
        drafted = torch.cat([tokens[:, : base + advance], wrong[:, base + advance :]], dim=1)
        rows = (base + torch.arange(9)).clamp(max=35).expand(2, -1)
        laws = net.forward_window(drafted, classes, rows, cache)
        right = min(advance + 1, 36 - base)
        torch.testing.assert_close(laws[:, :right], full[:, base : base + right], atol=1e-5, rtol=1e-4)
        if right < 8 and base + 9 <= 36:  # the twin: a wrong draft changes rows after it
            assert (laws[:, right:] - full[:, base + right : base + 9]).abs().max() > 1e-3
        base += advance
    assert base == 34


def test_a_window_never_waits_for_the_device():
    with FakeTensorMode():
        net = TokenTransformer(TransformerConfig(5, 3, 4, 2, d_model=32, num_layers=1, num_heads=2, frames=3))
        net.eval().requires_grad_(False)
        cache = KVCache(net.config, 2, torch.device("cpu"), torch.float32)
        tokens, classes = torch.zeros(2, 36, dtype=torch.long), torch.zeros(2, dtype=torch.long)
        rows = torch.arange(9).expand(2, -1)
        assert net.forward_window(tokens, classes, rows, cache).shape == (2, 9, 5)
        with pytest.raises(DataDependentOutputException):
            net.forward_window(tokens, classes, rows, cache).max().item()


def test_an_image_model_has_no_part_that_sees_frames():
    net = TokenTransformer(TransformerConfig(5, 3, 4, 2, d_model=32, num_layers=1, num_heads=2))
    assert net.motion is None
    assert not any("motion" in name for name in net.state_dict())
