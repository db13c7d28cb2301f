"""The real images behind the shipped models, all of which lie inside PyPI packages.

Photographs come from the scikit-image and scikit-learn wheels. Only pictures that are CC0 or in the public domain
(scikit-image) or CC-BY 2.0 with attribution (scikit-learn) are used; see ``reference/models/weights/*.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.float32]

PHOTOGRAPHS: dict[str, tuple[str, str, str]] = {
    "astronaut": ("skimage", "astronaut.png", "public domain (NASA)"),
    "camera": ("skimage", "camera.png", "CC0 (Lav Varshney)"),
    "chelsea": ("skimage", "chelsea.png", "CC0 (Stefan van der Walt)"),
    "coffee": ("skimage", "coffee.png", "CC0 (Rachel Michetti)"),
    "rocket": ("skimage", "rocket.jpg", "public domain (SpaceX)"),
    "hubble": ("skimage", "hubble_deep_field.jpg", "public domain (NASA)"),
    "retina": ("skimage", "retina.jpg", "CC0 (Mikael Haggstrom)"),
    "brick": ("skimage", "brick.png", "CC0 (CC0Textures)"),
    "gravel": ("skimage", "gravel.png", "CC0 (CC0Textures)"),
    "grass": ("skimage", "grass.png", "CC0 (linolafett)"),
    "china": ("sklearn", "china.jpg", "CC-BY 2.0 (danielbuechele)"),
    "flower": ("sklearn", "flower.jpg", "CC-BY 2.0 (vultilion)"),
}
"""Name -> (package, file, licence). The order is the class index of the model ``photos``."""

CROP = 64
PATCH = 4
FRAME, FRAMES = 32, 8
"""Side of a frame of a pan in pixels, and how many there are; the fastest pan covers 60 pixels of a crop."""

_DIRECTIONS = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if down or right]
VELOCITIES = tuple((speed * down, speed * right) for speed in (2, 4) for down, right in _DIRECTIONS)
"""Pixels a frame, (down, right): eight directions at half a patch and at a whole patch a frame."""

BLOCK = 128
"""Side of a held-out region in pixels: twice a crop, so that held-out crops vary."""


def load_photograph(name: str) -> Images:
    """One photograph as Float32[H, W, 3] in [0, 1]; a grey one has equal channels.

    Raises
    ------
    ValueError
        If ``name`` is not one of :data:`PHOTOGRAPHS`.
    """
    if name not in PHOTOGRAPHS:
        raise ValueError(f"name={name!r} is not a photograph; known: {', '.join(PHOTOGRAPHS)}")
    package, file, _ = PHOTOGRAPHS[name]
    from skimage.io import imread

    if package == "skimage":
        import skimage

        folder = Path(skimage.__file__).parent / "data"
    else:
        import sklearn

        folder = Path(sklearn.__file__).parent / "datasets" / "images"
    image: Images = np.asarray(imread(folder / file), dtype=np.float32) / np.float32(255)
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=-1)
    return image[..., :3]


@dataclass(frozen=True)
class Split:
    """A photograph with the corners of its admissible crops.

    Attributes
    ----------
    image : ndarray
        Float32[H, W, 3].
    train, held_out : ndarray
        Int[n, 2], upper left corners of 64x64 crops; no training crop shares a pixel with a held-out block.
    """

    image: Images
    train: npt.NDArray[np.int64]
    held_out: npt.NDArray[np.int64]


def split_photograph(image: Images, rng: np.random.Generator, share: float = 0.12) -> Split:
    """Hold out whole blocks of 128x128 pixels, about ``share`` of the picture, at least one."""
    height, width, _ = image.shape
    blocks = [(r, c) for r in range(0, height - BLOCK + 1, BLOCK) for c in range(0, width - BLOCK + 1, BLOCK)]
    chosen = rng.choice(len(blocks), size=max(1, round(share * len(blocks))), replace=False)
    taken = np.zeros((height, width), dtype=bool)
    held: list[npt.NDArray[np.int64]] = []
    for index in chosen:
        r, c = blocks[index]
        taken[r : r + BLOCK, c : c + BLOCK] = True
        rows, cols = np.meshgrid(np.arange(r, r + BLOCK - CROP + 1), np.arange(c, c + BLOCK - CROP + 1), indexing="ij")
        held.append(np.stack([rows.ravel(), cols.ravel()], axis=-1))
    area = np.pad(taken.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    inside = area[CROP:, CROP:] - area[:-CROP, CROP:] - area[CROP:, :-CROP] + area[:-CROP, :-CROP]
    return Split(image, np.argwhere(inside == 0), np.concatenate(held))


def shrink(split: Split, factor: float) -> Split:
    """The same picture at a smaller scale, with the training corners that stay clear of the held-out blocks."""
    from skimage.transform import resize

    height, width, _ = split.image.shape
    small = resize(split.image, (round(height * factor), round(width * factor)), anti_aliasing=True).astype(np.float32)
    taken = np.zeros((height, width), dtype=bool)
    for r, c in split.held_out:
        taken[r : r + CROP, c : c + CROP] = True
    side = int(np.ceil(CROP / factor)) + 8  # pixels of the original that a small crop can see, filter included
    area = np.pad(taken.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    corners = []
    for r in range(small.shape[0] - CROP + 1):
        for c in range(small.shape[1] - CROP + 1):
            r0, c0 = max(0, int(r / factor) - 4), max(0, int(c / factor) - 4)
            r1, c1 = min(height, r0 + side), min(width, c0 + side)
            if area[r1, c1] - area[r0, c1] - area[r1, c0] + area[r0, c0] == 0:
                corners.append((r, c))
    return Split(small, np.asarray(corners, dtype=np.int64), np.empty((0, 2), dtype=np.int64))


def photo_splits(seed: int) -> list[Split]:
    """Every photograph of :data:`PHOTOGRAPHS`, split by a generator seeded once."""
    rng = np.random.default_rng(seed)
    return [split_photograph(load_photograph(name), rng) for name in PHOTOGRAPHS]


def crops(image: Images, corners: npt.NDArray[np.int64]) -> Images:
    """Cut 64x64 crops: Float32[n, 64, 64, 3]."""
    return np.stack([image[r : r + CROP, c : c + CROP] for r, c in corners])


def pan(crop: Images, velocity: tuple[int, int], start: tuple[int, int]) -> Images:
    """Frames of a camera that moves over a crop at ``velocity`` pixels a frame (down, right): Float32[8, 32, 32, 3]."""
    corners = [(start[0] + t * velocity[0], start[1] + t * velocity[1]) for t in range(FRAMES)]
    return np.stack([crop[r : r + FRAME, c : c + FRAME] for r, c in corners])


def starts(velocity: int) -> range:
    """Coordinates at which a pan can start along one axis without leaving a crop."""
    travel = velocity * (FRAMES - 1)
    return range(max(0, -travel), CROP - FRAME - max(0, travel) + 1)


def to_patches(images: Images) -> Images:
    """Float32[n, S, S, 3] -> Float32[n, (S / 4)^2, 48], patches in raster order."""
    n, side, _, channels = images.shape
    grid = side // PATCH
    patches = images.reshape(n, grid, PATCH, grid, PATCH, channels).transpose(0, 1, 3, 2, 4, 5)
    return patches.reshape(n, grid * grid, PATCH * PATCH * channels)


def load_digits(seed: int, share: float = 0.2) -> tuple[npt.NDArray[np.int64], ...]:
    """scikit-learn's digits as tokens: train tokens, train labels, held-out tokens, held-out labels."""
    from sklearn.datasets import load_digits as load

    tokens, labels = load(return_X_y=True)
    tokens, labels = tokens.astype(np.int64), labels.astype(np.int64)
    order = np.random.default_rng(seed).permutation(len(tokens))
    cut = round(share * len(tokens))
    return tokens[order[cut:]], labels[order[cut:]], tokens[order[:cut]], labels[order[:cut]]
