"""The tiny model: the same from one seed, its law far from uniform, whole or not there."""

import json
import sys
import types

import numpy as np
import pytest
from typer.testing import CliRunner

from scd_analysis.audit.adapters.engine_target import FolderLogits
from scd_analysis.cli.commands import app
from scd_analysis.engines.tiny import ROLES, tiny_model
from scd_analysis.engines.tiny_gguf import interleaved
from scd_analysis.errors import InputError

PROMPT, TOKENS = np.array([5, 6, 7]), np.array([[8, 9, 10], [3, 4, 5]])


def laws(folder):
    logits = FolderLogits(folder)(PROMPT, TOKENS)
    found = np.exp(logits - logits.max(-1, keepdims=True))
    return found / found.sum(-1, keepdims=True)


def test_a_seed_makes_a_model_and_its_drafts(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert [one.role for one in tiny_model(tmp_path / name, ("hf",), seed)] == list(ROLES)
    a, b, c = ((tmp_path / name / "target" / "model.safetensors").read_bytes() for name in "abc")
    assert a == b != c
    target, near, far = (laws(tmp_path / "a" / role) for role in ROLES)
    assert 0.3 < target.max(-1).mean() < 0.95
    apart = {name: 0.5 * np.abs(draft - target).sum(-1).mean() for name, draft in (("near", near), ("far", far))}
    assert 0.02 < apart["near"] < 0.5 < apart["far"]


def test_pairs_that_are_rotated_lie_side_by_side():
    """Two heads of four: rows 0 and 2 are a pair, and 1 and 3."""
    matrix = np.arange(8, dtype=np.float32)[:, None]
    assert interleaved(matrix, 2).ravel().tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"formats": ("pt",)}, "formats='pt' is not known; known: hf, gguf, openvino, onnx"),
        ({"seed": -1}, "seed = -1: must be at least 0"),
        ({"vocab_size": 4}, "vocab_size = 4: must be at least 5"),
    ],
)
def test_what_cannot_be_written_is_said_and_nothing_is_left(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        tiny_model(tmp_path / "x", **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("form", "needed", "extra"),
    [("openvino", "openvino_tokenizers", "openvino"), ("onnx", "onnxruntime_genai", "onnx-genai")],
)
def test_a_format_whose_engine_is_not_there_is_asked_for_by_its_extra(tmp_path, monkeypatch, form, needed, extra):
    monkeypatch.setitem(sys.modules, "openvino", types.ModuleType("openvino"))
    monkeypatch.setitem(sys.modules, needed, None)
    with pytest.raises(InputError, match=rf"formats: '{form}' needs {needed}.*; install scd-analysis\[{extra},hf\]"):
        tiny_model(tmp_path / "x", (form,))
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_it_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["tiny-model", "tiny", "--json"], standalone_mode=False)
    assert json.loads(done.stdout)["target, hf"] == "tiny/target"
    again = CliRunner().invoke(app, ["tiny-model", "tiny"], standalone_mode=False)
    assert "is there already" in str(again.exception)
