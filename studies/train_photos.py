"""How well can a 3 M-parameter transformer model crops of twelve photographs? Trains the shipped model ``photos``.

Run ``python -m studies.train_photos`` (needs the extra ``train``); the result is written to
``reference/models/weights``. Held-out regions are whole blocks of 128x128 pixels that no training crop touches.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from reference.models.transformer import TokenTransformer, TransformerConfig
from studies import data
from studies.store import run_main
from studies.training import Batch, PixelPrior, TrainingConfig, bits_per_token, command_line, save_model, train

NUM_CODES = 1024
PATCHES_PER_SOURCE = 24_000
HELD_OUT_CROPS = 24
SCALES = (1.0, 1.0, 1.0, 0.9, 0.8, 0.7)
"""Training crops are drawn from these scales of each photograph with equal probability."""

CONTRAST = 0.08
"""Half of the training crops are brightened and darkened by up to so much, about their mean."""

WEIGHTS = Path(__file__).parents[1] / "reference" / "models" / "weights"


def fit_codebook(splits: list[data.Split], rng: np.random.Generator) -> Tensor:
    """k-means on training patches, every photograph equally represented: Float[1024, 48]."""
    from sklearn.cluster import MiniBatchKMeans

    patches = []
    for split in splits:
        corners = split.train[rng.choice(len(split.train), PATCHES_PER_SOURCE // 256, replace=True)]
        patches.append(data.to_patches(data.crops(split.image, corners)).reshape(-1, 48))
    kmeans = MiniBatchKMeans(
        NUM_CODES, batch_size=8192, n_init=1, max_iter=60, random_state=int(rng.integers(2**31)), reassignment_ratio=0.0
    )
    kmeans.fit(np.concatenate(patches))
    centres = kmeans.cluster_centers_.astype(np.float32)
    return torch.from_numpy(centres[np.argsort(centres.mean(1))])


def encode(patches: Tensor, codebook: Tensor) -> Tensor:
    """Index of the nearest code of every patch: Float[..., 48] -> Long[...]."""
    scores = patches @ codebook.T - 0.5 * codebook.square().sum(1)
    return scores.argmax(-1)


def training_batches(
    pyramid: list[list[data.Split]], codebook: Tensor, size: int, rng: np.random.Generator
) -> Iterator[Batch]:
    """Random crops: source uniform, scale from :data:`SCALES`, corner uniform, mirrored half of the time."""
    while True:
        classes = rng.integers(len(pyramid[0]), size=size)
        images = []
        for source in classes:
            split = pyramid[rng.integers(len(pyramid))][source]
            crop = data.crops(split.image, split.train[rng.integers(len(split.train), size=1)])[0]
            crop = crop[:, ::-1] if rng.random() < 0.5 else crop
            images.append(_recast(crop, rng) if rng.random() < 0.5 else crop)
        patches = torch.from_numpy(data.to_patches(np.stack(images)))
        yield encode(patches, codebook), torch.from_numpy(classes)


def _recast(crop: data.Images, rng: np.random.Generator) -> data.Images:
    """Change contrast and brightness a little."""
    scale, shift = 1 + rng.uniform(-CONTRAST, CONTRAST), rng.uniform(-CONTRAST, CONTRAST) / 2
    mean = crop.mean()
    return np.clip(mean + scale * (crop - mean) + shift, 0, 1).astype(np.float32)


def held_out_crops(splits: list[data.Split], per_source: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Patches (Float[n, 256, 48]) and classes of crops from the held-out blocks, at native scale, not mirrored."""
    images = [data.crops(s.image, s.held_out[rng.choice(len(s.held_out), per_source, replace=False)]) for s in splits]
    patches = torch.from_numpy(data.to_patches(np.concatenate(images)))
    return patches, torch.arange(len(splits)).repeat_interleave(per_source)


def psnr(patches: Tensor, codebook: Tensor) -> float:
    """Peak signal-to-noise ratio of the codebook in dB, signal range 1."""
    error = (patches - codebook[encode(patches, codebook)]).square().mean()
    return float(-10 * error.log10())


def main() -> None:
    """Fit the codebook, train the transformer, write weights and numbers."""
    args = command_line(__doc__, steps=2000, batch=16, dropout=0.1, folder=WEIGHTS).parse_args()
    rng = np.random.default_rng(args.seed)
    torch.manual_seed(args.seed)  # parameter initialisation and dropout
    splits = data.photo_splits(args.seed)
    codebook = fit_codebook(splits, rng)
    held_patches, held_classes = held_out_crops(splits, HELD_OUT_CROPS, rng)
    held = (encode(held_patches, codebook), held_classes)
    print(f"codebook {psnr(held_patches, codebook):.2f} dB held out", flush=True)
    smaller = {s: [data.shrink(split, s) if s < 1 else split for split in splits] for s in set(SCALES)}
    batches = training_batches([smaller[s] for s in SCALES], codebook, args.batch, rng)

    config = TransformerConfig(NUM_CODES, 16, 16, num_classes=len(splits))
    features = (codebook - codebook.mean(0)) / codebook.std()
    model = PixelPrior(TokenTransformer(config, args.dropout), features)
    nn.init.normal_(model.net.embed_token.weight, std=0.5)
    nn.init.zeros_(model.net.head.weight)
    training = TrainingConfig(steps=args.steps)

    def save(averaged: nn.Module, step: int) -> None:
        assert isinstance(averaged, PixelPrior)
        net = averaged.bake()
        each = bits_per_token(net, *held)
        card: dict[str, object] = {
            "classes": list(data.PHOTOGRAPHS),
            "pixel_shape": [64, 64, 3],
            "patch": data.PATCH,
            "bits_per_token_by_class": each.view(len(splits), -1).mean(1).tolist(),
            "codebook_psnr_db": psnr(held_patches, codebook),
        }
        save_model("photos", net, held, card, step, args, codebook=codebook)

    generator = torch.Generator().manual_seed(args.seed)
    train(model, batches, held, training, config.num_classes, generator, stop=args.stop, save=save)


if __name__ == "__main__":
    run_main(main)
