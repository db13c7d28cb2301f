"""Which processing turns a model's laws into those that an engine reports: temperature, top-k, top-p, or none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scd_analysis.evidence.batch import Floats, Longs

LEAST_LOG_PROB = -30.0
"""Below it a reported number tells nothing of a temperature, nats."""

SAME_MASS = 0.01
"""Relative difference of two normalising constants that may be rounding."""

SAME_TEMPERATURE = 0.005

TEMPERATURES = np.exp(np.linspace(np.log(0.2), np.log(5), 129))
"""Tried where only the drawn token's number is reported."""


@dataclass(frozen=True)
class Processing:
    """What is done to a law, in this order.

    Attributes
    ----------
    temperature : float
    top_k : int or None
    top_p : float or None
        The middle of what the laws allow.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    @property
    def is_raw(self) -> bool:
        """Whether nothing is done."""
        return self == Processing()

    def __call__(self, laws: Floats) -> Floats:
        """Process laws Float[P, V]."""
        with np.errstate(divide="ignore"):
            logs = np.log(laws) / self.temperature
        out = np.exp(logs - logs.max(axis=-1, keepdims=True))
        out /= out.sum(axis=-1, keepdims=True)
        if self.top_k is not None or self.top_p is not None:
            order = np.argsort(-out, axis=-1, kind="stable")
            kept = np.take_along_axis(out, order, axis=-1)
            before = kept.cumsum(axis=-1) - kept
            rank = np.arange(out.shape[-1])
            is_out = (rank >= self.top_k) if self.top_k is not None else before >= (self.top_p or 1.0)
            np.put_along_axis(out, order, np.where(is_out, 0.0, kept), axis=-1)
            out /= out.sum(axis=-1, keepdims=True)
        return np.asarray(out)

    def __str__(self) -> str:
        said = [] if self.temperature == 1 else [f"temperature {self.temperature:.3g}"]
        said += [] if self.top_k is None else [f"top-k {self.top_k}"]
        said += [] if self.top_p is None else [f"top-p {self.top_p:.3g}"]
        return ", ".join(said) or "raw"


@dataclass(frozen=True)
class Entries:
    """Reported numbers beside the model's laws.

    Attributes
    ----------
    laws : Float[P, V]
        The model's, of each position.
    position, token : Long[M]
        Of each number.
    log_prob : Float[M]
    """

    laws: Floats
    position: Longs
    token: Longs
    log_prob: Floats

    @property
    def own(self) -> Floats:
        """Return Float[M], ln of what the model gives each."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self.laws[self.position, self.token]))

    def variation(self, laws: Floats) -> Floats:
        """Return Float[P], the total variation from laws, with what is not listed as one cell."""
        own, told = laws[self.position, self.token], np.exp(self.log_prob)
        size = len(laws)
        listed = np.bincount(self.position, np.abs(own - told), size)
        rest = np.bincount(self.position, own, size) - np.bincount(self.position, told, size)
        return np.asarray(np.minimum((listed + np.abs(rest)) / 2, 1.0))


def recognise(entries: Entries) -> Processing:
    """Say what the reported numbers look like; raw where they look like nothing that is known.

    Differences of logarithms within one law tell the temperature, and what is left, the mass that was kept.
    """
    told = (entries.log_prob > LEAST_LOG_PROB) & np.isfinite(entries.own)
    position, own, log_prob = entries.position[told], entries.own[told], entries.log_prob[told]
    if not len(own):
        return Processing()
    temperature = _temperature(entries, position, own, log_prob)
    count = np.maximum(np.bincount(position, minlength=len(entries.laws)), 1)
    mass = np.exp(np.bincount(position, own / temperature - log_prob, len(entries.laws)) / count)
    there = np.unique(position)
    weights = -np.sort(-(entries.laws[there] ** (1 / temperature)), axis=-1)
    return _kept(temperature, weights.cumsum(axis=-1), mass[there])


def _temperature(entries: Entries, position: Longs, own: Floats, log_prob: Floats) -> float:
    size = len(entries.laws)
    count = np.maximum(np.bincount(position, minlength=size), 1)
    x, y = (of - (np.bincount(position, of, size) / count)[position] for of in (own, log_prob))
    if (x * x).sum() > 1e-6:
        slope = float((x * y).sum() / (x * x).sum())
        found = 1 / slope if slope > 0.05 else 1.0
    else:
        errors = [_error(entries.laws, position, own, log_prob, t) for t in TEMPERATURES]
        found = float(TEMPERATURES[int(np.argmin(errors))])
        if min(errors) > 0.9 * _error(entries.laws, position, own, log_prob, 1.0):
            found = 1.0
    return 1.0 if abs(found - 1) <= SAME_TEMPERATURE else found


def _error(laws: Floats, position: Longs, own: Floats, log_prob: Floats, temperature: float) -> float:
    mass = np.log((laws ** (1 / temperature)).sum(axis=-1))
    return float(np.abs(own / temperature - mass[position] - log_prob).mean())


def _kept(temperature: float, cumulative: Floats, mass: Floats) -> Processing:
    """Which of the most probable tokens carry the mass Float[P], of cumulative weights Float[P, V]."""
    whole = cumulative[:, -1]
    if (np.abs(mass / whole - 1) <= SAME_MASS).all():
        return Processing(temperature)
    near = np.abs(cumulative / mass[:, None] - 1) <= SAME_MASS
    common = np.flatnonzero(near.all(axis=0))
    if len(common):
        return Processing(temperature, top_k=int(common[0]) + 1)
    last = near.argmax(axis=1)
    kept = cumulative[np.arange(len(last)), last] / whole
    before = np.where(last > 0, cumulative[np.arange(len(last)), np.maximum(last - 1, 0)] / whole, 0.0)
    low, high = float(before.max()), float(kept.min())
    if near.any(axis=1).all() and low < high:
        return Processing(temperature, top_p=(low + high) / 2)
    return Processing(temperature)
