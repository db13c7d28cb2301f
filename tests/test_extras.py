"""Every extra of the package has a test: of what it brings, or of what is said where that is not there."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

from scd_analysis.audit.adapters.engine_target import FolderLogits
from scd_analysis.audit.adapters.vllm_llm import vllm
from scd_analysis.cli.cluster import cluster
from scd_analysis.engines.tiny import tiny_model
from scd_analysis.errors import InputError
from scd_analysis.trace import open_trace
from studies.data import load_photograph

ROOT = Path(__file__).parents[1]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]

TESTED = {
    "train": "tests/test_extras.py::test_photographs_come_with_what_trains_on_them",
    "hf": "tests/reference/test_hf_loading.py::test_a_folder_and_a_text_are_enough",
    "parquet": "tests/audit/test_recorded_file.py::test_parquet_reads_as_json_lines_do",
    "dask": "tests/test_cli_cluster.py::test_two_workers_of_dask_come_to_the_verdict_of_one_process",
    "ray": "tests/test_backends.py::test_verdicts_are_the_same_wherever_jobs_run",
    "stores": "tests/test_extras.py::test_what_is_not_installed_is_named_by_its_extra",
    "s3": "tests/trace/test_s3.py::test_shards_on_s3_survive_a_server_that_stops_in_the_middle",
    "gcs": "tests/test_extras.py::test_what_is_not_installed_is_named_by_its_extra",
    "openvino": "tests/test_extras.py::test_what_is_not_installed_is_named_by_its_extra",
    "onnx-genai": "tests/test_extras.py::test_what_is_not_installed_is_named_by_its_extra",
    "vllm": "tests/test_extras.py::test_what_is_not_installed_is_named_by_its_extra",
    "engines": "tests/audit/test_endpoint.py::test_a_right_engine_is_not_refuted",
    "llama-cpp": "tests/test_llama_cpp.py::test_it_samples_from_the_law_that_its_settings_state",
    "studies": "tests/gallery/test_making.py::test_what_is_not_installed_is_said_in_a_line_and_a_trace_is_drawn",
    "testing": "tests/test_wheel.py::test_the_plugin_is_found_and_adds_up",
    "test": "tests/report/test_browser.py::test_accessibility",
    "quality": "tests/test_extras.py::test_lint_runs_what_quality_brings",
    "dev": "tests/test_extras.py::test_dev_is_all_that_the_lock_has",
}
"""A test of each. What is in no lock is tested by how its absence is told."""

NOT_LOCKED = {"ray", "gcs", "openvino", "onnx-genai", "vllm"}
"""Cloud clients and engines that the tests do without, or have in environments of their own (``make test-engines``)."""


def untested(extras):
    """Extras without a test, tests of no extra, and tests that are not there."""
    for name in sorted({*extras} ^ {*TESTED}):
        yield name
    for name, node in TESTED.items():
        file, _, function = node.partition("::")
        tree = ast.parse((ROOT / file).read_text())
        if function not in {one.name for one in tree.body if isinstance(one, ast.FunctionDef)}:
            yield f"{name}: {node}"


def test_every_extra_has_a_test():
    assert [*untested(EXTRAS)] == []


def test_an_extra_without_one_is_found(monkeypatch):
    assert [*untested({**EXTRAS, "tpu": ["jax"]})] == ["tpu"]
    monkeypatch.setitem(TESTED, "hf", "tests/test_extras.py::test_nothing")
    assert [*untested(EXTRAS)] == ["hf: tests/test_extras.py::test_nothing"]


def join(backend):
    with cluster(backend, None):
        raise AssertionError("nothing is joined")


@pytest.mark.parametrize(
    ("extra", "module", "needs"),
    [
        ("dask", "distributed", lambda place: join("dask")),
        ("ray", "ray", lambda place: join("ray")),
        ("hf", "transformers", lambda place: FolderLogits(place)),
        ("hf", "transformers", lambda place: tiny_model(place / "tiny", ["hf"])),
        ("stores", "fsspec", lambda place: open_trace("memory://run")),
        ("s3", "s3fs", lambda place: open_trace("s3://bucket/run")),
        ("gcs", "gcsfs", lambda place: open_trace("gs://bucket/run")),
        ("openvino", "openvino", lambda place: tiny_model(place / "tiny", ["openvino"])),
        ("onnx-genai", "onnxruntime_genai", lambda place: tiny_model(place / "tiny", ["onnx"])),
        ("vllm", "vllm", lambda place: vllm(None, prompt=[1])),
        ("engines", "gguf", lambda place: tiny_model(place / "tiny", ["gguf"])),
    ],
)
def test_what_is_not_installed_is_named_by_its_extra(extra, module, needs, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=rf"scd-analysis\[{extra}[\],]"):
        needs(tmp_path)


def test_photographs_come_with_what_trains_on_them():
    """One of scikit-learn, and a grey one of scikit-image."""
    assert load_photograph("china").shape == (427, 640, 3)
    grey = load_photograph("brick")
    assert grey.shape == (512, 512, 3)
    assert (grey[..., 0] == grey[..., 2]).all()


def names(requirements):
    return {re.match(r"[\w-]+", one)[0] for one in requirements}


def test_lint_runs_what_quality_brings():
    lint = re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    assert {*re.findall(r"\$\(BIN\)/(\w+)", lint)} == names(EXTRAS["quality"]) - {"pandas-stubs"}


def test_dev_is_all_that_the_lock_has():
    """All others but what is not locked; `testing`, `stores` and `s3` by way of `test`."""
    (dev,) = EXTRAS["dev"]
    assert {*re.fullmatch(r"scd-analysis\[(.*)\]", dev)[1].split(",")} == EXTRAS.keys() - {
        "dev",
        "testing",
        "stores",
        "s3",
    } - NOT_LOCKED
    locked = {line.partition("==")[0].lower() for line in (ROOT / "requirements.lock").read_text().splitlines()}
    wanted = set().union(*(names(EXTRAS[one]) for one in EXTRAS.keys() - {"dev"} - NOT_LOCKED)) - {"scd-analysis"}
    assert {name.lower() for name in wanted} - locked == set()
