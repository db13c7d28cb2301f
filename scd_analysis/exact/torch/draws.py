"""PyTorch's random operations: discrete draws branch at once, uniform and exponential ones give variates."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from scd_analysis.errors import LawError
from scd_analysis.exact.arithmetic import Number, normalised
from scd_analysis.exact.discrete import binomial, categorical, fair, permutation, without_replacement
from scd_analysis.exact.numbers import Term, Unknown, is_random, new_variate, unary
from scd_analysis.exact.refusals import refuse
from scd_analysis.exact.run import Run
from scd_analysis.exact.torch.entries import write_terms
from scd_analysis.exact.torch.generators import GENERATORS
from scd_analysis.exact.torch.movement import copy_out
from scd_analysis.exact.torch.schemas import schema
from scd_analysis.exact.torch.shadow import Undrawn, fill_random, fill_undrawn, read_terms

_SET_STATE = torch.set_rng_state  # before it is intercepted

_FACTORY = ("dtype", "layout", "device", "pin_memory", "memory_format")


def drawn(run: Run, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Answer a random operation.

    Raises
    ------
    CannotEnumerate
        If it has neither finitely many results nor a uniform or exponential law.
    """
    given = schema(func).bind(args, kwargs)
    GENERATORS.drawn_from(run, given.get("generator"))
    name = schema(func).name
    handler = _HANDLERS.get(name)
    if handler is None:
        return _unknown(func, name, args, kwargs, given, run)
    out = handler(run, given)
    target = given.get("out")
    if target is None:
        return out
    return copy_out(run, out, target)


def _unknown(func: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], given: Any, run: Run) -> Any:
    """Let a normal or similar variate pass, to be refused if it decides anything."""
    why = "it can be enumerated neither by branching nor as a uniform or exponential variate"
    target = given.get("self") if name.endswith("_") else None
    if target is None and name in ("randn", "randn_like", "normal", "normal_functional", "poisson", "_standard_gamma"):
        state = torch.get_rng_state()
        kwargs = {key: value for key, value in kwargs.items() if key != "generator"}
        target = func(*args, **kwargs)
        _SET_STATE(state)
    if not isinstance(target, torch.Tensor) or not target.dtype.is_floating_point:
        refuse(name, why)
    return fill_random(run, target, [Unknown(name, why)])


def _empty(given: dict[str, Any], size: Sequence[int]) -> torch.Tensor:
    options = {name: given[name] for name in _FACTORY if given.get(name) is not None}
    return torch.empty(list(size), **options)


def _uniforms(run: Run, tensor: torch.Tensor, low: Number = 0.0, high: Number = 1.0) -> torch.Tensor:
    if tensor.dtype.is_floating_point:
        terms: list[Term] = [low + (high - low) * new_variate(run) for _ in range(tensor.numel())]
        return fill_random(run, tensor, terms)
    return refuse("uniform_", f"a tensor of {tensor.dtype} cannot hold uniform variates")


def _rand(run: Run, given: dict[str, Any]) -> torch.Tensor:
    if given.get("out") is not None:
        given = {**given, "dtype": given["out"].dtype, "device": given["out"].device}
    return _uniforms(run, _empty(given, given["size"]))


def _like(given: dict[str, Any]) -> torch.Tensor:
    options = {name: given[name] for name in _FACTORY if given.get(name) is not None}
    return torch.empty_like(given["self"], **options)


def _exponential(run: Run, given: dict[str, Any]) -> torch.Tensor:
    rate = float(given["lambd"])
    target = given["self"]
    return fill_random(run, target, [unary("log", new_variate(run)) / -rate for _ in range(target.numel())])


def _concrete(run: Run, tensor: torch.Tensor, what: str) -> list[float]:
    """Give the entries of a tensor of weights, each at its exact value in float64."""
    terms = read_terms(run, tensor)
    for term in terms:
        if is_random(term):
            refuse(what, "its weights are themselves random and undecided")
    return [float(term) for term in terms]


def _chance(run: Run, probability: float) -> bool:
    if not 0 <= probability <= 1:
        raise RuntimeError("Expected p_in >= 0 && p_in <= 1 to be true, but got false.")
    p = run.known.number(probability)
    return run.walk.choose("bernoulli", [1 - p, p]) == 1


def _bernoulli(run: Run, given: dict[str, Any]) -> torch.Tensor:
    """``bernoulli(probabilities)`` or ``bernoulli(tensor, p)``."""
    source = given["self"]
    if isinstance(given.get("p"), (int, float)):
        chances = [float(given["p"])] * source.numel()
    else:
        chances = _concrete(run, source, "bernoulli")
    values = [float(_chance(run, p)) for p in chances]
    return torch.tensor(values, dtype=source.dtype, device=source.device).reshape(source.shape)


def _native_dropout(run: Run, given: dict[str, Any]) -> Any:
    """Dropout as autograd does it: the result, and the mask of what was kept."""
    source, kept = given["input"], 1 - float(given["p"])
    mask = torch.empty(source.shape, dtype=torch.bool, device=source.device)
    _overwrite(run, mask, [float(_chance(run, kept)) for _ in range(source.numel())])
    terms = read_terms(run, source)
    out = torch.zeros_like(source)
    chosen = [term / kept if keep else 0.0 for term, keep in zip(terms, read_terms(run, mask), strict=True)]
    return _overwrite(run, out, chosen), mask


def _bernoulli_inplace(run: Run, given: dict[str, Any]) -> torch.Tensor:
    target, p = given["self"], given["p"]
    if isinstance(p, torch.Tensor):
        chances = _concrete(run, p.expand_as(target), "bernoulli_")
    else:
        chances = [float(p)] * target.numel()
    return _overwrite(run, target, [float(_chance(run, chance)) for chance in chances])


def _overwrite(run: Run, target: torch.Tensor, values: Sequence[Any]) -> torch.Tensor:
    write_terms(run, target, range(target.numel()), list(values))
    return target


def _binomial(run: Run, given: dict[str, Any]) -> torch.Tensor:
    trials, chances = given["count"], given["prob"]
    rows = zip(_concrete(run, trials, "binomial"), _concrete(run, chances, "binomial"), strict=True)
    values = [float(binomial(run, int(count), chance)) for count, chance in rows]
    return torch.tensor(values, dtype=trials.dtype, device=trials.device).reshape(trials.shape)


def _multinomial(run: Run, given: dict[str, Any]) -> torch.Tensor:
    weights, count = given["self"], given["num_samples"]
    if weights.dim() not in (1, 2) or weights.shape[-1] == 0 or count <= 0:
        raise RuntimeError("prob_dist must be 1 or 2 dim, not empty, and n_sample > 0")
    flat, width = _concrete(run, weights, "multinomial"), weights.shape[-1]
    if any(not math.isfinite(weight) or weight < 0 for weight in flat):
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    if not given["replacement"] and count > width:
        raise RuntimeError("cannot sample n_sample > prob_dist.size(-1) samples without replacement")
    draw = categorical if given["replacement"] or count == 1 else None
    rows: list[Any] = []
    for start in range(0, len(flat), width):
        row = flat[start : start + width]
        try:
            law = normalised(row, run.walk.rational)
        except LawError:
            raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)") from None
        if draw:
            rows += [Undrawn(lambda law=law: draw(run, law)) for _ in range(count)]  # type: ignore[misc]
        else:
            possible = sum(weight > 0 for weight in law)
            rows += _filled_up(weights, without_replacement(run, law, min(count, possible)), count)
    out = torch.empty((*weights.shape[:-1], count), dtype=torch.int64, device=weights.device)
    return fill_undrawn(run, out, rows) if draw else _overwrite(run, out, rows)


def _filled_up(weights: torch.Tensor, drawn: list[int], count: int) -> list[int]:
    """Fill up with categories of weight zero where too few have any, those that PyTorch takes.

    PyTorch takes the ``count`` largest of weight over exponential noise; which of the zeros those are depends on the
    order of the others only.
    """
    if len(drawn) == count:
        return drawn
    times = torch.zeros(weights.shape[-1], dtype=weights.dtype, device=weights.device)
    for place, index in enumerate(drawn):
        times[index] = len(drawn) - place
    return times.topk(count).indices.tolist()  # type: ignore[no-any-return]


def _randint(run: Run, given: dict[str, Any]) -> torch.Tensor:
    low, high = int(given.get("low") or 0), int(given["high"])
    like = given.get("self")
    out = _like(given) if like is not None else _empty({"dtype": torch.int64, **_set(given)}, given["size"])
    if low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    return _overwrite(run, out, [low + fair(run, high - low) for _ in range(out.numel())])


def _set(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None and not (name == "dtype" and value == 4)}


def _random(run: Run, given: dict[str, Any]) -> torch.Tensor:
    target = given["self"]
    low, high = given.get("from") or 0, given.get("to")
    if high is None:
        refuse("random_", "without bounds it has too many results to enumerate")
    return _overwrite(run, target, [low + fair(run, int(high) - int(low)) for _ in range(target.numel())])


def _randperm(run: Run, given: dict[str, Any]) -> torch.Tensor:
    out = _empty({"dtype": torch.int64, **_set(given)}, [given["n"]])
    return _overwrite(run, out, permutation(run, given["n"]))


_HANDLERS: dict[str, Callable[[Run, dict[str, Any]], torch.Tensor]] = {
    "rand": _rand,
    "rand_like": lambda run, given: _uniforms(run, _like(given)),
    "uniform": lambda run, given: _uniforms(run, torch.empty_like(given["self"]), given["from"], given["to"]),
    "uniform_": lambda run, given: _uniforms(run, given["self"], given["from"], given["to"]),
    "exponential": lambda run, given: _exponential(run, {**given, "self": torch.empty_like(given["self"])}),
    "exponential_": _exponential,
    "bernoulli": _bernoulli,
    "bernoulli_": _bernoulli_inplace,
    "binomial": _binomial,
    "native_dropout": _native_dropout,
    "multinomial": _multinomial,
    "randint": _randint,
    "randint_like": _randint,
    "random_": _random,
    "randperm": _randperm,
}
