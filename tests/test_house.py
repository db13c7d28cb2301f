"""The arrows of the house, hidden randomness, sizes, and theorems behind public measures."""

import ast
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from scd_analysis import laws
from scd_analysis.trace import trajectories
from tests.imports import circles, graph, inside_functions, modules, room

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
    rooms = ("common.discovery", "common.parallel", "conditions", "errors", "laws", "laws.kernels", "trace", "validate")
    allowed = {f"scd_analysis.{name}" for name in rooms}
    assert {name for name in imports(path) if name.startswith("scd_analysis")} <= allowed
    assert not names(path, "studies")


@pytest.mark.parametrize("path", [p for p in LIBRARY if "trace" in p.parts], ids=lambda p: p.name)
def test_the_record_uses_the_laws_and_what_every_room_needs(path):
    allowed = ("trace", "laws", "validate", "errors", "common")
    found = {name.split(".")[1] for name in imports(path) if name.startswith("scd_analysis.")}
    assert found <= set(allowed)
    assert not names(path, "torch")


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
@pytest.mark.parametrize("module", ["laws", "trace", "trace.trajectories", "evidence"])
def test_measures_and_evidence_need_no_torch(module):
    code = f"import sys, scd_analysis.{module}; assert 'torch' not in sys.modules, 'torch was imported'"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


OWN_THREADS = {
    "scd_analysis/trace/writer.py": {"concurrent.futures"},  # a trace is written on a thread of its own
    "scd_analysis/audit/watch.py": {"concurrent.futures"},  # NumPy, which lets go of the lock, bets side by side
    "scd_analysis/evidence/pieces.py": {"concurrent.futures"},  # the same, of the pieces of a long sequence's laws
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


FILES = modules(ROOT, ("scd_analysis", "reference", "studies"))

LATE = {
    "fsspec": "only who reads or writes by URL needs it",
    "httpx": "only who audits a server needs it",
    "hypothesis": "only who draws batches needs it",
    "model_equality_testing": "a rival that is compared on request",
    "pyarrow": "only who reads Parquet needs it",
    "rich": "only who shows something on a terminal needs it",
    "skimage": "only who trains a model anew needs it",
    "sklearn": "only who trains a model anew needs it",
    "torch": "measures, evidence and recorded files are judged without it",
    "onnxruntime_genai": "only who asks this engine needs it",
    "openvino": "only who asks this engine needs it",
    "openvino_genai": "only who asks this engine needs it",
    "openvino_tokenizers": "only who writes a model for OpenVINO needs it",
    "gguf": "only who writes a model for llama.cpp needs it",
    "tokenizers": "comes with transformers",
    "vllm": "only who asks this engine needs it",
    "xllamacpp": "only who asks llama.cpp itself needs it",
    "transformers": "only who audits its models needs it, and it takes seconds",
}
"""Modules of others that functions may import, and why not sooner."""

LATE_HERE = {
    "scd_analysis/cli/__init__.py": "the process that watches loads nothing of the one that works",
    "scd_analysis/cli/commands.py": "a command loads what it needs and no more",
    "scd_analysis/cli/worker.py": "signals are handled before anything is loaded",
    "scd_analysis/audit/opening.py": "a subject's judge is loaded when it is met",
    "scd_analysis/audit/drawing.py": "only traces are validated",
    "scd_analysis/audit/draws.py": "only who draws ahead starts workers, and these have PyTorch",
    "scd_analysis/audit/adapters/generate_trace.py": "only who watches a decode writes a trace",
    "scd_analysis/audit/adapters/stored.py": "only who judges a trace reads one",
    "scd_analysis/figures/__main__.py": "the door: the gallery is there only in a checkout",
    "reference/models/hf.py": "a session needs a cache of transformers, which is loaded with a network",
    "reference/models/hf_networks.py": "a cache is one of transformers, which is loaded with a network",
    "studies/bench_judge.py": "every task is measured in a process that loads only what it needs",
    "studies/bench_stores.py": "every task is measured in a process that loads only what it needs",
    "studies/bench_streaming.py": "every task is measured in a process that loads only what it needs",
}
"""Files that import our own modules inside functions, and why."""


def test_no_circle_of_files_across_rooms_and_none_of_more_than_two():
    found = circles(graph(FILES))
    assert [sorted(one) for one in found if len(one) > 2 or len({room(name) for name in one}) > 1] == []


@pytest.mark.parametrize(
    ("rest", "found"),
    [
        ("", []),
        ("from box.lid import two", [{"box.side", "box.lid"}]),
        ("import box.lid", [{"box.side", "box.lid"}]),
        ("def f():\n    from box import lid", [{"box.side", "box.lid"}]),
        ("if TYPE_CHECKING:\n    from box import lid", [{"box.side", "box.lid"}]),
        ("from box.floor import three", [{"box.side", "box.lid", "box.floor"}]),
    ],
)
def test_a_circle_of_files_would_be_found(tmp_path, rest, found):
    (tmp_path / "box").mkdir()
    sources = {"__init__": "", "lid": "import box.side", "side": rest, "floor": "from box import lid"}
    for name, source in sources.items():
        (tmp_path / "box" / f"{name}.py").write_text(source)
    assert circles(graph(modules(tmp_path, ("box",)))) == found


def test_a_circle_across_rooms_is_told_from_one_in_a_room():
    assert room("scd_analysis.trace.store") == room("scd_analysis.trace.place") != room("scd_analysis.laws")
    assert room("reference.models.hf") == room("reference.decoder")


def test_functions_import_nothing_but_what_is_stated():
    """A wrong cut between files shows as an import inside a function; what is heavy or optional may come late."""
    own = ("scd_analysis", "reference", "studies")
    found = {path: {name.partition(".")[0] for name in inside_functions(path)} for path in FILES.values()}
    assert set().union(*found.values()) - {*own} == LATE.keys()
    assert {str(path.relative_to(ROOT)) for path, late in found.items() if late & {*own}} == LATE_HERE.keys()


def test_an_import_inside_a_function_would_be_found(tmp_path):
    path = tmp_path / "x.py"
    path.write_text(
        "import json\nasync def f():\n    class A:\n        def g(self):\n            from torch import nn\n"
    )
    assert inside_functions(path) == {"torch"}


ASK = {
    "scd_analysis/__init__.py": "a name of the package is loaded when it is asked for",
    "scd_analysis/figures/__init__.py": "a name of the package is loaded when it is asked for",
    "scd_analysis/testing/__init__.py": "a name of the package is loaded when it is asked for",
    "scd_analysis/trace/__init__.py": "a name of the package is loaded when it is asked for",
    "scd_analysis/contracts.py": "the one place that reads a model, a subject, a kernel and what a subject returns",
    "scd_analysis/validate.py": "the one place that tells arrays and tensors from other things",
    "scd_analysis/common/foreign.py": "how it is asked: what a stranger's property raises becomes an error of ours",
    "scd_analysis/common/load.py": "a name on the command line is looked up in its module",
    "scd_analysis/evidence/pieces.py": "laws in pieces do what an array does, where they are no more than one",
    "scd_analysis/audit/identity.py": "two subjects are told apart by all that they hold, whatever they are",
    "scd_analysis/audit/adapters/generate.py": "an adapter knows the names of the library that it adapts",
    "scd_analysis/audit/adapters/generate_target.py": "an adapter knows the names of the library that it adapts",
    "scd_analysis/audit/adapters/generate_trace.py": "an adapter knows the names of the library that it adapts",
    "scd_analysis/audit/adapters/sjd_reading.py": "what a released sampler returns, in the forms that there are",
    "scd_analysis/audit/adapters/sjd_sampler.py": "the method of a stranger's class that is a sampler",
    "scd_analysis/audit/adapters/engines.py": "a function's name, by which an engine's is recognised",
    "scd_analysis/audit/adapters/handed.py": "a type of PyTorch by its name",
    "scd_analysis/audit/adapters/kernel.py": "what a verification function returned",
    "scd_analysis/audit/adapters/sampling.py": "settings of its own, by their names",
    "scd_analysis/cli/engines.py": "options of its own, by their names",
    "scd_analysis/report/load.py": "parts of a verdict, by their names",
    "scd_analysis/testing/exact_kernel.py": "fields of its own tables, by their names",
    "scd_analysis/trace/lines.py": "the code and the source of a stranger's function",
    "scd_analysis/trace/watcher.py": "local variables of a stranger's function, whatever they are",
    "scd_analysis/testing/plugin.py": "pytest's reports and settings, which have what other plugins gave them",
    "scd_analysis/exact": "replay meets whatever the audited code holds, in numpy, torch and random",
}
"""Files, and one room, that ask whether an object has something (``getattr``, ``hasattr``), and why."""

ASK_FOREIGN = {
    "scd_analysis/contracts.py": "the contracts",
    "scd_analysis/audit/adapters/calls.py": "a function's name, for messages",
    "scd_analysis/audit/adapters/sampler.py": "a length, where the model states one, for a sampler that takes it",
    "scd_analysis/testing/lossless.py": "a function's name, for messages",
    "scd_analysis/audit/adapters/engine_target.py": "a length, where the target of an engine states one",
}
"""Files that ask by ``foreign.attribute``, and what for."""

READ_PRIVATE = {
    "scd_analysis/audit/adapters/generate_target.py": "the logits processors that transformers makes for a call",
    "scd_analysis/audit/adapters/generate_trace.py": "the verification function of transformers",
    "scd_analysis/audit/guard.py": "os._exit, the documented way out of a process that has forked",
    "scd_analysis/cli/worker.py": "os._exit, the documented way out of a process that has forked",
    "scd_analysis/exact": "replay stands in for the insides of numpy and torch",
}
"""Files, and one room, that read private names of another module, and which."""


def asks(source):
    """Lines of a source that ask whether an object has something."""
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return [node.lineno for node in calls if ast.unparse(node.func).rpartition(".")[2] in ("getattr", "hasattr")]


def asks_foreign(source):
    """Whether a source imports what asks with care."""
    nodes = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom))
    return any(alias.name == "attribute" for node in nodes for alias in node.names)


def reads_private(source):
    """Private names of other modules that a source reads: none that it makes itself, on ``self`` or as its own."""
    tree = ast.parse(source)
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    own = {node.attr for node in nodes if ast.unparse(node.value) in ("self", "cls")}
    own |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    names = [node.attr for node in nodes]
    names += [alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names]
    return sorted({name for name in names if re.match("_[^_]", name)} - own)


def stated_for(path, exceptions):
    """The file or the room under which a path is an exception, or None."""
    name = path.relative_to(ROOT).as_posix()
    return next((one for one in exceptions if name == one or name.startswith(one + "/")), None)


@pytest.mark.parametrize(
    ("exceptions", "finds"),
    [(ASK, asks), (ASK_FOREIGN, asks_foreign), (READ_PRIVATE, reads_private)],
    ids=["ask", "ask foreign", "read private"],
)
def test_one_place_asks_what_a_strangers_object_has(exceptions, finds):
    """So a member that is optional is optional everywhere, and what a property raises is told everywhere."""
    paths = [path for path in LIBRARY if "reference" not in path.parts and finds(path.read_text())]
    assert [str(path) for path in paths if stated_for(path, exceptions) is None] == []
    assert {stated_for(path, exceptions) for path in paths} == exceptions.keys()


@pytest.mark.parametrize(
    ("source", "asked", "private"),
    [
        ("def f(subject):\n    return getattr(subject, 'target_model', None)", True, []),
        ("if hasattr(model, 'grid'): pass", True, []),
        ("import builtins\nbuiltins.getattr(model, 'grid')", True, []),
        ("subject._trace", False, ["_trace"]),
        ("from scd_analysis.trace.store import _header", False, ["_header"]),
        ("class A:\n    def f(self, other):\n        self._x = 1\n        return other._x, self.__dict__", False, []),
        ("subject.getattr", False, []),
    ],
)
def test_a_question_or_a_private_name_would_be_found(source, asked, private):
    assert bool(asks(source)) is asked
    assert reads_private(source) == private


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
    """Some 1,500 lines beside the models: the decoder proper, its rules with their plain forms, a file a method."""
    names = ("decoder", "drafting", "draws", "kernel", "verification")
    files = [ROOT / "reference" / f"{name}.py" for name in names] + [*(ROOT / "reference" / "methods").glob("*.py")]
    assert sum(len(file.read_text().splitlines()) for file in files) <= 1550


def fast_tests(source):
    """Tests of a file that the fast lane runs, but for single cases that are marked."""
    tree = ast.parse(source)
    marks = [
        ast.unparse(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and "pytestmark" in ast.unparse(node)
    ]
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    own = {node.name: [*marks, *map(ast.unparse, node.decorator_list)] for node in functions}
    return {
        name for name, marks in own.items() if not any(re.search(r"^\W*pytest\.mark\.slow\b", mark) for mark in marks)
    }


def test_the_fast_lane_has_tests_of_every_room():
    """Where it leaves out all of a folder, what is changed there is tried by nobody for minutes."""
    folders = {path.parent for path in (ROOT / "tests").rglob("test_*.py") if path.parent.name != "gpu"}
    assert len(folders) > 10
    for folder in sorted(folders):
        assert set().union(*(fast_tests(path.read_text()) for path in folder.glob("test_*.py"))), folder.name


def test_a_test_of_the_slow_lane_is_told_from_the_fast():
    source = "@pytest.mark.slow\ndef test_a(): ...\n\n@pytest.mark.gpu\ndef test_b(): ...\n\ndef helper(): ..."
    assert fast_tests(source) == {"test_b"}
    for marks in ("pytest.mark.slow", "[pytest.mark.slow, pytest.mark.gpu]"):
        assert fast_tests(f"pytestmark = {marks}\n{source}") == set()


def test_the_audit_is_always_the_function():
    code = "import scd_analysis.audit.verdict, scd_analysis; assert callable(scd_analysis.audit)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
    import scd_analysis

    assert callable(scd_analysis.audit)
    for name in scd_analysis.__all__:
        assert getattr(scd_analysis, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = scd_analysis.nothing
