"""The ledger of a test run: what each stochastic assert may fail by chance, so that the sum bounds any false alarm.

Standard library only, since the pytest plugin imports it at every start.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

DEFAULT_ALPHA = 1e-6
"""False-fail rate of an `assert_lossless` where neither the call nor ``--scd-alpha`` says another."""

OUTSIDE = "outside a test"


@dataclass(frozen=True)
class Audited:
    """One `assert_lossless`.

    Attributes
    ----------
    test : str
        Node id of the test that made it.
    subject : str
    alpha : float
        Its false-fail rate.
    seed : int
    num_sequences : int
        As many as were judged.
    resolution : float
        Total variation that they would have shown.
    outcome : str
        Name of an :class:`scd_analysis.Outcome`.
    condition : str or None
        What broke, where one condition is named.
    log_e_value : float or None
        ln E, nats; None in a ledger of a version that did not enter it, and so of the others below.
    epsilon : float
        The total variation that was allowed.
    epsilon_refuted : float or None
        The largest that was refuted.
    """

    test: str
    subject: str
    alpha: float
    seed: int
    num_sequences: int
    resolution: float
    outcome: str
    condition: str | None = None
    log_e_value: float | None = None
    epsilon: float = 0.0
    epsilon_refuted: float | None = None


@dataclass(frozen=True)
class Declared:
    """One other stochastic assert; see :func:`register_rate`."""

    name: str
    false_fail_rate: float
    power: float | None = None
    resolution: float | None = None


Entry = Audited | Declared
_KINDS: dict[str, type[Entry]] = {"audit": Audited, "declared": Declared}


def as_row(entry: Entry) -> dict[str, Any]:
    """As a dict of plain values, with its kind."""
    return {"kind": "audit" if isinstance(entry, Audited) else "declared", **asdict(entry)}


@dataclass
class Ledger:
    """What one test run entered.

    Entries wait until a test's report carries them off, so that those of another process arrive the same way.

    Attributes
    ----------
    alpha : float
        Default of `assert_lossless` in this run.
    test : str
        The test that is running.
    """

    alpha: float = DEFAULT_ALPHA
    test: str = OUTSIDE
    audits: list[Audited] = field(default_factory=list)
    declared: dict[str, Declared] = field(default_factory=dict)
    _waiting: list[Entry] = field(default_factory=list)
    _known: dict[str, Declared] = field(default_factory=dict)

    def enter(self, entry: Entry) -> None:
        """Note an entry of this process.

        Raises
        ------
        ValueError
            If the name of an assert was registered before with another rate.
        """
        if isinstance(entry, Declared):
            known = self._known.setdefault(entry.name, entry)
            if known.false_fail_rate != entry.false_fail_rate:
                raise ValueError(f"name = {entry.name!r}: registered before with rate {known.false_fail_rate}")
            if known is not entry:
                return
        self._waiting.append(entry)

    def take(self) -> list[dict[str, Any]]:
        """Give the rows that wait, and forget them."""
        rows = [as_row(entry) for entry in self._waiting]
        self._waiting.clear()
        return rows

    def merge(self, rows: Iterable[dict[str, Any]]) -> None:
        """Add rows; an assert that several processes declare counts once, at the largest rate."""
        for row in rows:
            fields = dict(row)
            entry = _KINDS[fields.pop("kind")](**fields)
            if isinstance(entry, Audited):
                self.audits.append(entry)
            else:
                known = self.declared.setdefault(entry.name, entry)
                self.declared[entry.name] = max(known, entry, key=lambda one: one.false_fail_rate)

    def rows(self) -> list[dict[str, Any]]:
        """Everything that was merged, in an order that does not depend on who ran first."""
        audits = sorted(self.audits, key=lambda audit: audit.test)
        return [*(as_row(self.declared[name]) for name in sorted(self.declared)), *map(as_row, audits)]

    @property
    def false_fail_rate(self) -> float:
        """A bound on the probability that anything entered here failed although all is right (union bound)."""
        audited = [audit.alpha for audit in self.audits]
        return min(1.0, math.fsum([*audited, *(one.false_fail_rate for one in self.declared.values())]))

    def summary(self) -> str | None:
        """One line on the run; None where nothing was entered."""
        if not self.audits and not self.declared:
            return None
        parts = [f"false-fail rate of this run at most {rounded_up(self.false_fail_rate)}"]
        if self.declared:
            share = rounded_up(math.fsum(one.false_fail_rate for one in self.declared.values()))
            parts[0] += f" ({share} of it declared by {_many(len(self.declared), 'assert')})"
        if self.audits:
            parts.insert(0, f"{_many(len(self.audits), 'audit')}: {', '.join(self._counts())}")
        standing = [audit for audit in self.audits if audit.outcome != "REFUTED"]
        if standing:
            worst = max(standing, key=lambda audit: audit.resolution)
            parts.append(f"coarsest resolution {worst.resolution:.2g} ({worst.test})")
        return "scd: " + "; ".join(parts)

    def _counts(self) -> list[str]:
        names = ("NOT_REFUTED", "EXACT", "INCONCLUSIVE", "REFUTED")
        numbers = {name: sum(audit.outcome == name for audit in self.audits) for name in names}
        return [f"{number} {name.lower().replace('_', ' ')}" for name, number in numbers.items() if number]


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def rounded_up(rate: float) -> str:
    """Show two digits of a bound, never less than it is (but for the rounding of a sum)."""
    if rate <= 0:
        return "0"
    unit = 10.0 ** (math.floor(math.log10(rate)) - 1)
    return f"{math.ceil(rate / unit * (1 - 1e-9)) * unit:.2g}"


_ACTIVE: list[Ledger] = []  # a run inside a run (pytest's own pytester) has a ledger of its own
_EARLY = Ledger()  # what conftest files register before pytest has configured itself


def begin(alpha: float | None) -> Ledger:
    """Open the ledger of a test run."""
    ledger = Ledger(DEFAULT_ALPHA if alpha is None else alpha)
    if not _ACTIVE:
        for declared in _EARLY._known.values():
            ledger.enter(declared)
    _ACTIVE.append(ledger)
    return ledger


def end(ledger: Ledger) -> None:
    """Close it."""
    _ACTIVE.remove(ledger)


def current() -> Ledger:
    """The ledger of the run; outside pytest, or without the plugin, one that nobody reads."""
    return _ACTIVE[-1] if _ACTIVE else _EARLY


def register_rate(
    name: str, false_fail_rate: float, *, power: float | None = None, resolution: float | None = None
) -> float:
    """Enter a stochastic assert of your own in the run's ledger, and return its false-fail rate.

    Call it at module level, once an assert: ``RATE = register_rate("mean of the bonus token", 1e-7)``. An
    `assert_lossless` enters itself.

    Parameters
    ----------
    name : str
        Unique within the suite.
    false_fail_rate : float
        Probability that the assert fails although the code is right.
    power : float, optional
        Probability that it fails when the code is wrong by ``resolution``.
    resolution : float, optional
        The smallest total variation (or other discrepancy that the name states) for which ``power`` is claimed.

    Raises
    ------
    ValueError
        If a number is not what it should be, or the name was registered with another rate.
    """
    if not 0 <= false_fail_rate < 1:
        raise ValueError(f"false_fail_rate = {false_fail_rate}: must lie in [0, 1)")
    if power is not None and not 0 < power <= 1:
        raise ValueError(f"power = {power}: must lie in (0, 1]")
    if resolution is not None and not resolution > 0:
        raise ValueError(f"resolution = {resolution}: must be positive")
    current().enter(Declared(name, false_fail_rate, power, resolution))
    return false_fail_rate
