"""Does one see the motion? Draws the sample sheet of the shipped model ``video``: real pans beside samples.

Run ``python -m studies.video_samples``; the sheet is written to ``reference/models/weights/video_samples.png``. A row a
photograph: on the left a held-out pan, on the right the first sample of seed 0 given the photograph, unguided and at
temperature 1, each as its eight frames from left to right.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from reference import decode
from reference.models.image import ImageModel, load_image_model
from scd_analysis.common.files import MADE_BY, Kind, write_file
from studies.store import run_main
from studies.train_photos import WEIGHTS

SCALE, GAP = 2, 4


def strip(video: ImageModel, tokens: Tensor) -> npt.NDArray[np.uint8]:
    """Frames of one sequence (Long[N]) from left to right with white gaps between: UInt8[H, W, 3]."""
    pixels = video.to_pixels(tokens[None])[0]
    frames = (pixels * 255).round().byte().chunk(video.net.config.frames, dim=1)
    large = [f.repeat_interleave(SCALE, 0).repeat_interleave(SCALE, 1).numpy() for f in frames]
    gap = np.full((large[0].shape[0], GAP, 3), 255, dtype=np.uint8)
    return np.concatenate([part for frame in large for part in (frame, gap)][:-1], axis=1)


def sheet(rows: list[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]]) -> npt.NDArray[np.uint8]:
    """Rows of two strips, set apart: UInt8[H, W, 3]."""
    lines = []
    for left, right in rows:
        middle = np.full((len(left), 6 * GAP, 3), 255, dtype=np.uint8)
        line = np.concatenate([left, middle, right], axis=1)
        lines += [line, np.full((GAP, line.shape[1], 3), 255, dtype=np.uint8)]
    return np.concatenate(lines[:-1])


def main() -> None:
    """Draw one sample a photograph and write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=WEIGHTS / "video_samples.png")
    args = parser.parse_args()
    torch.set_num_threads(1)
    video = load_image_model("video")
    held_out = torch.from_numpy(np.load(WEIGHTS / "video_held_out.npz")["tokens"].astype(np.int64))
    rows = []
    for index, name in enumerate(video.card["classes"]):
        out = decode(video.given(name), "scd-mc", 32, 1, args.seed, record=None, progress=False)
        real = held_out[16 * index + (5 * index) % 16]  # another velocity a row
        rows.append((strip(video, real), strip(video, out.tokens[0])))
        print(f"{name:10} {int(out.nfe[0])} passes", flush=True)
    file, about = io.BytesIO(), PngInfo()
    about.add_text("Software", MADE_BY)
    Image.fromarray(sheet(rows)).save(file, "png", optimize=True, pnginfo=about)
    write_file(args.out, file.getvalue(), Kind.PNG, "out")


if __name__ == "__main__":
    run_main(main)
