"""Do the published speed-ups hold on the published models? Lumina-mGPT 7B 768, Janus-Pro 7B, Emu3; every method.

With weights and a GPU, ``python -m studies.large_models janus-pro`` is all (``--weights`` names a folder instead of the
hub). What is done is kept: a trace on disk for each image, so that a stopped run goes on where it was. The result is
written to ``studies/results/large_models.json`` and printed beside the published numbers. ``--tiny`` runs everything on
random networks of the real classes, which says that it runs and nothing about speed.

The second question is how far a window of drafts in one pass differs from the same tokens one at a time, in total
variation a token: on real hardware no decoder is closer to its model than that. Here it is also measured on a Llama of
width 512 and eight layers, since rounding adds up with both.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reference import HuggingFaceModel, decode, get_method, load_hf
from reference.models.base import Session, open_session
from reference.models.hf_networks import transformers
from scd_analysis.errors import InputError, TraceError
from scd_analysis.laws.kernels import total_variation
from scd_analysis.trace import open_trace
from scd_analysis.trace.place import remove_trace
from scd_analysis.trace.trajectories import mean_interval
from studies import store, tiny_networks
from studies.published import METHODS, PROMPTS, SETTINGS, WINDOWS, Setting

KEYS = ("model", "variant", "method", "window", "prompt")
NUMERIC_KEYS = ("model", "dtype", "window")
TINY = {"lumina-mgpt": "chameleon", "janus-pro": "janus", "emu3": "emu3"}


class Timed:
    """A model whose clock starts when the prompt has been read."""

    def __init__(self, model: HuggingFaceModel) -> None:
        self.model, self.began = model, 0.0
        self.vocab_size, self.num_tokens, self.grid = model.vocab_size, model.num_tokens, model.grid
        self.name, self.device, self.next_token_probs = model.name, model.device, model.next_token_probs

    def open_session(self, num_sequences: int, device: torch.device) -> Session:
        """Start a batch, and the clock."""
        session = self.model.open_session(num_sequences, device)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.began = time.perf_counter()
        return session


@dataclass(frozen=True)
class Run:
    """A loaded model with all that its runs share."""

    setting: Setting
    model: HuggingFaceModel
    prompts: list[tuple[list[int], list[int] | None]]
    initial: str
    seed: int
    folder: Path

    @property
    def variant(self) -> str:
        """What else a row depends on."""
        processors = self.model.processors
        return (
            f"guidance={self.model.guidance:g} temperature={processors.temperature:g} top_k={processors.top_k} "
            f"initial={self.initial} seed={self.seed} dtype={_name(self.model.dtype)}"
        )


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def load_run(setting: Setting, captions: Sequence[str], args: argparse.Namespace) -> Run:
    """Load the network of a setting, or a tiny one."""
    sizes: dict[str, Any] = {"layout": setting.layout, "height": setting.height, "width": setting.width}
    processors: dict[str, Any] = {key: getattr(setting, key) for key in ("guidance", "temperature", "top_k")}
    if args.tiny:
        source: Any = tiny_networks.NETWORKS[TINY[setting.name]]()
        negative = [0, 8, 3] if setting.negative is not None else None
        prompts = [([0, 5 + k % 30, 7, 3], negative) for k in range(len(captions))]
        options: dict[str, Any] = {}
    else:
        source = args.weights or setting.weights
        prompts = [_encode(setting, source, caption) for caption in captions]
        options = {
            "architecture": setting.architecture,
            "dtype": getattr(torch, args.dtype),
            "device_map": args.device_map,
        }
    model = load_hf(source, prompts[0][0], negative_prompt=prompts[0][1], **sizes, **processors, **options)
    return Run(setting, model, prompts, args.initial, args.seed, args.out / setting.name)


def _encode(setting: Setting, source: str, caption: str) -> tuple[list[int], list[int] | None]:
    try:
        tokenizer = transformers().AutoTokenizer.from_pretrained(source)
    except (OSError, ValueError) as error:
        raise InputError(f"weights = {source!r}: {str(error).splitlines()[0]}") from None

    def ids(template: str) -> list[int]:
        text = template.format(bos=tokenizer.bos_token, prompt=caption)
        return [int(i) for i in tokenizer(text, add_special_tokens=False)["input_ids"]]

    return ids(setting.template), None if setting.negative is None else ids(setting.negative)


def measure(run: Run, method: str, window: int | None, prompt: int) -> dict[str, object]:
    """Draw one image, its trace on disk: passes and seconds."""
    path = run.folder / (method if window is None else f"{method}-L{window}") / f"prompt-{prompt:03d}.zarr"
    remove_trace(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    model = Timed(run.model.given(*run.prompts[prompt]))
    chosen = get_method(method)
    if chosen.drafting is not None:
        chosen = replace(chosen, initial=run.initial)
    out = decode(model, chosen, window or 1, 1, run.seed + prompt, record="scalars", out_path=path)
    seconds, nfe = time.perf_counter() - model.began, int(out.nfe[0])
    row = {"model": run.setting.name, "variant": run.variant, "method": method, "window": window, "prompt": prompt}
    return {**row, "tokens": model.num_tokens, "nfe": nfe, "seconds": seconds, "trace": str(path)}


def is_complete(path: str) -> bool:
    """Whether a trace is there, and whole."""
    try:
        return bool(open_trace(path).attrs["complete"])
    except TraceError:
        return False


def one_by_one(model: HuggingFaceModel, length: int, seed: int) -> tuple[Tensor, Tensor]:
    """A sequence drawn one token a pass, and its laws: Long[1, N] (zeros from ``length`` on), Float[1, length, V]."""
    session, generator = open_session(model, 1, model.device), torch.Generator().manual_seed(seed)
    tokens = torch.zeros(1, model.num_tokens, dtype=torch.long, device=model.device)
    laws = []
    for j in range(length):
        laws.append(session.laws(tokens, torch.tensor([[j]], device=model.device), j))
        tokens[0, j] = torch.multinomial(laws[-1][0, 0].cpu(), 1, generator=generator)[0]
    return tokens, torch.cat(laws, dim=1)


def in_windows(model: HuggingFaceModel, tokens: Tensor, window: int, length: int) -> Tensor:
    """Laws of the same sequence, a window and its bonus a pass, every draft right: Float[1, length, V]."""
    session, laws = open_session(model, 1, model.device), []
    for base in range(0, length, window + 1):
        rows = (base + torch.arange(window + 1, device=tokens.device))[None].clamp(max=model.num_tokens - 1)
        laws.append(session.laws(tokens, rows, min(base + window + 1, model.num_tokens) - 1))
    return torch.cat(laws, dim=1)[:, :length]


def numerics(
    model: HuggingFaceModel, windows: Sequence[int], num_tokens: int, seed: int
) -> Iterator[dict[str, object]]:
    """Total variation a token between one-token passes and windows, and between one-token passes and a full pass."""
    length = min(num_tokens, model.num_tokens)
    tokens, one = one_by_one(model, length, seed)
    full = model.next_token_probs(tokens[:, : length - 1])
    for window in windows:
        row: dict[str, object] = {"dtype": _name(model.dtype), "window": window, "tokens": length}
        for name, laws in (("window", in_windows(model, tokens, window, length)), ("full", full)):
            apart = total_variation(laws.double(), one.double())
            row |= {f"tv_{name}_mean": float(apart.mean()), f"tv_{name}_max": float(apart.max())}
        yield row


def latest(rows: Sequence[dict[str, Any]]) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The last row of each key: one whose trace was lost has been made again."""
    return {tuple(row[key] for key in KEYS): row for row in rows}


def summarise(rows: Sequence[dict[str, Any]]) -> list[dict[str, object]]:
    """Means over prompts, with 95% intervals where there are several, beside what is published."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for key, row in latest(rows).items():
        groups.setdefault(key[:-1], []).append(row)
    table = []
    for (name, variant, method, window), group in groups.items():
        passes = mean_interval([row["nfe"] for row in group])
        known = {(p.method, p.window): p for p in SETTINGS[name].published}.get((method, window))
        bounds = [value if np.isfinite(value) else None for value in (passes.low, passes.high)]
        table.append(
            {
                "model": name,
                "variant": variant,
                "method": method,
                "window": window,
                "images": len(group),
                "mean_nfe": passes.value,
                "mean_nfe_low": bounds[0],
                "mean_nfe_high": bounds[1],
                "speedup": group[0]["tokens"] / passes.value,
                "mean_seconds": float(np.mean([row["seconds"] for row in group])),
                "published_nfe": known.nfe if known else None,
                "published_speedup": known.speedup if known else None,
                "published_seconds": known.seconds if known else None,
            }
        )
    return table


def print_tables(table: Sequence[dict[str, Any]], numeric: Sequence[dict[str, Any]], *, tiny: bool) -> None:
    """Ours beside the published."""
    if tiny:
        print("tiny random networks: the columns cannot be compared, they only show what a run prints")
    widths = (4, 8, 8, 9, 8, 9)
    heads = ("L", "NFE", "speed-up", "published", "seconds", "published")
    print(f"{'model':12} {'method':7}", *(f"{head:>{width}}" for head, width in zip(heads, widths, strict=True)))
    for row in table:
        cells = [row["window"], row["mean_nfe"], row["speedup"], row["published_speedup"]]
        cells += [row["mean_seconds"], row["published_seconds"]]
        shown = ["-" if c is None else f"{c:g}" if isinstance(c, int) else f"{c:.2f}" for c in cells]
        line = " ".join(f"{cell:>{width}}" for cell, width in zip(shown, widths, strict=True))
        print(f"{row['model']:12} {row['method']:7} {line}")
    print("\nTV a token against one-token passes")
    print(f"{'model':12} {'dtype':9} {'L':>4} {'window mean':>12} {'max':>9} {'full mean':>12} {'max':>9}")
    for row in numeric:
        values = [row[f"tv_{what}_{which}"] for what in ("window", "full") for which in ("mean", "max")]
        line = " ".join(f"{v:>{w}.2e}" for v, w in zip(values, (12, 9, 12, 9), strict=True))
        print(f"{row['model']:12} {row['dtype']:9} {row['window']:>4} {line}")


def run_setting(run: Run, args: argparse.Namespace, rows: store.Rows, numeric: store.Rows) -> None:
    """Everything of one model that is not there yet."""
    plan: list[tuple[str, int | None]] = [
        (method, window) for method in args.methods for window in ((None,) if method == "ar" else args.windows)
    ]
    for prompt in range(len(run.prompts)):
        for method, window in plan:
            done = latest(rows.rows).get((run.setting.name, run.variant, method, window, prompt))
            if done is None or not is_complete(done["trace"]):
                rows.add(measure(run, method, window, prompt))
    if args.tiny:
        measure_precision(run.setting.name, run.model, args, numeric)
    else:
        _precision(run.setting.name, run.model, args, numeric)


def measure_precision(name: str, model: HuggingFaceModel, args: argparse.Namespace, numeric: store.Rows) -> None:
    """Both precisions of a tiny network."""
    for dtype in (torch.float32, torch.bfloat16):
        model.network.to(dtype)
        _precision(name, model, args, numeric)


def _precision(name: str, model: HuggingFaceModel, args: argparse.Namespace, numeric: store.Rows) -> None:
    missing = [window for window in args.windows if not numeric.has(name, _name(model.dtype), window)]
    for row in numerics(model, missing, args.numeric_tokens, args.seed) if missing else ():
        numeric.add({"model": name, **row})


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"{', '.join(SETTINGS)}; all by default")
    parser.add_argument("--tiny", action="store_true", help="random networks of the real classes, on the CPU")
    parser.add_argument("--weights", help="folder or name on the hub, for one model")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--windows", nargs="+", type=int, help="16 32 64 128 by default")
    parser.add_argument("--initial", default="uniform", choices=("uniform", "left", "upper"), help="first drafts")
    parser.add_argument("--prompts", type=Path, help="text file, a caption a line")
    parser.add_argument("--num-prompts", type=int, default=4)
    parser.add_argument("--guidance", type=float, help="instead of the model's own")
    parser.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float16", "float32"))
    parser.add_argument("--device-map", default="cuda")
    parser.add_argument("--no-wide", dest="wide", action="store_false", help="leave out the wider network of --tiny")
    parser.add_argument("--numeric-tokens", type=int, default=256, help="tokens over which precision is measured")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=None, help="traces; build/large_models by default")
    parser.add_argument("--results", type=Path, default=store.FOLDER)
    parser.add_argument("--fresh", action="store_true", help="forget what is done")
    args = parser.parse_args(argv)
    unknown = [name for name in args.models if name not in SETTINGS]
    if unknown:
        parser.error(f"{unknown[0]!r} is not known; known: {', '.join(SETTINGS)}")
    if args.weights and len(args.models) != 1:
        parser.error("--weights goes with one model")
    args.models = args.models or list(SETTINGS)
    args.windows = args.windows or ([4, 8, 16] if args.tiny else list(WINDOWS))
    args.out = args.out or Path("build") / ("large_models_tiny" if args.tiny else "large_models")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Run what can be run; exit status 2 if nothing can."""
    args = parse(argv)
    if not args.tiny and not torch.cuda.is_available():
        print("no CUDA device: large models need one; --tiny runs everything on tiny networks", file=sys.stderr)
        return 2
    name = "large_models_tiny" if args.tiny else "large_models"
    captions = args.prompts.read_text().splitlines() if args.prompts else list(PROMPTS)
    captions = captions[: args.num_prompts]
    rows = store.Rows(name, KEYS, fresh=args.fresh, folder=args.out)
    numeric = store.Rows(f"{name}_numerics", NUMERIC_KEYS, fresh=args.fresh, folder=args.out)
    ran = []
    for setting in (SETTINGS[model] for model in args.models):
        chosen = setting if args.guidance is None else replace(setting, guidance=args.guidance)
        chosen = replace(chosen, height=8, width=8, top_k=12) if args.tiny else chosen
        try:
            run = load_run(chosen, captions, args)
        except InputError as error:
            print(f"{setting.name}: {error}", file=sys.stderr)
            continue
        run_setting(run, args, rows, numeric)
        ran.append(setting.name)
    if args.tiny and args.wide:
        wide = load_hf(tiny_networks.wide_llama(), [0, 7, 5], num_tokens=96)
        measure_precision("wide-llama", wide, args, numeric)
    if not ran:
        return 2
    table = summarise([row for row in rows.rows if row["model"] in ran])
    precise = [row for row in numeric.rows if row["model"] in (*ran, "wide-llama")]
    print_tables(table, precise, tiny=args.tiny)
    content = {
        "command": store.command("large_models", sys.argv[1:] if argv is None else argv),
        "device": "cpu" if args.tiny else torch.cuda.get_device_name(),
        "transformers": version("transformers"),
        "networks": "tiny random networks of the real classes" if args.tiny else [SETTINGS[n].weights for n in ran],
        "prompts": [] if args.tiny else captions,  # tiny networks know no words
        "numerics": precise,
        "rows": table,
    }
    store.save(name, "do the published speed-ups hold on the published models?", content, args.results)
    return 0


if __name__ == "__main__":
    store.run_main(main)
