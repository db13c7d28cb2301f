"""Settings of requests that a kernel applies by itself, recognised by what it commits.

A function that takes the target's logits makes the law by itself, with the temperature and the top-k of each request.
Where nobody says which row has which, windows made up for this alone tell: under the law of the logits the mean of the
likelihood ratios of all settings is an e-value, so that a kernel that applies none is taken for one that does with
probability below e^-30. One that treats all rows alike is not taken for one of requests: a filter that nobody asked for
is a fault.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scd_analysis.audit.kernel_noise import SURE
from scd_analysis.evidence.batch import Floats, Longs

PERIODS = range(2, 9)
"""Rows after which settings are tried to come again."""

FEW_WINDOWS, MANY_WINDOWS = 384, 3072
"""Windows that tell whether settings differ by row, and which they are."""

HINT = 8.0
"""Nats from which a closer look is worth it."""

TEMPERATURES = tuple(round(0.1 * k, 1) for k in range(1, 21) if k != 10)

Draw = Callable[[int], tuple[Floats, Longs]]
"""From a number of windows to their target laws, Float[B, L + 1, V], and committed tokens, Long[B, L + 1] with -1."""


@dataclass(frozen=True)
class Setting:
    """What becomes of a law.

    Attributes
    ----------
    top_k : int
        Tokens that are kept, the most probable ones; 0 for all.
    temperature : float
    """

    top_k: int = 0
    temperature: float = 1.0

    def __call__(self, laws: Floats) -> Floats:
        """Process laws, Float[..., V]."""
        if self.top_k:
            least = np.sort(laws, axis=-1)[..., -self.top_k][..., None]
            laws = np.where(laws >= least, laws, 0)
        with np.errstate(divide="ignore"):
            logits = np.log(laws) / self.temperature
        weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return np.asarray(weights / weights.sum(axis=-1, keepdims=True))

    def __str__(self) -> str:
        if self.top_k:
            return f"top-k {self.top_k}"
        return "none" if self.temperature == 1 else f"temperature {self.temperature:g}"


@dataclass(frozen=True)
class RowSettings:
    """Settings of rows in turn.

    Attributes
    ----------
    settings : tuple of Setting
    log_e_value : float
        Nats, against the law of the logits.
    """

    settings: tuple[Setting, ...]
    log_e_value: float

    def __call__(self, laws: Floats) -> Floats:
        """Process the laws of a call, Float[B, L + 1, V]."""
        out = laws.copy()
        for row, setting in enumerate(self.settings):
            out[row :: len(self.settings)] = setting(laws[row :: len(self.settings)])
        return out

    @property
    def message(self) -> str:
        """What was recognised, in words."""
        named = ", ".join(map(str, self.settings))
        return f"the function applies settings of rows by itself, in turn {named} (recognised; processor= states them)"


def recognised(draw: Draw, vocab_size: int) -> RowSettings | None:
    """Find out which settings rows have; None where nothing shows that they have any, or all have the same.

    Parameters
    ----------
    draw : callable
        Has windows verified.
    vocab_size : int
    """
    known = [Setting(), *(Setting(top_k=k) for k in range(1, vocab_size)), *(Setting(0, t) for t in TEMPERATURES)]
    if _best(draw(FEW_WINDOWS), known, HINT) is None:
        return None
    return _best(draw(MANY_WINDOWS), known, SURE)


def _best(drawn: tuple[Floats, Longs], known: list[Setting], enough: float) -> RowSettings | None:
    laws, committed = drawn
    log_ratios = _log_ratios(laws, committed, known)
    found = [_by_row(log_ratios, period, known) for period in PERIODS]
    best = max(found, key=lambda one: one.log_e_value)
    several = len(set(best.settings)) > 1
    return best if several and best.log_e_value - np.log(len(found)) > enough else None


def _log_ratios(laws: Floats, committed: Longs, known: list[Setting]) -> Floats:
    """Likelihood ratio of each window under each setting against none (ln), Float[S, B]."""
    there, token = committed >= 0, np.maximum(committed, 0)[..., None]
    plain = np.take_along_axis(laws, token, axis=-1)[..., 0]
    out = []
    for setting in known:
        own = np.take_along_axis(setting(laws), token, axis=-1)[..., 0]
        with np.errstate(divide="ignore", invalid="ignore"):
            out.append(np.where(there & (plain > 0), np.log(own / plain), 0.0).sum(axis=1))
    return np.stack(out)


def _by_row(log_ratios: Floats, period: int, known: list[Setting]) -> RowSettings:
    by_row = np.stack([log_ratios[:, row::period].sum(axis=1) for row in range(period)], axis=1)
    log_e = float((np.logaddexp.reduce(by_row, axis=0) - np.log(len(known))).sum())
    return RowSettings(tuple(known[i] for i in by_row.argmax(axis=0)), log_e)
