"""How well can a 0.8 M-parameter transformer model 8x8 digits? Trains the shipped model ``digits``.

Run ``python -m studies.train_digits`` (needs the extra ``train``). A fifth of the images is held out.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from reference.models.transformer import TokenTransformer, TransformerConfig
from studies import data
from studies.store import run_main
from studies.train_photos import WEIGHTS
from studies.training import Batch, PixelPrior, TrainingConfig, command_line, save_model, train

NUM_LEVELS = 17


def training_batches(tokens: np.ndarray, labels: np.ndarray, size: int, rng: np.random.Generator) -> Iterator[Batch]:
    """Images drawn uniformly, half of them moved by up to one pixel, as the scans are."""
    while True:
        index = rng.integers(len(tokens), size=size)
        images = tokens[index].reshape(size, 8, 8)
        for i in np.flatnonzero(rng.random(size) < 0.5):
            images[i] = _shifted(images[i], *rng.integers(-1, 2, size=2))
        yield torch.from_numpy(images.reshape(size, 64).copy()), torch.from_numpy(labels[index])


def _shifted(image: np.ndarray, down: int, right: int) -> np.ndarray:
    padded = np.pad(image, 1)
    return padded[1 - down : 9 - down, 1 - right : 9 - right]


def main() -> None:
    """Train, then write weights and numbers."""
    args = command_line(__doc__, steps=600, batch=32, dropout=0.3, folder=WEIGHTS).parse_args()
    rng = np.random.default_rng(args.seed)
    torch.manual_seed(args.seed)  # parameter initialisation and dropout
    tokens, labels, held_tokens, held_labels = data.load_digits(args.seed)
    held = (torch.from_numpy(held_tokens), torch.from_numpy(held_labels))
    config = TransformerConfig(NUM_LEVELS, 8, 8, num_classes=10, d_model=128, num_layers=4, num_heads=4)
    level = torch.linspace(-1, 1, NUM_LEVELS)
    features = torch.stack([level, level.square(), (level <= -1).float(), (level >= 1).float()], dim=1)
    model = PixelPrior(TokenTransformer(config, args.dropout), features)
    nn.init.zeros_(model.net.head.weight)

    def save(averaged: nn.Module, step: int) -> None:
        assert isinstance(averaged, PixelPrior)
        card: dict[str, object] = {"classes": [str(c) for c in range(10)], "pixel_shape": [8, 8, 1]}
        save_model("digits", averaged.bake(), held, card, step, args)

    training = TrainingConfig(steps=args.steps, null_share=0.2)
    generator = torch.Generator().manual_seed(args.seed)
    batches = training_batches(tokens, labels, args.batch, rng)
    train(model, batches, held, training, config.num_classes, generator, stop=args.stop, save=save)


if __name__ == "__main__":
    run_main(main)
