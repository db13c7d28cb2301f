"""The tiny Llama as a folder of ONNX Runtime GenAI, in float32, by that engine's own builder."""

from __future__ import annotations

import io
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from scd_analysis.engines.tiny_hf import write_hf
from scd_analysis.engines.tiny_shape import Shape, Weights
from scd_analysis.errors import InputError


def write_onnx(folder: Path, shape: Shape, weights: Weights) -> None:
    """Write ``model.onnx``, ``genai_config.json`` and the tokenizer.

    Raises
    ------
    InputError
        If ``onnxruntime_genai``, ``onnx_ir`` or ``transformers`` is not installed.
    """
    said = io.StringIO()  # the builder tells of every layer
    with tempfile.TemporaryDirectory() as place, redirect_stdout(said), redirect_stderr(said):
        try:
            from onnxruntime_genai.models.builder import create_model, parse_extra_options
        except ModuleNotFoundError as error:
            raise InputError(f"formats: 'onnx' needs {error.name}; install scd-analysis[onnx-genai,hf]") from None
        source = Path(place, "hf")
        write_hf(source, shape, weights)
        call = ("", str(source), str(folder), "fp32", "cpu", place)
        create_model(*call, **parse_extra_options(*call, []))
