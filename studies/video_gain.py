"""Do the couplings gain more on a video than on an image? Passes by method and window on ``video`` and on ``photos``.

Run ``python -m studies.video_gain`` (``--fresh`` forgets an interrupted run); the result is written to
``studies/results/video_gain.json``. Both models are decoded at their null class from the default first drafts.
"""

from __future__ import annotations

from typing import Any

import torch

from reference import decode
from reference.models.image import load_image_model
from scd_analysis.trace.trajectories import mean_interval
from studies.passes import with_ends
from studies.store import Rows, command_line, run_main, save

QUESTION = "speed-up in passes by method and window, on a video model beside an image model"
MODELS = ("photos", "video")
METHODS = ("sjd", "scd-mc", "scd-gs")
WINDOWS = (16, 32, 64)


def held_out_bits(model: str) -> dict[str, float]:
    """Bits a token held out under the null class; of a video also those of its first frame and of the later ones."""
    card = load_image_model(model).card
    bits = {"bits_per_token": float(card["bits_per_token_null_class"])}
    by_frame = card.get("bits_per_token_null_class_by_frame")
    if by_frame is None:
        return bits
    return {**bits, "bits_first_frame": by_frame[0], "bits_later": sum(by_frame[1:]) / len(by_frame[1:])}


def measure(model: str, method: str, window: int, num_sequences: int, seed: int) -> dict[str, Any]:
    """Mean passes of one setting and the gain over one token a pass, with its 95% interval over sequences."""
    target = load_image_model(model)
    out = decode(target, method, window, num_sequences, seed, record=None, progress=False)
    passes = mean_interval(out.nfe.double().numpy())
    return {
        "model": model,
        "method": method,
        "window": window,
        "n": num_sequences,
        "num_tokens": target.num_tokens,
        "nfe_mean": passes.value,
        **with_ends("gain", *(target.num_tokens / nfe for nfe in (passes.value, passes.high, passes.low))),
        **held_out_bits(model),
    }


def main() -> None:
    """Measure every setting, print and store."""
    args = command_line(__doc__, num_sequences=64, seed=0).parse_args()
    torch.set_num_threads(1)
    rows = Rows("video_gain", ("model", "window", "method", "n"), fresh=args.fresh)
    settings = [(model, window, method) for window in WINDOWS for model in MODELS for method in METHODS]
    for model, window, method in settings:
        if not rows.has(model, window, method, args.num_sequences):
            rows.add(measure(model, method, window, args.num_sequences, args.seed))
    save("video_gain", QUESTION, {"seed": args.seed, "num_sequences": args.num_sequences, "rows": rows.rows})


if __name__ == "__main__":
    run_main(main)
