"""What subjects and kernels return, in odd forms; read in this process.

Where the tokens are right, an honest decoder is not refuted, whatever form they come in; where there are none, there is
no verdict.
"""

from __future__ import annotations

import random
from collections import OrderedDict, UserList, deque, namedtuple
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from scd_analysis import Outcome, subjects
from tests.fuzz import odd, originals
from tests.fuzz.case import Case
from tests.fuzz.laws_of_models import honest

Form = Callable[[Any], Any]
Pair = namedtuple("Pair", "tokens other")


class _Lazy:
    """Attributes by a function: anything that is asked for is there."""

    def __init__(self, tokens: Any) -> None:
        self.tokens = tokens

    def __getattr__(self, name: str) -> Any:
        return lambda *a, **k: self


class _Grows:
    """Another length each time."""

    def __init__(self, tokens: Any) -> None:
        self._tokens, self._asked = tokens.tolist(), 0

    def __len__(self) -> int:
        self._asked += 1
        return len(self._tokens) + self._asked

    def __getitem__(self, at: Any) -> Any:
        return self._tokens[at]


class _Tensor(torch.Tensor):
    pass


def _hidden(t: Any) -> Any:
    mask = np.zeros(t.shape, dtype=bool)
    mask[::7] = True
    return np.ma.masked_array(np.asarray(t), mask=mask)


def _mapped(t: Any) -> Any:
    import tempfile

    with tempfile.TemporaryFile() as file:
        found = np.memmap(file, dtype=np.int64, shape=tuple(t.shape))
    found[:] = np.asarray(t)
    return found


RIGHT: dict[str, Form] = {
    "an object with tokens": lambda t: SimpleNamespace(tokens=t),
    "an object with a trace that is none": lambda t: SimpleNamespace(tokens=t, trace="run.zarr"),
    "an object with everything": _Lazy,
    "int32": lambda t: t.int(),
    "uint8": lambda t: t.to(torch.uint8),
    "uint16": lambda t: np.asarray(t).astype(np.uint16),
    "uint64": lambda t: np.asarray(t).astype(np.uint64),
    "big-endian": lambda t: np.asarray(t).astype(">i8"),
    "a list of lists": lambda t: t.tolist(),
    "a list of tensors": list,
    "a list of arrays": lambda t: list(np.asarray(t)),
    "tuples": lambda t: tuple(map(tuple, t.tolist())),
    "objects": lambda t: np.asarray(t).astype(object),
    "mapped": _mapped,
    "a subclass of tensor": lambda t: t.as_subclass(_Tensor),
    "named": lambda t: t.rename("a", "b"),
    "sparse": lambda t: t.to_sparse(),
    "compressed": lambda t: t.to_sparse_csr(),
    "a buffer": lambda t: torch.nn.Buffer(t) if hasattr(torch.nn, "Buffer") else t,
    "a matrix": lambda t: np.asarray(t).view(np.matrix) if hasattr(np, "matrix") else t,
    "flipped twice": lambda t: np.asarray(t)[::-1].copy()[::-1],
    "a DataArray": lambda t: __import__("xarray").DataArray(np.asarray(t)),
    "an arrow table": lambda t: __import__("pandas").DataFrame(np.asarray(t)).convert_dtypes(),
    "nested": lambda t: torch.nested.nested_tensor(list(t)),
    "a named tuple": lambda t: Pair(t, None),
    "bits": lambda t: torch.nn.functional.one_hot(t, originals.V).argmax(-1),
}
WRONG: dict[str, Form] = {
    "hidden by a mask": _hidden,
    "the largest uint64": lambda t: np.full(t.shape, 2**64 - 1, dtype=np.uint64),
    "minus one as uint8": lambda t: (np.asarray(t) * 0 - 1).astype(np.uint8),
    "one column more": lambda t: torch.cat([t, t[:, :1]], 1),
    "one column less": lambda t: t[:, 1:],
    "flat": lambda t: t.reshape(-1),
    "three dimensions": lambda t: t[..., None],
    "two batches": lambda t: torch.cat([t, t]),
    "characters": lambda t: [["abc"[x] for x in row] for row in t.tolist()],
    "a text": lambda t: "\n".join(map(str, t.tolist())),
    "bytes": lambda t: np.asarray(t).tobytes(),
    "a dictionary": lambda t: {"tokens": t},
    "an ordered dictionary": lambda t: OrderedDict(enumerate(t.tolist())),
    "a set": lambda t: {tuple(row) for row in t.tolist()},
    "a queue of generators": lambda t: deque(iter(row) for row in t),
    "a class": lambda t: type(t),
    "a function": lambda t: lambda: t,
    "a coroutine": lambda t: _later(t),
    "an error": lambda t: ValueError("tokens"),
    "not implemented": lambda t: NotImplemented,
    "Ellipsis": lambda t: ...,
    "a module": lambda t: np,
    "NaT": lambda t: np.full(t.shape, "NaT", dtype="timedelta64[s]"),
    "lengths that change": _Grows,
    "a user's list": lambda t: UserList([[0]] * len(t)),
    "quantised": lambda t: torch.quantize_per_tensor(t.float() + 0.4, 0.1, 0, torch.quint8),
    "deep": lambda t: odd.deep(random.Random(0), 5_000),
    "records": lambda t: np.zeros(t.shape, dtype=[("token", int)]),
    "no columns": lambda t: t[:, :0],
    "a large shape": lambda t: torch.zeros(1, 1, dtype=torch.long).expand(10**9, 4),
    "a large broadcast": lambda t: np.broadcast_to(np.int64(0), (len(t), 10**9)),
    "meta": lambda t: t.to("meta"),
    "a view of nothing": lambda t: memoryview(b""),
}


async def _later(tokens: Any) -> Any:
    return tokens


def tokens(case: Case) -> None:
    """Tokens in one form, or a form that changes after some batches."""
    rng = case.rng
    right = rng.random() < 0.5
    name, form = rng.choice(list((RIGHT if right else WRONG).items()))
    first = 0 if rng.random() < 0.6 else rng.randrange(1, 3)
    calls = [0]

    def judged(model: Any, num_sequences: int, seed: int) -> Any:
        calls[0] += 1
        found = torch.as_tensor(np.asarray(honest(model, num_sequences, seed).tokens))
        return form(found) if calls[0] > first else found

    case.describe(f"{'right' if right else 'wrong'}: {name}, from batch {first}")
    kept = {"checkpoint": case.folder / "kept"} if rng.random() < 0.3 else {}
    verdict = case.door("audit", lambda: originals.audit(judged, originals.model(), max_sequences=256, **kept))
    if verdict is None:
        return
    if right and verdict.outcome is Outcome.REFUTED:
        case.found(f"an honest decoder is REFUTED: {str(verdict)[:600]}")
    if not right and verdict.outcome is not Outcome.REFUTED and calls[0] > first:
        case.found(f"{verdict.outcome.name}, although what came back are no tokens")


# -- kernels ---------------------------------------------------------------------------------------------------------


def _verified(draft_tokens: Any, draft_probs: Any, target_probs: Any, generator: Any) -> tuple[Any, Any]:
    """Modified rejection sampling, window by window: tokens that end with -1, and how many are committed."""
    size, window = draft_tokens.shape
    out = torch.full((size, window + 1), -1)
    counts = torch.ones(size, dtype=torch.long)
    for i in range(size):
        for k in range(window):
            p, q, x = target_probs[i, k], draft_probs[i, k], draft_tokens[i, k]
            if torch.rand((), generator=generator, dtype=torch.float64) * q[x] < p[x]:
                out[i, k] = x
                counts[i] += 1
                continue
            left = (p - q).clamp(min=0)
            out[i, k] = torch.multinomial(left / left.sum(), 1, generator=generator)
            break
        else:
            out[i, window] = torch.multinomial(target_probs[i, window], 1, generator=generator)
    return out, counts


KERNELS_RIGHT: dict[str, Callable[[Any, Any], Any]] = {
    "lists": lambda t, c: (t.tolist(), c.tolist()),
    "arrays": lambda t, c: (np.asarray(t), np.asarray(c)),
    "floats": lambda t, c: (t.double(), c.float()),
    "int8": lambda t, c: (t.to(torch.int8), c.to(torch.uint8)),
    "a column of counts": lambda t, c: (t, c[:, None]),
    "three": lambda t, c: (t, c, None),
    "a list": lambda t, c: [t, c],
    "a named tuple": lambda t, c: Pair(t, c),
    "noise behind": lambda t, c: (torch.where(t < 0, 7, t), c),
    "sparse": lambda t, c: (t.to_sparse(), c.to_sparse()),
}
KERNELS_WRONG: dict[str, Callable[[Any, Any], Any]] = {
    "None": lambda t, c: None,
    "tokens alone": lambda t, c: t,
    "swapped": lambda t, c: (c, t),
    "counts of zero": lambda t, c: (t, c * 0),
    "counts too large": lambda t, c: (t, c + 10),
    "counts of NaN": lambda t, c: (t, c * float("nan")),
    "counts beyond": lambda t, c: (t, c.double() + 2.0**62),
    "tokens of NaN": lambda t, c: (t * float("nan"), c),
    "tokens too large": lambda t, c: (t + 2**40, c),
    "tokens of infinity": lambda t, c: (t + float("inf"), c),
    "no tokens": lambda t, c: (t[:, :0], c),
    "no windows": lambda t, c: (t[:0], c[:0]),
    "wide": lambda t, c: (torch.cat([t, t, t], 1), c),
    "halves": lambda t, c: (t + 0.5, c),
    "a generator": lambda t, c: ((row for row in t), c),
    "strings": lambda t, c: (str(t), str(c)),
    "dictionary": lambda t, c: {"tokens": t, "counts": c},
    "itself": lambda t, c: (_verified, _verified),
    "complex": lambda t, c: (t * 1j, c),
    "meta": lambda t, c: (t.to("meta"), c),
    "hidden": lambda t, c: (np.ma.masked_all(t.shape, int), c),
}


def kernels(case: Case) -> None:
    """What a verification function returns, in one form."""
    right = case.rng.random() < 0.4
    name, form = case.rng.choice(list((KERNELS_RIGHT if right else KERNELS_WRONG).items()))
    writes = case.rng.random() < 0.3
    case.describe(f"{'right' if right else 'wrong'}: {name}{', writes into what it is given' if writes else ''}")

    def kernel(draft_tokens: Any, draft_probs: Any, target_probs: Any, generator: Any) -> Any:
        found = form(*_verified(draft_tokens, draft_probs, target_probs, generator))
        if writes:
            for given in (draft_tokens, draft_probs, target_probs):
                given.zero_()
        return found

    judged = case.door("kernel", lambda: subjects.kernel(kernel, window=2, vocab_size=3))
    verdict = case.door("audit", lambda: originals.audit(judged, max_sequences=192))
    if verdict is not None and right and verdict.outcome is Outcome.REFUTED:
        case.found(f"a right kernel is REFUTED: {str(verdict)[:600]}")
    if verdict is not None and not right and verdict.outcome is not Outcome.REFUTED:
        case.found(f"{verdict.outcome.name}, although what came back is no result")
