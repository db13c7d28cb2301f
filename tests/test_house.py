"""The arrows of the house, hidden randomness, sizes, and theorems behind public measures."""

import ast
import inspect
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from scd_analysis import laws, trajectories

ROOT = Path(__file__).parents[1]
LIBRARY = [p for folder in ("scd_analysis", "reference") for p in sorted((ROOT / folder).rglob("*.py"))]


def imports(path):
    """Every module that a file imports, at any depth of its code."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def names(path, module):
    return any(name == module or name.startswith(module + ".") for name in imports(path))


DOOR = ROOT / "scd_analysis" / "figures" / "__main__.py"
"""The one file of the library that may ask for what lies above it, and in functions alone: it may not be there."""


@pytest.mark.parametrize(
    "path", [p for p in LIBRARY if "reference" not in p.parts], ids=lambda p: str(p.relative_to(ROOT))
)
def test_the_library_imports_what_lies_above_it_at_one_door(path):
    above = {name for name in ("reference", "studies") if names(path, name)}
    assert above == ({"reference", "studies"} if path == DOOR else set())


def test_the_door_is_opened_when_something_is_asked_for():
    tops = [
        ast.unparse(node) for node in ast.parse(DOOR.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert tops
    assert not [line for line in tops if "reference" in line or "studies" in line]


def test_a_wheel_holds_no_study():
    found = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
    assert found == ["scd_analysis*", "reference*"]


@pytest.mark.parametrize("path", [p for p in LIBRARY if "reference" in p.parts], ids=lambda p: p.name)
def test_the_reference_decoder_uses_the_record_and_the_laws_only(path):
    allowed = {f"scd_analysis.{name}" for name in ("conditions", "errors", "laws", "trace", "validate")}
    assert {name for name in imports(path) if name.startswith("scd_analysis")} <= allowed
    assert not names(path, "studies")


@pytest.mark.parametrize("path", LIBRARY, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_randomness_hides_in_the_library(path):
    """Seeding a global generator, or a generator without a seed, would make a result unrepeatable."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert not called.endswith(("torch.manual_seed", "random.seed")), f"{path.name}:{node.lineno}"
            fixed = bool(node.args) and isinstance(node.args[0], ast.Constant)
            assert not (called.endswith("manual_seed") and fixed), f"{path.name}:{node.lineno}"
            assert not (called.endswith("default_rng") and not node.args), f"{path.name}:{node.lineno}"


@pytest.mark.slow
@pytest.mark.parametrize("module", ["laws", "trace", "trajectories", "evidence"])
def test_measures_and_evidence_need_no_torch(module):
    code = f"import sys, scd_analysis.{module}; assert 'torch' not in sys.modules, 'torch was imported'"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


OWN_THREADS = {
    "scd_analysis/trace_writer.py": {"concurrent.futures"},  # a trace is written on a thread of its own
    "scd_analysis/audit/watch.py": {"concurrent.futures"},  # NumPy, which lets go of the lock, bets side by side
    "scd_analysis/exact/interception.py": {"concurrent.futures"},  # guards the threads of a sampler, and starts none
}
"""What starts threads or processes otherwise than by joblib, or looks at what does; processes: nothing."""


def starts_of_threads_or_processes(source):
    """Modules and functions in a source by which somebody works side by side on his own."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            found = [ast.unparse(node)] if isinstance(node, ast.Attribute) else []
        for name in found:
            parts = name.split(".")
            if "multiprocessing" in parts:
                yield "multiprocessing"
            if parts[:1] == ["concurrent"]:
                yield "concurrent.futures"
            if parts[:1] == ["os"] and parts[-1] in ("fork", "forkpty", "posix_spawn", "posix_spawnp"):
                yield name


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import multiprocessing as mp", "multiprocessing"),
        ("from multiprocessing.pool import Pool", "multiprocessing"),
        ("def f():\n    import torch.multiprocessing", "multiprocessing"),
        ("from torch import multiprocessing", "multiprocessing"),
        ("from concurrent import futures", "concurrent.futures"),
        ("from concurrent.futures import Future", "concurrent.futures"),
        ("import os\nos.fork()", "os.fork"),
        ("from os import fork", "os.fork"),
        ("from joblib import Parallel\nimport os.path\nimport threading", None),
    ],
)
def test_a_hand_made_pool_would_be_found(source, found):
    assert set(starts_of_threads_or_processes(source)) == ({found} if found else set())


def test_work_is_done_side_by_side_by_joblib_alone():
    """One way, so that a user's choice of a backend holds everywhere; exceptions are stated, and each is one."""
    paths = [*LIBRARY, *sorted((ROOT / "studies").rglob("*.py"))]
    found = {str(p.relative_to(ROOT)): set(starts_of_threads_or_processes(p.read_text())) for p in paths}
    assert {path: names for path, names in found.items() if names} == OWN_THREADS


PLOTS = [*(ROOT / "scd_analysis/figures/plots").glob("*.py"), *(ROOT / "studies/gallery/plots").glob("*.py")]
SEABORNS = {"bar", "barh", "errorbar", "fill_between", "hist", "imshow", "pcolormesh", "scatter", "stairs", "step"}
OWN_MARKS = {
    "gain_in_time.py": {"errorbar"},  # its lines follow the window, where seaborn's follow the axis
    "methods_compared.py": {"errorbar"},  # a point has two intervals
    "sample_grids.py": {"imshow"},  # images
}
"""Marks that a figure draws by itself, since seaborn has nothing like them."""


def test_figures_are_drawn_with_seaborn():
    found = {}
    for path in PLOTS:
        calls = (node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
        found[path.name] = {f.attr for f in calls if isinstance(f, ast.Attribute) and f.attr in SEABORNS}
    assert {name: marks for name, marks in found.items() if marks} == OWN_MARKS


def body_lines(function):
    """Lines of a function without its docstring."""
    documented = isinstance(function.body[0], ast.Expr) and isinstance(function.body[0].value, ast.Constant)
    body = function.body[1:] if documented else function.body
    return function.end_lineno - body[0].lineno + 1 if body else 0


@pytest.mark.parametrize(
    "path", sorted(p for p in ROOT.rglob("*.py") if ".venv" not in p.parts and "build" not in p.parts)
)
def test_functions_are_short(path):
    """Files are cut by subject and not by length; a function of more than 60 lines has several."""
    functions = (n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef))
    long = [f"{path.name}:{f.lineno} {f.name}" for f in functions if body_lines(f) > 60]
    assert not long


@pytest.mark.parametrize("function", [laws.total_variation, laws.entropy, laws.renyi2_entropy, laws.collision_bound,
                                      laws.collision_probability, laws.verified_law, trajectories.collisions,
                                      trajectories.mean_interval, trajectories.hamming_distance,
                                      trajectories.ratio_interval])  # fmt: skip
def test_a_measure_names_its_source(function):
    assert "References\n" in inspect.getdoc(function)


def test_the_reference_decoder_stays_an_essay():
    """Some 1,400 lines beside the models: the decoder proper and its rules, each with its plain form."""
    files = ("decoder", "drafting", "draws", "kernel", "methods", "verification")
    assert sum(len((ROOT / "reference" / f"{name}.py").read_text().splitlines()) for name in files) <= 1450


def test_the_audit_is_always_the_function():
    code = "import scd_analysis.audit.verdict, scd_analysis; assert callable(scd_analysis.audit)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
    import scd_analysis

    assert callable(scd_analysis.audit)
    for name in scd_analysis.__all__:
        assert getattr(scd_analysis, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = scd_analysis.nothing
