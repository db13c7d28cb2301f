"""What ``scd-analysis exact module:callable`` prints."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from fractions import Fraction
from typing import Any, Unpack

from scd_analysis.common.escape import cell
from scd_analysis.common.foreign import announced, foreign
from scd_analysis.common.load import load
from scd_analysis.errors import InputError
from scd_analysis.exact.arithmetic import ArithmeticName, Number
from scd_analysis.exact.engine import Options, exact_law
from scd_analysis.exact.law import ExactLaw
from scd_analysis.exact.loop import Loop
from scd_analysis.exact.target import law_of


def run(
    target: str,
    against: str | None = None,
    *,
    worst: int = 10,
    as_json: bool = False,
    write: Callable[[str], Any] | None = None,
    **options: Unpack[Options],
) -> ExactLaw:
    """Enumerate ``module:callable`` and print its law.

    Parameters
    ----------
    target
        The sampler, as for `exact_law`: a function, or a `Loop`.
    against
        ``module:attribute`` of what to compare with: a target model, an `ExactLaw` or a dict.
    worst
        How many outcomes to list.
    as_json
        Print one JSON object instead of a table.
    write
        Where JSON goes instead of standard output; for tests.
    **options
        As for `exact_verdict`.

    Returns
    -------
    ExactLaw
        The law that was printed.
    """
    sampler = sampler_named(target)
    other = (
        None if against is None else law_of(load(against, "against"), options.get("arithmetic", "float64"), "against")
    )
    named = f"target = {target!r}: the sampler"
    with redirect_stdout(sys.stderr), announced(named), foreign(f"{named} raised"):  # what it prints is no part of it
        law = exact_law(sampler, **options)
    if as_json:
        (write or sys.stdout.write)(json.dumps(to_json(law, other, worst)) + "\n")
    else:
        _print_table(target, law, other, worst)
    return law


def sampler_named(target: str) -> Any:
    """Load ``module:callable``.

    Raises
    ------
    InputError
        If it is no sampler.
    """
    sampler = load(target, "target")
    if not (callable(sampler) or isinstance(sampler, Loop)):
        raise InputError(f"target = {target!r}: a {type(sampler).__name__} is no sampler")
    return sampler


def distance(law: ExactLaw, against: str, arithmetic: ArithmeticName) -> tuple[float, float]:
    """Return bounds on the total variation between a law and ``module:attribute``; equal where all was explored."""
    low, high = law.total_variation_bounds(law_of(load(against, "against"), arithmetic, "against"))
    return float(low), float(high)


def _plain(p: Number) -> float | str:
    return str(p) if isinstance(p, Fraction) else p


def to_json(law: ExactLaw, other: ExactLaw | None = None, worst: int | None = None) -> dict[str, Any]:
    """Give a law, and its distance from another, as plain data; Fractions become strings."""
    heaviest = sorted(law.probabilities.items(), key=lambda item: -item[1])
    found: dict[str, Any] = {
        "branches": law.branches,
        "num_outcomes": len(law),
        "unexplored_mass": _plain(law.unexplored_mass),
        "slack": law.slack,
        "notes": list(law.notes),
        "probabilities": [{"outcome": outcome, "probability": _plain(p)} for outcome, p in heaviest],
    }
    if other is not None:
        low, high = law.total_variation_bounds(other)
        found["total_variation"] = {"low": _plain(low), "high": _plain(high)}
        found["worst"] = [
            {"outcome": row.outcome, "probability": _plain(row.probability), "other": _plain(row.other)}
            for row in law.comparison(other, worst)
        ]
    return found


def _print_table(target: str, law: ExactLaw, other: ExactLaw | None, worst: int) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(title=cell(f"Exact law of {target}"))
    table.add_column("outcome")
    table.add_column("probability", justify="right")
    if other is None:
        for outcome, p in sorted(law.probabilities.items(), key=lambda item: -item[1])[:worst]:
            table.add_row(cell(outcome), _digits(p))
    else:
        table.add_column("expected", justify="right")
        table.add_column("difference", justify="right")
        for row in law.comparison(other, worst):
            table.add_row(
                cell(row.outcome), _digits(row.probability), _digits(row.other), f"{float(row.difference):+.3e}"
            )
    console.print(table)
    for line in _summary(law, other):
        console.print(cell(line))


def _digits(p: Number) -> str:
    short = isinstance(p, Fraction) and p.denominator < 10**9
    return f"{float(p):.12f}" + (f" = {p}" if short else "")


def _summary(law: ExactLaw, other: ExactLaw | None) -> list[str]:
    lines = [f"{len(law)} outcomes from {law.branches} branches"]
    if law.unexplored_mass:
        lines.append(f"unexplored mass {float(law.unexplored_mass):.6g}")
    if other is not None:
        low, high = law.total_variation_bounds(other)
        exactly = f" = {low}" if isinstance(low, Fraction) and low == high else ""
        known = f"{float(low):.6g}{exactly}" if law.complete else f"between {float(low):.6g} and {float(high):.6g}"
        lines.append(f"total variation {known}")
    return [*lines, *(f"note: {note}" for note in law.notes)]
