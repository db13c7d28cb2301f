"""Models whose laws, or whose sizes, come in odd forms: a lossless decoder is not refuted by the form of a number.

Where the numbers are those of the law, an honest decoder stands or the model is refused; where they are none, it is
refused.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from reference.subjects import subject
from scd_analysis import Outcome
from tests.fuzz import odd, originals
from tests.fuzz.case import Case

Form = Callable[[Any], Any]


class _Slow:
    """An array by its method alone."""

    def __init__(self, inside: Any) -> None:
        self._inside = np.asarray(inside)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        return self._inside


class _Subclass(np.ndarray):  # type: ignore[type-arg]
    def sum(self, *args: Any, **kwargs: Any) -> Any:
        return np.ones(self.shape[:-1])


class _Detached:
    """Has a method of tensors, and is none."""

    def detach(self) -> Any:
        return self


def _frame(p: Any) -> Any:
    import pandas

    return pandas.DataFrame(p.reshape(-1, p.shape[-1]).numpy())


def _labelled(p: Any) -> Any:
    import xarray

    return xarray.DataArray(p.numpy(), dims=("a", "b", "c"))


def _masked(p: Any) -> Any:
    return np.ma.masked_array(p.numpy(), mask=np.zeros(p.shape, dtype=bool))


def _hidden(p: Any) -> Any:
    mask = np.zeros(p.shape, dtype=bool)
    mask[..., 0] = True
    return np.ma.masked_array(p.numpy(), mask=mask)


def _strange(p: Any, values: Any) -> Any:
    out = p.clone()
    out[..., 0] = values
    return out


RIGHT: dict[str, Form] = {
    "float32": lambda p: p.float(),
    "float16": lambda p: p.half(),
    "bfloat16": lambda p: p.bfloat16(),
    "an array": lambda p: p.numpy(),
    "long double": lambda p: p.numpy().astype(np.longdouble),
    "big-endian": lambda p: p.numpy().astype(">f8"),
    "lists": lambda p: p.tolist(),
    "tuples of tensors": tuple,
    "objects": lambda p: p.numpy().astype(object),
    "fractions": lambda p: np.vectorize(Fraction, otypes=[object])(p.numpy()),
    "decimals": lambda p: np.vectorize(lambda x: Decimal(float(x)), otypes=[object])(p.numpy()),
    "strings": lambda p: p.numpy().astype(str),
    "a masked array": _masked,
    "a matrix of a subclass": lambda p: p.numpy().view(_Subclass),
    "__array__": _Slow,
    "a DataArray": _labelled,
    "sparse": lambda p: p.to_sparse(),
    "with gradient": lambda p: p.clone().requires_grad_(),
    "named": lambda p: p.rename("a", "b", "c"),
    "a parameter": torch.nn.Parameter,
    "a negative view": lambda p: torch._neg_view(-p),
    "expanded": lambda p: p[:1].expand(p.shape) if len(p) == 1 else p,
    "strided": lambda p: p.repeat_interleave(2, -1)[..., ::2],
    "Fortran order": lambda p: np.asfortranarray(p.numpy()),
    "complex": lambda p: p + 0j,
    "nested": lambda p: torch.nested.nested_tensor(list(p)),
}
WRONG: dict[str, Form] = {
    "None": lambda p: None,
    "NaN": lambda p: p * float("nan"),
    "infinite": lambda p: _strange(p, float("inf")),
    "negative": lambda p: _strange(p, -0.1),
    "logits": lambda p: p.log(),
    "twice": lambda p: p * 2,
    "zeros": lambda p: p * 0,
    "whole numbers": lambda p: p.long(),
    "bool": lambda p: p.bool(),
    "meta": lambda p: p.to("meta"),
    "one token more": lambda p: torch.cat([p, p[..., :1] * 0], -1),
    "one position less": lambda p: p[:, :-1],
    "no batch": lambda p: p[0],
    "transposed": lambda p: p.transpose(1, 2),
    "a generator": lambda p: (row for row in p),
    "a scalar": lambda p: 1.0,
    "empty": lambda p: p[:0],
    "a string": lambda p: "probabilities",
    "a pair": lambda p: (p, p),
    "a dictionary": lambda p: {"probs": p},
    "a frame": _frame,
    "hidden by a mask": _hidden,
    "dates": lambda p: p.numpy().astype("datetime64[s]"),
    "records": lambda p: np.zeros(p.shape, dtype=[("a", float)]),
    "has detach": lambda p: _Detached(),
    "a class": lambda p: type(p),
    "deep": lambda p: odd.deep(__import__("random").Random(0), 5_000),
}
"""None of these is the law, in whatever form it is read."""

SIZES: tuple[Any, ...] = (
    True, "3", 3.0, None, -1, 0, float("nan"), 2**63, 10**30, 10**9, [3], np.float64(3), b"3", object(),
)  # fmt: skip
SAME_SIZES: tuple[Any, ...] = (np.int64(3), np.uint8(3), torch.tensor(3), np.array(3))
GRIDS: tuple[Any, ...] = ((2, 2), (0,), (), "ab", (None, None), (2, float("nan")), [2, 2.0], np.array([2, 2]), -3,
                          {"a": 1}, torch.tensor([2, 2]))  # fmt: skip


class Odd:
    """The model of the originals, in another form."""

    vocab_size: Any = originals.V
    num_tokens: Any = originals.N

    def __init__(self, form: Form) -> None:
        self._form, self.calls = form, 0
        self._room = torch.zeros(2**14, originals.N, originals.V, dtype=torch.float64)

    def next_token_probs(self, tokens: Any) -> Any:
        self.calls += 1
        return self._form(originals.model().next_token_probs(tokens).double())


class _Raises:
    num_tokens = originals.N

    @property
    def vocab_size(self) -> int:
        raise RuntimeError("no size")


class _Leaves(_Raises):
    @property
    def vocab_size(self) -> int:
        raise SystemExit(0)


def _reuses(model: Odd) -> Form:
    """Every law comes in the same place of memory, which the next call overwrites."""

    def form(p: Any) -> Any:
        model._room[: len(p), : p.shape[1]] = p
        return model._room[: len(p), : p.shape[1]].numpy()

    return form


def _writes(tokens: Any) -> Any:
    found = originals.model().next_token_probs(tokens.clone())
    tokens[:] = 0
    return found


def honest(model: Any, num_sequences: int, seed: int) -> Any:
    return subject("scd-mc", originals.WINDOW)(originals.model(), num_sequences, seed)


def hostile(case: Case) -> None:
    """One model."""
    rng = case.rng
    what = rng.choice(("right", "right", "wrong", "wrong", "sometimes", "size", "same size", "grid", "behaviour"))
    stands = what in ("right", "same size", "grid", "behaviour")
    model: Any = Odd(lambda p: p)
    if what in ("right", "wrong"):
        name, model._form = rng.choice(list((RIGHT if stands else WRONG).items()))
    elif what == "sometimes":
        name, form = rng.choice(list(WRONG.items()))
        when = rng.randrange(1, 12)
        model._form = lambda p: form(p) if model.calls == when else p
        name = f"{name} at call {when}"
    elif what in ("size", "same size"):
        attribute = "vocab_size" if what == "same size" else rng.choice(("vocab_size", "num_tokens"))
        value = rng.choice(SIZES if what == "size" else SAME_SIZES)
        setattr(model, attribute, value)
        name = f"{attribute} = {value!r}"
    elif what == "grid":
        attribute, value = rng.choice(("grid", "grid_width")), rng.choice(GRIDS)
        setattr(model, attribute, value)
        name = f"{attribute} = {value!r}"
    else:
        name, model = _behaviour(case, model)
    case.describe(f"{what}: {name}")
    verdict = case.door("audit", lambda: originals.audit(honest, model, max_sequences=256))
    if verdict is None:
        return
    if verdict.outcome is Outcome.REFUTED and stands:
        case.found(f"an honest decoder is REFUTED: {str(verdict)[:600]}")
    if what == "wrong":
        case.found(f"{verdict.outcome.name}, although the model's laws are none")


def _behaviour(case: Case, model: Odd) -> tuple[str, Any]:
    name = case.rng.choice(("reuses", "writes", "property raises", "property leaves", "no method", "a class", "None"))
    if name == "reuses":
        model._form = _reuses(model)
    elif name == "writes":
        model.next_token_probs = _writes  # type: ignore[method-assign]
    elif name == "no method":
        model.next_token_probs = 3  # type: ignore[assignment, method-assign]
    other = {"property raises": _Raises(), "property leaves": _Leaves(), "a class": Odd, "None": None}
    return name, other.get(name, model)
