"""Hostile subjects and models: what they do, times where they do it.

Status 1 means refuted and nothing else does. Where the tokens that come back are right, the audit may stand or refuse;
where they are wrong, it may refute or refuse; where none come back, it refuses with one line.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.fuzz.case import Case
from tests.fuzz.command import check_status, finish, start

SECONDS = 150.0
"""Of the whole command, with its imports on a busy machine; a subject is given five."""

LEAVES = {
    "os._exit(0)": "os._exit(0)",
    "os._exit(1)": "os._exit(1)",
    "sys.exit(0)": "sys.exit(0)",
    "sys.exit(1)": "sys.exit(1)",
    "sys.exit('no')": "sys.exit('no')",
    "BaseException": "raise BaseException('odd')",
    "CancelledError": "import asyncio; raise asyncio.CancelledError",
    "pytest.fail": "import pytest; pytest.fail('odd')",
    "KeyboardInterrupt": "raise KeyboardInterrupt",
    "GeneratorExit": "raise GeneratorExit",
    "StopIteration": "raise StopIteration",
    "MemoryError": "raise MemoryError",
    "an error without words": "raise Unprintable",
    "many lines": "raise ValueError('a\\nb\\n\\x1b[31mc')",
    "recursion": "f = lambda: f(); f()",
    "SIGKILL": "os.kill(os.getpid(), signal.SIGKILL)",
    "SIGTERM": "os.kill(os.getpid(), signal.SIGTERM); time.sleep(1)",
    "SIGINT": "os.kill(os.getpid(), signal.SIGINT); time.sleep(1)",
    "SIGALRM": "os.kill(os.getpid(), signal.SIGALRM); time.sleep(1)",
    "abort": "os.abort()",
    "a group of errors": "raise BaseExceptionGroup('g', [SystemExit(0), KeyboardInterrupt()])",
    "an exit without words": "raise SystemExit(Unprintable())",
    "skips": "import pytest; pytest.skip('odd')",
    "SystemExit of a float": "raise SystemExit(0.0)",
    "SIGSTOP": "os.kill(os.getpid(), signal.SIGSTOP)",
    "SIGPIPE": "signal.signal(signal.SIGPIPE, signal.SIG_DFL); os.kill(os.getpid(), signal.SIGPIPE)",
    "kills its group": "os.killpg(0, signal.SIGKILL)",
    "execs": "os.execv('/bin/true', ['true'])",
    "a segmentation fault": "import ctypes; ctypes.string_at(0)",
    "a stack that overflows": "import ctypes; sys.setrecursionlimit(10**7); f = lambda: f(); f()",
    "typer.Exit": "import typer; raise typer.Exit(0)",
    "click.Abort": "import click; raise click.Abort",
}
HANGS = {
    "for ever": "while True: pass",
    "sleep": "time.sleep(1000)",
    "swallows": "swallow()",
    "resets the timer": "signal.setitimer(signal.ITIMER_REAL, 0)\nwhile True: pass",
    "ignores the alarm": "signal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True: pass",
    "blocks signals": "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))\nwhile True: pass",
    "inside C": "sum(range(10**13))",
    "waits for a thread": "t = threading.Thread(target=time.sleep, args=(1000,)); t.start(); t.join()",
    "waits for a lock": "lock = threading.Lock(); lock.acquire(); lock.acquire()",
    "reads standard input": "os.read(os.pipe()[0], 1)",
    "waits for a child": "import subprocess; subprocess.run(['sleep', '1000'])",
    "a generator for ever": "list(iter(int, 1))",
}
CHANGES = {
    "numpy errors": "np.seterr(all='raise')",
    "warnings": "import warnings; warnings.simplefilter('error')",
    "float64": "torch.set_default_dtype(torch.float64)",
    "float16": "torch.set_default_dtype(torch.float16)",
    "threads": "torch.set_num_threads(3)",
    "gradients": "torch.set_grad_enabled(False)",
    "locale": "import locale; locale.setlocale(locale.LC_ALL, '')",
    "folder": "os.chdir('/')",
    "recursion limit": "sys.setrecursionlimit(200)",
    "path": "sys.path.clear()",
    "environment": "os.environ.clear()",
    "seeds": "np.random.seed(0); torch.manual_seed(0)",
    "print": "print('drawing {')",
    "escape": "print('\\x1b[2J', flush=True); os.write(1, b'noise')",
    "stdout is None": "sys.stdout = None",
    "stdout is closed": "sys.stdout.close()",
    "stdout is ours": "import io; sys.stdout = io.StringIO()",
    "descriptor 1": "os.close(1)",
    "descriptor 2": "os.close(2)",
    "a thread that raises": "threading.Thread(target=lambda: 1 / 0).start()",
    "a thread for ever": "threading.Thread(target=time.sleep, args=(1000,)).start()",
    "a thread that exits": "threading.Thread(target=lambda: (time.sleep(.05), os._exit(0))).start()",
    "a process for ever": "import subprocess; subprocess.Popen(['sleep', '1000'])",
    "fork": "os.fork()",
    "atexit leaves": "import atexit; atexit.register(os._exit, 0)",
    "atexit raises": "import atexit; atexit.register(lambda: 1 / 0)",
    "hook": "sys.excepthook = lambda *a: os._exit(0)",
    "megabytes": "print('x' * 2**23); sys.stderr.write('y\\n' * 2**20)",
    "NULs": "os.write(2, bytes(2**16))",
    "descriptors": "held = [os.open('/dev/null', 0) for _ in range(200)]; calls.setdefault('held', held)",
    "all descriptors": "os.closerange(3, 200)",
    "descriptor 1 is a file": "os.dup2(os.open('theirs.txt', os.O_WRONLY | os.O_CREAT), 1)",
    "the umask": "os.umask(0o777)",
    "file size": "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))",
    "open files": "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))",
    "signals by hand": "[signal.signal(s, signal.SIG_IGN) for s in range(1, 32) if s not in (9, 19)]",
    "SIGTERM is caught": "signal.signal(signal.SIGTERM, lambda *a: None)",
    "stderr is None": "sys.stderr = None",
    "stderr is closed": "sys.stderr.close()",
    "the loop": "import asyncio; asyncio.new_event_loop().run_until_complete(asyncio.sleep(0))",
    "the modules": "[sys.modules.pop(n) for n in list(sys.modules) if n.startswith('scd_analysis')]",
    "another json": "sys.modules['json'] = None",
    "builtins": "import builtins; builtins.print = builtins.open = builtins.len = None",
    "numpy's sum": "np.sum = np.ndarray = np.exp = None",
    "a determined torch": "torch.use_deterministic_algorithms(True)",
    "a default device": "torch.set_default_device('meta')",
    "the trace function": "sys.settrace(lambda *a: 1 / 0)",
    "a profile": "sys.setprofile(lambda *a: None)",
    "collects": "import gc; gc.disable(); gc.freeze()",
    "the switch interval": "sys.setswitchinterval(100)",
    "a child in a session of its own": "import subprocess; subprocess.Popen(['sleep', '60'], start_new_session=True)",
    "a limit on memory": "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**34, 2**34))",
    "the clock": "time.monotonic = time.time = lambda: 0.0",
    "a file named as ours": "open('json.py', 'w').write('1 / 0'); open('typer.py', 'w').write('1 / 0')",
    "json": "import json; json.dumps = lambda *a, **k: '{}'",
    "exit": "sys.exit = lambda *a: None",
    "os.replace": "os.replace = os.rename = lambda *a, **k: None",
    "modules": "sys.modules.pop('scd_analysis.report', None)",
}
RETURNS = {
    "None": ("None", "wrong"),
    "a number": ("5", "wrong"),
    "a string": ("'abc'", "wrong"),
    "ragged": ("[[0], [0, 1]]", "wrong"),
    "floats": ("right().double()", "either"),
    "NaN": ("right().double() * float('nan')", "wrong"),
    "negative": ("-1 - right()", "wrong"),
    "too large": ("right() + 2**40", "wrong"),
    "bool": ("right().bool()", "either"),
    "complex": ("right() * 1j", "either"),
    "strings": ("np.asarray(right()).astype(str)", "either"),
    "objects": ("np.asarray(right()).astype(object)", "either"),
    "uint64": ("np.asarray(right()).astype(np.uint64)", "either"),
    "int8": ("right().to(torch.int8)", "right"),
    "bfloat16": ("right().bfloat16()", "either"),
    "half": ("right().half()", "either"),
    "sparse": ("right().to_sparse()", "either"),
    "meta": ("right().to('meta')", "wrong"),
    "gradient": ("right().float().requires_grad_()", "either"),
    "transposed": ("right().T", "wrong"),
    "too few": ("right()[:-1]", "wrong"),
    "none": ("right()[:0]", "wrong"),
    "lists": ("right().tolist()", "either"),
    "a generator": ("(x for x in right())", "wrong"),
    "a set": ("{1, 2}", "wrong"),
    "bytes": ("b'abc'", "wrong"),
    "masked": ("np.ma.masked_all((n, 3), int)", "wrong"),
    "a frame": ("__import__('pandas').DataFrame(right().numpy())", "either"),
    "a liar": ("Liar(right())", "either"),
    "itself": ("cyclic()", "wrong"),
    "zeros": ("right() * 0", "wrong"),
    "an empty dataset": ("__import__('xarray').Dataset()", "wrong"),
    "laws of NaN": ("nan_laws(n, seed)", "wrong"),
    "strided": ("right().repeat_interleave(2, 1)[:, ::2]", "right"),
    "not contiguous": ("right().T.contiguous().T", "right"),
    "read-only": ("frozen(right())", "right"),
    "inference": ("inferred(model, n, seed)", "right"),
}

PLACES = ("call", "model", "import", "property", "array", "length", "delete", "shape")

MODULE = """
import os, signal, sys, threading, time
import numpy as np
import torch
from reference import TabularModel, decode
from reference.subjects import subject

inner = TabularModel.random(2, 3, 0.7, seed=3)
honest = subject("scd-mc", 2)
calls = {{"count": 0}}


class Unprintable(Exception):
    def __str__(self):
        raise ValueError("no words")


def swallow():
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass


def act():
{statement}


class Model:
    vocab_size, num_tokens = 2, 3

    def next_token_probs(self, tokens):
        calls["count"] += 1
        if calls["count"] > {after} and {at_model}:
            act()
        return inner.next_token_probs(tokens)


class Liar:
    def __init__(self, tokens):
        self.inside = tokens

    shape, ndim, dtype = (10**9, 3), 2, np.dtype("int64")

    def __len__(self):
        if {at_length}:
            act()
        return 10**9

    def __array__(self, *args, **kwargs):
        if {at_array}:
            act()
        return np.asarray(self.inside)


class Odd(Liar):
    if {at_property}:
        @property
        def tokens(self):
            act()
            return self.inside

        @property
        def trace(self):
            act()

    if {at_shape}:
        @property
        def shape(self):
            act()
            return tuple(self.inside.shape)

    def __del__(self):
        if {at_delete}:
            act()


def frozen(tokens):
    found = np.asarray(tokens)
    found.flags.writeable = False
    return found


def inferred(model, n, seed):
    with torch.inference_mode():
        return honest(inner, n, seed)


def cyclic():
    found = []
    found.append(found)
    return found


def nan_laws(n, seed):
    trace = decode(inner, "scd-mc", 2, n, seed, "laws", progress=False).trace.load()
    trace["target_probs"] = trace["target_probs"] * float("nan")
    return trace


def judged(model, n, seed):
    right = lambda: honest(inner, n, seed)
    if {at_call}:
        act()
    return {returned}


model = Model()
if {at_import}:
    act()
"""


@dataclass(frozen=True)
class Attack:
    """What is done, where; ``comes_back`` says whether the tokens are right, wrong, either or none."""

    name: str
    statement: str
    place: str
    returned: str
    comes_back: str


def attacks() -> list[Attack]:
    """All of them, in a fixed order."""
    out = []
    for group, ending in ((LEAVES, "none"), (HANGS, "none"), (CHANGES, "right")):
        for name, statement in group.items():
            for place in PLACES:
                if place == "import" and group is HANGS:
                    continue  # a module that never ends is imported for ever, as by python -m
                special = place not in ("call", "model", "import")
                comes_back = "either" if special else ending
                out.append(Attack(name, statement, place, "Odd(right())" if special else "right()", comes_back))
            if group is CHANGES:
                out.append(Attack(name, statement, "call", "right() * 0", "wrong"))
    for name, (returned, comes_back) in RETURNS.items():
        out.append(Attack(f"returns {name}", "pass", "call", returned, comes_back))
    return out


def hostile(case: Case) -> None:
    """One attack; the first rounds of a seed are of different ones."""
    import random

    order = attacks()
    random.Random(case.seed).shuffle(order)
    attack = order[case.number % len(order)]
    case.describe(f"{attack.name}, in {attack.place}, returns {attack.returned}")
    body = "\n".join("    " + line for line in attack.statement.splitlines())
    places = {f"at_{place}": attack.place == place for place in PLACES}
    after = case.rng.choice((0, 0, 1, 5)) if attack.place == "model" else 0
    (case.folder / "mine.py").write_text(MODULE.format(statement=body, after=after, returned=attack.returned, **places))
    words = ["audit", "mine:judged", "--model", "mine:model", "--max-sequences", "128", "--timeout", "5", "--json"]
    status, out, err = finish(case, start(words, case.folder), SECONDS)
    outcome = check_status(case, status, out, err, others=True, readable="descriptor 2" not in attack.name)
    _judge(case, attack, status, outcome)


def _judge(case: Case, attack: Attack, status: int, outcome: str | None) -> None:
    if attack.comes_back in ("none",) and status != 2 and outcome != "REFUTED":
        case.found(f"status {status}, although nothing came back")
    if attack.comes_back != "wrong" and status == 1:
        case.found(f"status 1 ({outcome}), although nothing wrong came back")
    if attack.comes_back == "wrong" and status in (0, 3):
        case.found(f"status {status} ({outcome}), although what came back is wrong")
