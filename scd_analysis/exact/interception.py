"""Intercept every draw of PyTorch, NumPy and Python for as long as a context lasts, and leave no trace of it."""

from __future__ import annotations

import gc
import random as python_random
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from itertools import compress
from typing import Any

import numpy as np
import torch

from scd_analysis.errors import CannotEnumerate, InputError
from scd_analysis.exact import numbers, numpy_draws, python_draws
from scd_analysis.exact.patches import Patches
from scd_analysis.exact.refusals import refuse
from scd_analysis.exact.run import REPEATED_NOISE, active, drawing
from scd_analysis.exact.torch import scalars
from scd_analysis.exact.torch.generators import GENERATORS, seeded
from scd_analysis.exact.torch.modes import DispatchMode, seen_on_threads

_MOST_GENERATORS = 64

_open: list[Patches] = []  # the interception that lasts, if any


def _guarded(original: Callable[..., Any], replacement: Callable[..., Any]) -> Callable[..., Any]:
    """Leave other threads, and modules that are being imported, alone."""

    def function(*args: Any, **kwargs: Any) -> Any:
        return original(*args, **kwargs) if drawing() is None else replacement(*args, **kwargs)

    function.__name__ = getattr(original, "__name__", "function")
    return function


def _torch_seed(result: Callable[[], Any]) -> Callable[..., Any]:
    def ignore(*args: Any, **kwargs: Any) -> Any:
        run = active()
        if run is not None and (args or kwargs):
            seeded(run, [*args, *kwargs.values()][0])
        return result()

    return ignore


def _torch_restored(*_: Any, **__: Any) -> Any:
    refuse("torch.set_rng_state", REPEATED_NOISE)


def _seeded_generator() -> type:
    """Make a stand-in for ``torch.Generator`` that notices seeds and states."""
    original = torch.Generator

    def manual_seed(self: Any, seed: int) -> Any:
        run = active()
        if run is None:
            return original.manual_seed(self, seed)
        run.note("a seed of a torch.Generator was ignored")
        return original.manual_seed(self, seed)

    def set_state(self: Any, state: Any) -> Any:
        return original.set_state(self, state) if active() is None else _torch_restored()

    kind = type(
        "AcceptsOriginals", (type(original),), {"__instancecheck__": lambda own, value: type(value) in (original, own)}
    )
    return kind("Generator", (original,), {"manual_seed": manual_seed, "set_state": set_state})


def _eager(model: Any = None, **_: Any) -> Any:
    """Stand in for ``torch.compile``: compiled code would draw out of sight."""
    return (lambda function: function) if model is None else model


def _traced(function: Any, *_: Any, **__: Any) -> Any:
    """Stand in for ``torch.jit.trace``: a trace would hold the variates of the run that made it."""
    return function


def _without_refusals(function: Callable[[], None]) -> Callable[[], None]:
    """Threads print what they raise; a refusal has been taken note of by then."""

    def run() -> None:
        with suppress(CannotEnumerate):
            function()

    return run


def _started(original: Callable[..., Any]) -> Callable[..., Any]:
    def start(self: Any) -> None:
        if active() is not None:
            self.run = _without_refusals(seen_on_threads(self.run))
        original(self)

    return start


def _submitted(original: Callable[..., Any]) -> Callable[..., Any]:
    def submit(self: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        return original(self, fn if active() is None else seen_on_threads(fn), *args, **kwargs)

    return submit


Pair = tuple[Any, Any]
"""An object and what stands in for it."""


def _replacements() -> list[Pair]:
    """Give what stands in for what in every imported module."""
    found: list[Pair] = []
    legacy = numpy_draws.methods_of(np.random.RandomState, numpy_draws.LEGACY)
    legacy.update({name: numpy_draws.LEGACY[name] for name in ("sample", "ranf")})
    for name, function in legacy.items():
        original = getattr(np.random, name, None)
        if original is not None:
            found.append((original, _guarded(original, function)))
    generator = numpy_draws.symbolic_class(np.random.Generator, numpy_draws.GENERATOR)
    found.append((np.random.Generator, generator))
    found.append((np.random.default_rng, _guarded(np.random.default_rng, lambda *args, **kw: generator(*args, **kw))))
    found.append((np.random.RandomState, numpy_draws.symbolic_class(np.random.RandomState, numpy_draws.LEGACY)))
    found += scalars.factories()
    found += numpy_draws.array_functions()
    found += python_draws.module_functions(python_random)
    found += python_draws.math_functions()
    for name, result in (("manual_seed", lambda: torch.default_generator), ("seed", lambda: 0)):
        found.append((getattr(torch, name), _guarded(getattr(torch, name), _torch_seed(result))))
    found.append((torch.set_rng_state, _guarded(torch.set_rng_state, _torch_restored)))
    found.append((torch.Generator, _seeded_generator()))
    found.append((torch.compile, _guarded(torch.compile, _eager)))
    found.append((torch.jit.trace, _guarded(torch.jit.trace, _traced)))
    for name in ("manual_seed", "manual_seed_all", "seed", "seed_all"):
        original = getattr(torch.cuda, name)
        found.append((original, _guarded(original, _torch_seed(lambda: None))))
    return found


class Watch:
    """The states of all real generators: none may change, or a draw has escaped."""

    def __init__(self, foreign: list[Any]) -> None:
        self._foreign = foreign
        self._before = self._states()

    def _states(self) -> tuple[Any, ...]:
        keys = np.random.get_state(legacy=False)  # noqa: NPY002 -- this state is guarded
        return (
            torch.get_rng_state().numpy().tobytes(),
            (keys["state"]["key"].tobytes(), keys["state"]["pos"]),
            python_random.getstate(),
            tuple(_state_of(generator) for generator in self._foreign),
        )

    def check(self) -> None:
        """Check that no real generator has advanced.

        Raises
        ------
        CannotEnumerate
            Naming whose generator did.
        """
        owners = (
            "PyTorch's generator",
            "numpy.random",
            "Python's random",
            "a numpy generator made outside the sampler",
        )
        for owner, before, now in zip(owners, self._before, self._states(), strict=True):
            if before != now:
                raise CannotEnumerate(
                    f"the sampler drew from {owner} in a way that is not intercepted (compiled code, or a generator "
                    "hidden in a tuple, a default argument or another object): its draws cannot be enumerated"
                )


def _state_of(generator: Any) -> Any:
    source = getattr(generator, "bit_generator", None) or generator._bit_generator
    return repr(source.state)


def _foreign_generators() -> list[Any]:
    """Find the NumPy generators that live in this process, other than the global one."""
    kinds = (np.random.Generator, np.random.RandomState)
    shared = np.random.mtrand._rand
    objects = gc.get_objects()
    types = list(map(type, objects))
    if not any(map(types.count, kinds)):  # the shared one may be out of sight, as after gc.freeze
        return []
    found = compress(objects, map(frozenset(map(id, kinds)).__contains__, map(id, types)))  # half a million: in C
    return [value for value in found if value is not shared][:_MOST_GENERATORS]


@contextmanager
def _restored_states(foreign: list[Any], sampler: Any) -> Iterator[None]:
    torch_state, python_state = torch.get_rng_state(), python_random.getstate()
    numpy_state = np.random.get_state()  # noqa: NPY002 -- this state is guarded
    sources = [getattr(g, "bit_generator", None) or g._bit_generator for g in foreign]
    states = [source.state for source in sources]
    GENERATORS.remember(sampler)
    try:
        yield
    finally:
        torch.set_rng_state(torch_state)
        np.random.set_state(numpy_state)  # noqa: NPY002 -- this state is guarded
        python_random.setstate(python_state)
        for source, state in zip(sources, states, strict=True):
            source.state = state
        GENERATORS.restore()


def _apply(patches: Patches, replacements: list[Pair], foreign: list[Any]) -> None:
    if foreign:
        stand_ins = {original: stand_in for original, stand_in in replacements if isinstance(original, type)}
        patches.references({id(value): stand_ins[type(value)]() for value in foreign}, foreign)
    for owner in (python_random.Random, python_random.SystemRandom):
        for name, method in python_draws.random_methods(owner).items():
            patches.attribute(owner, name, method)
    patches.attribute(threading.Thread, "start", _started(threading.Thread.start))
    patches.attribute(ThreadPoolExecutor, "submit", _submitted(ThreadPoolExecutor.submit))
    for name, method in scalars.methods().items():
        patches.attribute(torch.Tensor, name, method)
    patches.attribute(torch.distributions.Gumbel, "rsample", _gumbel_sample(torch.distributions.Gumbel.rsample))
    patches.attribute(torch.distributions.Gumbel, "sample", _gumbel_sample(torch.distributions.Gumbel.sample))
    patches.everywhere({id(original): stand_in for original, stand_in in replacements})


def _gumbel_sample(original: Callable[..., Any]) -> Callable[..., Any]:
    """PyTorch cuts the uniform variate off by machine precision, a guard that real numbers do not need."""

    def sample(self: Any, sample_shape: Any = ()) -> Any:
        run = drawing()
        if run is None:
            return original(self, sample_shape)
        run.note("torch.distributions.Gumbel was taken as Gumbel noise without its cut at machine precision")
        noise = torch.empty(self._extended_shape(torch.Size(sample_shape)), dtype=self.loc.dtype).exponential_()
        return self.loc - self.scale * noise.to(self.loc.device).log()

    return sample


def _give_back(replacements: list[Pair], known: set[str]) -> None:
    """Give the originals to modules that were imported in the meantime and picked the stand-ins up."""
    Patches().everywhere({id(stand_in): original for original, stand_in in replacements}, skipped=known)


@contextmanager
def intercepted(sampler: Any = None) -> Iterator[Watch]:
    """Intercept all draws made on this thread while a run is active; give a watch over the real generators.

    Those of PyTorch that the sampler leads to are given back as they were, too.
    """
    if _open:
        raise InputError("draws are intercepted already: one enumeration at a time")
    foreign = _foreign_generators()
    patches = Patches()
    with ExitStack() as stack:
        _open.append(patches)
        stack.callback(_open.pop)
        stack.enter_context(_restored_states(foreign, sampler))
        watch = Watch(foreign)
        stack.callback(numbers.unbind)
        replacements = _replacements()
        stack.callback(_give_back, replacements, set(sys.modules))
        stack.callback(patches.restore)
        _apply(patches, replacements, foreign)
        if "torch._dynamo" in sys.modules:  # something may have been compiled before
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.enter_context(DispatchMode())  # type: ignore[no-untyped-call]
        yield watch


@contextmanager
def watched(sampler: Any = None) -> Iterator[Watch]:
    """Intercept nothing; give a watch over the shared generators, and those of PyTorch that the sampler leads to."""
    with _restored_states([], sampler):
        yield Watch([])
