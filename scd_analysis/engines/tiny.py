"""A tiny random Llama, and drafts that are near to it and far from it, in the formats that engines load.

Engines take any vocabulary, but an audit of tokens sees most where there are few of them with laws far from uniform. So
the words are few, and the last layer is scaled up. The target is its own best draft: nothing is then rejected, and what
an engine shares between drafting and verifying shows by itself.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from scd_analysis.engines.tiny_gguf import write_gguf
from scd_analysis.engines.tiny_hf import write_hf
from scd_analysis.engines.tiny_onnx import write_onnx
from scd_analysis.engines.tiny_openvino import write_openvino
from scd_analysis.engines.tiny_shape import SPECIAL, Shape, Weights
from scd_analysis.errors import InputError
from scd_analysis.validate import check_at_least, check_integer, check_known

FORMATS: dict[str, Callable[[Path, Shape, Weights], None]] = {
    "hf": write_hf,
    "gguf": write_gguf,
    "openvino": write_openvino,
    "onnx": write_onnx,
}
"""How a model is written: a folder of transformers, a file of llama.cpp, a folder of OpenVINO, of ONNX Runtime."""

NEAR = 0.15
"""Share of noise in the weights of the near draft."""

ROLES = ("target", "near", "far")

SHARPNESS = 4.0
"""Standard deviation of the logits, about."""


@dataclass(frozen=True)
class Written:
    """What :func:`tiny_model` wrote.

    Attributes
    ----------
    format, role : str
        The role is ``target``, ``near`` or ``far``.
    path : Path
    """

    format: str
    role: str
    path: Path


def tiny_model(
    folder: str | Path, formats: Iterable[str] = ("hf",), seed: int = 0, vocab_size: int = 32
) -> tuple[Written, ...]:
    """Write a random target and two drafts, ``near`` and ``far``, with the same vocabulary.

    Parameters
    ----------
    folder : path
        A new one; it is written whole or not at all.
    formats : iterable of str
        Of ``"hf"``, and of ``"gguf"``, ``"openvino"`` and ``"onnx"``, which take the extras ``engines``, ``openvino``
        and ``onnx-genai``.
    seed : int
        Of all weights.
    vocab_size : int
        V, with three special tokens: unknown, beginning and end.

    Returns
    -------
    tuple of Written
        One for each format and role.

    Raises
    ------
    InputError
        If the folder is there already, a format is not known, or what writes it is not installed.
    """
    place, wanted = Path(folder), tuple(dict.fromkeys(formats))
    for name in wanted:
        check_known(name, FORMATS, "formats")
    check_at_least(check_integer(seed, "seed"), 0, "seed")
    check_at_least(check_integer(vocab_size, "vocab_size"), len(SPECIAL) + 2, "vocab_size")
    if place.exists():
        raise InputError(f"folder = {str(place)!r}: is there already; name a new one")
    shape = Shape(vocab_size)
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=f".{place.name}.") as partial:
        for role, weights in _roles(shape, seed).items():
            for name in wanted:
                FORMATS[name](Path(partial, _named(name, role)), shape, weights)
        shutil.copytree(partial, place)
    return tuple(Written(name, role, place / _named(name, role)) for name in wanted for role in ROLES)


def _named(form: str, role: str) -> str:
    return role if form == "hf" else f"{role}.{form}"


def _roles(shape: Shape, seed: int) -> dict[str, Weights]:
    own, noise, other = (_random(shape, np.random.default_rng(s)) for s in np.random.SeedSequence(seed).spawn(3))
    near = {name: np.float32(np.sqrt(1 - NEAR**2)) * own[name] + np.float32(NEAR) * noise[name] for name in own}
    return dict(zip(ROLES, (own, near | _norms(shape), other), strict=True))


def _random(shape: Shape, rng: np.random.Generator) -> Weights:
    def normal(rows: int, columns: int, scale: float = 1.0) -> npt.NDArray[np.float32]:
        return (rng.standard_normal((rows, columns)) * scale / np.sqrt(columns)).astype(np.float32)

    weights = {
        name: normal(rows, columns, SHARPNESS if name == "lm_head.weight" else 1.0)
        for name, (rows, columns) in shape.matrices().items()
    }
    weights["model.embed_tokens.weight"] *= np.float32(np.sqrt(shape.width))
    return {**weights, **_norms(shape)}


def _norms(shape: Shape) -> Weights:
    return {name: np.ones(shape.width, dtype=np.float32) for name in shape.norms()}
