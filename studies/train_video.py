"""Can a small transformer see motion? Trains the shipped model ``video``: pans over the photographs, 8 frames of 32x32.

Run ``python -m studies.train_video`` (needs the extra ``train``); the result is written to
``reference/models/weights``. Codes, split and first weights are those of the shipped model ``photos``, so no training
frame touches a held-out block of 128x128 pixels. The direction is not given: frames one and two show it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from reference.models.image import load_image_model
from reference.models.transformer import TokenTransformer, TransformerConfig
from studies import data
from studies.store import run_main
from studies.train_photos import SCALES, WEIGHTS, encode
from studies.training import Batch, PixelPrior, TrainingConfig, bits_of_tokens, command_line, save_model, train

HELD_OUT_PANS = 16
"""A photograph: every velocity once."""


def pan_tokens(crop: data.Images, velocity: tuple[int, int], codebook: Tensor, rng: np.random.Generator) -> Tensor:
    """Tokens of a pan over a 64x64 crop, from a random start: Long[512], frame after frame."""
    start = (int(rng.choice(data.starts(velocity[0]))), int(rng.choice(data.starts(velocity[1]))))
    return encode(torch.from_numpy(data.to_patches(data.pan(crop, velocity, start))), codebook).flatten()


def training_batches(
    pyramid: list[list[data.Split]], codebook: Tensor, size: int, rng: np.random.Generator
) -> Iterator[Batch]:
    """Random pans: source, scale, crop and velocity uniform, mirrored half of the time."""
    while True:
        classes = rng.integers(len(pyramid[0]), size=size)
        tokens = []
        for source in classes:
            split = pyramid[rng.integers(len(pyramid))][source]
            crop = data.crops(split.image, split.train[rng.integers(len(split.train), size=1)])[0]
            crop = crop[:, ::-1] if rng.random() < 0.5 else crop
            tokens.append(pan_tokens(crop, data.VELOCITIES[rng.integers(len(data.VELOCITIES))], codebook, rng))
        yield torch.stack(tokens), torch.from_numpy(classes)


def held_out_pans(splits: list[data.Split], codebook: Tensor, rng: np.random.Generator) -> Batch:
    """Pans inside the held-out blocks, at native scale, not mirrored; every velocity as often as any other."""
    tokens = []
    for split in splits:
        corners = split.held_out[rng.choice(len(split.held_out), HELD_OUT_PANS, replace=False)]
        for i, crop in enumerate(data.crops(split.image, corners)):
            tokens.append(pan_tokens(crop, data.VELOCITIES[i % len(data.VELOCITIES)], codebook, rng))
    return torch.stack(tokens), torch.arange(len(splits)).repeat_interleave(HELD_OUT_PANS)


def warm_start(net: TokenTransformer, photos: TokenTransformer) -> None:
    """Begin with what ``photos`` knows of one frame; a displacement that explains what was seen is copied."""
    known = photos.state_dict()
    for name in ("embed_row.weight", "embed_col.weight"):  # a frame is half as high and wide as a photograph's crop
        known[name] = known[name][: data.FRAME // data.PATCH]
    left = net.load_state_dict(known, strict=False)
    if left.unexpected_keys or not all(name.startswith("motion.") for name in left.missing_keys):
        raise ValueError(f"weights of photos: {left} when loaded into a network of video")
    motion = net.motion
    assert motion is not None
    nn.init.normal_(motion.embed_frame.weight, std=0.02)
    nn.init.zeros_(motion.mix.weight)
    nn.init.zeros_(motion.copy.bias)
    with torch.no_grad():  # a displacement that explained all of what was seen outweighs none by e^7, any other by e^14
        none = len(motion.copy.bias) - 1
        motion.copy.weight.zero_()[:none, -none:] = 14 * torch.eye(none)
        motion.copy.bias[none] = 7


def _started(
    photos: TokenTransformer, codebook: Tensor, num_classes: int, dropout: float
) -> tuple[TransformerConfig, PixelPrior]:
    """The network of ``video`` with what that of ``photos`` knows."""
    side = data.FRAME // data.PATCH
    config = TransformerConfig(len(codebook), side, side, num_classes=num_classes, frames=data.FRAMES)
    net = TokenTransformer(config, dropout)
    warm_start(net, photos)
    model = PixelPrior(net, (codebook - codebook.mean(0)) / codebook.std())
    nn.init.zeros_(model.into)
    nn.init.zeros_(model.out)
    return config, model


def main() -> None:
    """Train from the weights of ``photos``, write weights and numbers."""
    parser = command_line(__doc__, steps=450, batch=8, dropout=0.0, folder=WEIGHTS)
    parser.add_argument("--every", type=int, default=225, help="steps between reports")
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    torch.manual_seed(args.seed)  # dropout and what is initialised anew
    photos = load_image_model("photos")
    codebook = photos.codebook
    assert codebook is not None
    if photos.card["seed"] != args.seed:
        raise ValueError(f"seed {args.seed}: photos was trained with {photos.card['seed']}, on another split")
    splits = data.photo_splits(args.seed)
    held = held_out_pans(splits, codebook, rng)
    smaller = {s: [data.shrink(split, s) if s < 1 else split for split in splits] for s in set(SCALES)}
    batches = training_batches([smaller[s] for s in SCALES], codebook, args.batch, rng)

    config, model = _started(photos.net, codebook, len(splits), args.dropout)

    def save(averaged: nn.Module, step: int) -> None:
        assert isinstance(averaged, PixelPrior)
        net = averaged.bake()
        bits = bits_of_tokens(net, *held)
        free = bits_of_tokens(net, held[0], torch.full_like(held[1], config.num_classes))
        by_frame, free_by_frame = (x.view(len(x), data.FRAMES, -1).mean((0, 2)) for x in (bits, free))
        card: dict[str, object] = {
            "classes": list(data.PHOTOGRAPHS),
            "pixel_shape": [data.FRAME, data.FRAMES * data.FRAME, 3],
            "patch": data.PATCH,
            "velocities": data.VELOCITIES,
            "bits_per_token_by_frame": by_frame.tolist(),
            "bits_per_token_later_frames": by_frame[1:].mean().item(),
            "bits_per_token_by_class": bits.view(len(splits), -1).mean(1).tolist(),
            "bits_per_token_null_class_by_frame": free_by_frame.tolist(),
        }
        print("by frame " + " ".join(f"{x:.3f}" for x in by_frame.tolist()), flush=True)
        save_model("video", net, held, card, step, args, codebook=codebook)

    training = TrainingConfig(steps=args.steps, muon_lr=0.006, adam_lr=2e-3)  # the start is trained already
    generator = torch.Generator().manual_seed(args.seed)
    train(
        model, batches, held, training, config.num_classes, generator,
        evaluate_every=args.every, stop=args.stop, save=save,
    )  # fmt: skip


if __name__ == "__main__":
    run_main(main)
