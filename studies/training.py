"""One training loop for the shipped transformers: Muon for the blocks, AdamW for the rest, averaged weights.

PyTorch 2.9 or later is needed here for ``torch.optim.Muon``; using the trained models is not.
"""

from __future__ import annotations

import argparse
import copy
import io
import json
import math
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import Tensor, nn

from reference.models.transformer import TokenTransformer
from scd_analysis.common.files import Kind, Output, write_files

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class TrainingConfig:
    """How long and how fast.

    Attributes
    ----------
    steps : int
        Optimiser steps.
    muon_lr, adam_lr : float
        Peak learning rates; both warm up over ``warmup`` steps and fall linearly to zero over the last ``decay``.
    warmup : int
        Steps of warm-up.
    decay : float
        Share of the steps over which the rates fall.
    null_share : float
        Share of training images whose class is replaced by the null class, for guidance.
    weight_decay : float
        Of the Muon parameters.
    average : float
        Decay a step of the exponential average of the weights, which is what is shipped.
    """

    steps: int
    muon_lr: float = 0.02
    adam_lr: float = 3e-3
    warmup: int = 50
    decay: float = 0.6
    null_share: float = 0.1
    weight_decay: float = 0.05
    average: float = 0.998


class PixelPrior(nn.Module):
    """Ties the token tables to the codes' pixels while training; :meth:`bake` folds the tie into the tables."""

    def __init__(self, net: TokenTransformer, features: Tensor) -> None:
        super().__init__()
        self.net = net
        none = torch.zeros(1, features.shape[1])
        self.register_buffer("features", torch.cat([features, none]), persistent=False)
        self.features: Tensor
        width = net.config.d_model
        self.into = nn.Parameter(torch.randn(features.shape[1], width) * 0.3)
        self.out = nn.Parameter(torch.randn(features.shape[1], width) * 0.02)

    def tables(self) -> dict[str, Tensor]:
        """The token tables with the pixel terms added."""
        return {
            "embed_token.weight": self.net.embed_token.weight + self.features @ self.into,
            "head.weight": self.net.head.weight + self.features[:-1] @ self.out,
        }

    def forward(self, tokens: Tensor, classes: Tensor) -> Tensor:
        """Logits, as the network gives them with the tied tables."""
        return torch.func.functional_call(self.net, self.tables(), (tokens, classes))

    @torch.no_grad()
    def bake(self) -> TokenTransformer:
        """A plain network with the same law, its weights rounded to the half precision that is shipped."""
        net = copy.deepcopy(self.net)
        net.load_state_dict({name: x.half().float() for name, x in {**net.state_dict(), **self.tables()}.items()})
        return net.eval()


def _optimisers(model: nn.Module, config: TrainingConfig) -> list[torch.optim.Optimizer]:
    matrices = [p for n, p in model.named_parameters() if ".blocks." in f".{n}" and p.ndim == 2]
    chosen = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    return [
        torch.optim.Muon(matrices, lr=config.muon_lr, momentum=0.95, weight_decay=config.weight_decay),
        torch.optim.AdamW(rest, lr=config.adam_lr, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def rate(step: int, config: TrainingConfig) -> float:
    """Learning-rate factor: warm-up, plateau, linear fall to zero."""
    up = min(1.0, (step + 1) / config.warmup)
    return up * min(1.0, (config.steps - step) / (config.decay * config.steps))


@torch.no_grad()
def bits_of_tokens(model: nn.Module, tokens: Tensor, classes: Tensor, batch: int = 54) -> Tensor:
    """Negative log2-likelihood of every token, Float[n, N]."""
    model.eval()
    bits = []
    for t, c in zip(tokens.split(batch), classes.split(batch), strict=True):
        loss = F.cross_entropy(model(t, c).float().transpose(1, 2), t, reduction="none")
        bits.append(loss / math.log(2))
    model.train()
    return torch.cat(bits)


def bits_per_token(model: nn.Module, tokens: Tensor, classes: Tensor, batch: int = 54) -> Tensor:
    """Mean negative log2-likelihood a token of each image, Float[n]."""
    return bits_of_tokens(model, tokens, classes, batch).mean(1)


def command_line(
    description: str | None, steps: int, batch: int, dropout: float, folder: Path
) -> argparse.ArgumentParser:
    """What the training of a model is told."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--steps", type=int, default=steps, help="length of the schedule")
    parser.add_argument("--stop", type=int, help="step at which to stop, before the rates have fallen")
    parser.add_argument("--batch", type=int, default=batch)
    parser.add_argument("--dropout", type=float, default=dropout)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=folder)
    return parser


def save_model(
    name: str,
    net: TokenTransformer,
    held_out: Batch,
    card: dict[str, object],
    step: int,
    args: argparse.Namespace,
    **tensors: Tensor,
) -> None:
    """Write a model's weights, its card and the images held out, all of them whole or none.

    Parameters
    ----------
    name : str
    net : TokenTransformer
    held_out : (Long[n, N], Long[n])
    card : dict
        What only this model's card says.
    step : int
        Steps of training so far.
    args : argparse.Namespace
        What the training was told; see :func:`command_line`.
    **tensors
        What is kept with the weights.
    """
    config = net.config
    free = bits_per_token(net, held_out[0], torch.full_like(held_out[1], config.num_classes))
    card = {
        "model": name,
        "config": config.to_dict(),
        **card,
        "num_parameters": sum(p.numel() for p in net.parameters()),
        "bits_per_token_held_out": bits_per_token(net, *held_out).mean().item(),
        "bits_per_token_null_class": free.mean().item(),
        "num_held_out_images": len(held_out[0]),
        "seed": args.seed,
        "steps": step,
        "of_steps": args.steps,
        "batch": args.batch,
        "torch": torch.__version__,
        "machine": platform.machine(),
    }
    tensors |= {f"net.{k}": v.half().contiguous() for k, v in net.state_dict().items()}
    archive = io.BytesIO()
    tokens, classes = (part.to(torch.int16).numpy() for part in held_out)
    np.savez(archive, tokens=tokens, classes=classes)
    weights = save(tensors, metadata={"card": json.dumps(card)})
    args.out.mkdir(parents=True, exist_ok=True)
    write_files(
        [
            Output(args.out / f"{name}.safetensors", weights, Kind.WEIGHTS),
            Output(args.out / f"{name}.json", f"{json.dumps(card, indent=1)}\n".encode(), Kind.CARD),
            Output(args.out / f"{name}_held_out.npz", archive.getvalue(), Kind.HELD_OUT),
        ]
    )


def train(
    model: nn.Module,
    batches: Iterator[Batch],
    held_out: Batch,
    config: TrainingConfig,
    null_class: int,
    generator: torch.Generator,
    *,
    evaluate_every: int = 250,
    stop: int | None = None,
    save: Callable[[nn.Module, int], None] | None = None,
) -> tuple[nn.Module, list[dict[str, float]]]:
    """Train ``model`` and return the averaged model with its history.

    Parameters
    ----------
    model : nn.Module
        Maps tokens and classes to logits.
    batches : iterator of (Long[B, N], Long[B])
        Endless.
    held_out : (Long[n, N], Long[n])
        Only for reporting.
    config : TrainingConfig
        Schedule.
    null_class : int
        Index of the null class.
    generator : torch.Generator
        Of the null-class coin.
    evaluate_every : int
        Steps between reports.
    stop : int, optional
        Step to stop at; the end of the schedule by default.
    save : callable, optional
        ``save(averaged_model, step)`` after every report.
    """
    averaged = copy.deepcopy(model)
    optimisers = _optimisers(model, config)
    history: list[dict[str, float]] = []
    start, running = time.time(), float("nan")
    last = config.steps if stop is None else min(stop, config.steps)
    for step in range(last):
        tokens, classes = next(batches)
        dropped = torch.rand(len(classes), generator=generator) < config.null_share
        classes = torch.where(dropped, null_class, classes)
        for optimiser, peak in zip(optimisers, (config.muon_lr, config.adam_lr), strict=True):
            for group in optimiser.param_groups:
                group["lr"] = peak * rate(step, config)
        with torch.autocast(tokens.device.type, torch.bfloat16):
            logits = model(tokens, classes)
        loss = F.cross_entropy(logits.float().transpose(1, 2), tokens)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        with torch.no_grad():
            keep = min(config.average, (step + 1) / (step + 10))
            for slow, fast in zip(averaged.parameters(), model.parameters(), strict=True):
                slow.lerp_(fast, 1 - keep)
        bits = loss.item() / math.log(2)
        running = bits if math.isnan(running) else 0.98 * running + 0.02 * bits
        if (step + 1) % evaluate_every == 0 or step + 1 == last:
            held = bits_per_token(averaged, *held_out).mean().item()
            entry = {"step": step + 1, "train_bits": running, "held_out_bits": held, "seconds": time.time() - start}
            history.append(entry)
            print(" ".join(f"{k} {v:.4g}" for k, v in entry.items()), flush=True)
            if save is not None:
                save(averaged, step + 1)
    return averaged, history
