"""Runs of the reference decoder, each made once: kept as traces, found again while everything they depend on agrees.

The name of a trace carries a fingerprint of the model's weights and of the decoder's source, and a trace gets its name
only when complete; so an interrupted render goes on where it stopped, and a retrained model or a changed decoder is
decoded afresh. Runs of a kind are made, cleaned up and opened under a lock, so that two renders can share a folder.
Runs do not depend on each other: several are made at a time, each on one thread.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import xarray as xr
from filelock import FileLock, Timeout

import reference
from scd_analysis.common.parallel import side_by_side
from scd_analysis.errors import InputError
from scd_analysis.figures.base import COUPLING_OF, Run
from scd_analysis.trace import open_trace
from scd_analysis.trace.place import remove_leftovers
from studies.gallery.exhibit import RunSpec

Report = Callable[[str, float], None]


def _digest(parts: Iterable[bytes]) -> str:
    state = hashlib.sha256()
    for part in parts:
        state.update(hashlib.sha256(part).digest())
    return state.hexdigest()[:12]


def _sources() -> Iterator[bytes]:
    """What decides a draw: the decoder, its models, the formulas on two laws."""
    for folder in ("reference", "reference.models"):
        for item in sorted(files(folder).iterdir(), key=lambda item: item.name):
            if item.name.endswith(".py"):
                yield item.read_bytes()
    yield (files("scd_analysis.laws") / "kernels.py").read_bytes()


def shipped_fingerprint(name: str) -> str:
    """Fingerprint of a shipped model's weights."""
    reference.load_model(name)  # an unknown name is refused in its words
    return _digest([(files("reference.models") / "weights" / f"{name}.safetensors").read_bytes()])


def available_jobs(device: str | None) -> int:
    """Runs to make at a time here: one a core, or one on an accelerator."""
    return min(8, len(os.sched_getaffinity(0))) if device in (None, "cpu") else 1


def _silent(item: str, share: float) -> None:
    pass


def _work(spec: RunSpec) -> int:
    """Roughly what a run costs, in no unit."""
    return spec.num_sequences * (spec.window + 16)


@dataclass
class RunStore:
    """Makes runs and keeps them.

    Attributes
    ----------
    folder : Path
        Where traces are kept.
    seed : int
        Key of every draw.
    device : str or None
        Where to decode.
    load_model : callable
        Name to model.
    fingerprint : callable
        Name to something that changes with the model.
    jobs : int
        Runs made at a time, where ``joblib.parallel_config`` says if more than one.
    report : callable
        Gets what was done last and the share of the work that is done.
    patience : float
        Seconds to wait for another process that makes the same run.
    """

    folder: Path
    seed: int = 0
    device: str | None = None
    jobs: int = 1
    load_model: Callable[[str], Any] = reference.load_model
    fingerprint: Callable[[str], str] = shipped_fingerprint
    report: Report = _silent
    patience: float = 3600.0
    _models: dict[str, Any] = field(default_factory=dict)
    _weights: dict[str, str] = field(default_factory=dict)
    _source: str = field(default_factory=lambda: _digest(_sources()))

    def prepare(self, specs: Iterable[RunSpec]) -> None:
        """Make every run that is missing, the longest that is asked for of each kind."""
        longest: dict[tuple[str, str, int], RunSpec] = {}
        for spec in specs:
            key = (spec.model, spec.method, spec.window)
            if key not in longest or longest[key].num_sequences < spec.num_sequences:
                longest[key] = spec
        missing = sorted((spec for spec in longest.values() if self._find(spec) is None), key=_work, reverse=True)
        if missing:
            self.report(f"{len(missing)} runs", 0.0)
        done = 0
        for spec in self._made(missing):
            done += _work(spec)
            self.report(
                f"{spec.model}, {spec.method}, window {spec.window}: {spec.num_sequences} sequences",
                done / sum(map(_work, missing)),
            )

    def _made(self, missing: list[RunSpec]) -> Iterator[RunSpec]:
        """Make runs, and say which are done."""
        jobs = min(self.jobs, len(missing))
        if jobs <= 1:
            yield from map(self._decode, missing)
            return
        yield from side_by_side(replace(self, report=_silent, _models={})._decode, missing, jobs)

    def get(self, spec: RunSpec) -> Run:
        """A run, made now if need be, cut to as many sequences as were asked for."""
        trace = self._opened(spec)
        model = self._model(spec.model)
        card = getattr(model, "card", {})
        settings = {
            "model": spec.model,
            "method": spec.method,
            "window": spec.window,
            "num_sequences": spec.num_sequences,
            "seed": self.seed,
            "device": trace.attrs["device"],
            "dtype": trace.attrs["dtype"],
            "generator": trace.attrs["generator"],
            "weights": self._weights_of(spec.model),
            # what is decoded is the null class, so these are its bits, not the smaller ones given the class
            "bits_per_token_held_out": card.get("bits_per_token_null_class", card.get("bits_per_token_held_out")),
            "bits_per_token_given_class": card.get("bits_per_token_held_out"),
        }
        return Run(spec.method, spec.window, trace, COUPLING_OF.get(spec.method), settings, model)

    def _opened(self, spec: RunSpec) -> xr.Dataset:
        while True:
            self.prepare([spec])
            with self._alone(spec):
                path = self._find(spec)
                if path is not None:  # another process may have put one of newer code in its place
                    return open_trace(path).isel(sequence=slice(spec.num_sequences))

    @contextmanager
    def _alone(self, spec: RunSpec) -> Iterator[None]:
        """Hold the lock on runs of this kind; the system lets go of it when a process ends, however it does."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / f".{self._stem(spec)}.lock", timeout=self.patience)
        try:
            with lock:
                yield
        except Timeout:
            raise InputError(
                f"cache = {self.folder}: another process has been making {self._stem(spec)}* for more than "
                f"{self.patience:g} s; wait for it, or name another folder"
            ) from None

    def _model(self, name: str) -> Any:
        if name not in self._models:
            self._models[name] = self.load_model(name)
        return self._models[name]

    def _weights_of(self, name: str) -> str:
        if name not in self._weights:
            self._weights[name] = self.fingerprint(name)
        return self._weights[name]

    def _stem(self, spec: RunSpec) -> str:
        place = "" if self.device is None else f"-{re.sub('[^a-z0-9]', '', self.device)}"
        return f"{spec.model}-{spec.method}-w{spec.window}-s{self.seed}{place}-"

    def _tail(self, spec: RunSpec) -> str:
        return _digest([self._weights_of(spec.model).encode(), self._source.encode()]) + ".zarr.zip"

    def _find(self, spec: RunSpec) -> Path | None:
        """A complete trace of at least as many sequences, with the same model and decoder."""
        stem, tail = self._stem(spec), self._tail(spec)
        for path in sorted(self.folder.glob(f"{stem}n*-{tail}")):
            count = re.fullmatch(rf"{re.escape(stem)}n(\d+)-{re.escape(tail)}", path.name)
            if count and int(count[1]) >= spec.num_sequences:
                return path
        return None

    def _decode(self, spec: RunSpec) -> RunSpec:
        with self._alone(spec):
            if self._find(spec) is not None:  # made by another process while this one waited
                return spec
            stem = self._stem(spec)
            path = self.folder / f"{stem}n{spec.num_sequences}-{self._tail(spec)}"
            remove_leftovers(path)
            reference.decode(
                self._model(spec.model),
                spec.method,
                window=1 if spec.method == "ar" else spec.window,  # it drafts nothing: the rest would be unused slots
                num_sequences=spec.num_sequences,
                seed=self.seed,
                device=self.device,
                out_path=path,
                progress=False,
            )
            for old in self.folder.glob(f"{stem}n*-*.zarr.zip"):
                if old != path and re.fullmatch(rf"{re.escape(stem)}n\d+-[0-9a-f]{{12}}\.zarr\.zip", old.name):
                    old.unlink()  # shorter, or of other weights: never read again
        return spec
