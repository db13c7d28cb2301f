"""What was found of a subject night after night: from a folder of verdicts and ledgers, or one ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scd_analysis.audit.verdict import Outcome
from scd_analysis.common.foreign_json import check_plain_file, decode, first_line, parse, shown
from scd_analysis.errors import InputError
from scd_analysis.report.load import MOST_BYTES, load_verdict
from scd_analysis.report.typed import build
from scd_analysis.testing.rates import Audited

VERDICT, LEDGER = KEPT = (".json", ".jsonl")
MOST_NIGHTS = 4_000
MOST_SUBJECTS = 200


@dataclass(frozen=True)
class Night:
    """One subject in one night.

    Attributes
    ----------
    night, subject : str
    outcome : Outcome
    log_e_value : float or None
        ln E, nats; None in a ledger that does not say.
    alpha : float
        Zero where the law was enumerated.
    num_sequences : int
    resolution : float
    epsilon : float
        What was allowed.
    epsilon_refuted : float or None
        The largest that was refuted, None where none was asked.
    """

    night: str
    subject: str
    outcome: Outcome
    log_e_value: float | None
    alpha: float
    num_sequences: int
    resolution: float
    epsilon: float
    epsilon_refuted: float | None


@dataclass(frozen=True)
class Nights:
    """All of them.

    Attributes
    ----------
    names : tuple of str
        Of the nights, in order.
    subjects : dict of str to tuple of (Night or None)
        Of each subject one entry a night; None where there is no verdict.
    """

    names: tuple[str, ...]
    subjects: dict[str, tuple[Night | None, ...]]

    @property
    def false_fail_rate(self) -> float:
        """A bound on the probability that any lossless subject was refuted in any night (union bound)."""
        return min(1.0, sum(one.alpha for row in self.subjects.values() for one in row if one is not None))


def read_nights(source: str | Path) -> Nights:
    """Read what was kept of many nights.

    Parameters
    ----------
    source : path
        A folder with an entry a night, in the order of their names: a verdict (``2026-12-01.json``), a ledger
        (``2026-12-01.jsonl``), or a folder of both, whose verdicts are named by their subjects; a night whose folder
        is empty is one without a verdict. Other files are passed over. Or one ledger: the audits of one subject by one
        test are then one after the other.

    Raises
    ------
    InputError
        If there is nothing to read, or something is neither, naming the file and the field.
    """
    source = Path(source)
    if source.is_dir():
        entries = _entries(source)
        found = [one for path in entries for one in _of_an_entry(path, source)]
        kept = [path.name if path.is_dir() else path.stem for path in entries if path.is_dir() or path.suffix in KEPT]
    else:
        found = [*_of_one_ledger(source)]
        kept = [one.night for one in found]
    if not found:
        raise InputError(f"source = {source}: holds no verdict ({VERDICT}) and no audit of a ledger ({LEDGER})")
    names = tuple(dict.fromkeys(kept))
    subjects = sorted({one.subject for one in found})
    for many, most, what in ((names, MOST_NIGHTS, "nights"), (subjects, MOST_SUBJECTS, "subjects")):
        if len(many) > most:
            raise InputError(f"source = {source}: has {len(many):,} {what}, and at most {most:,} are read")
    at = {(one.subject, one.night): one for one in found}
    return Nights(names, {subject: tuple(at.get((subject, name)) for name in names) for subject in subjects})


def _of_an_entry(path: Path, folder: Path) -> Iterator[Night]:
    """One night's; a folder that is empty is a night without a verdict."""
    if not path.is_dir():
        yield from _of_a_file(path, path.stem, folder.resolve().name)
        return
    for inside in _entries(path):
        yield from _of_a_file(inside, path.name, inside.stem)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({first_line(error)})") from None


def _of_a_file(path: Path, night: str, subject: str) -> Iterator[Night]:
    """A verdict, or the audits of a ledger, of which the second by the same test has a number behind its name."""
    if path.suffix == VERDICT:
        found = load_verdict(path)
        yield Night(night, subject, found.outcome, found.log_e_value, found.alpha, found.num_sequences,
                    found.resolution, found.epsilon, found.epsilon_refuted)  # fmt: skip
    elif path.suffix == LEDGER:
        seen = Counter[str]()
        for where, audited in _audits(path):
            name = _named(audited)
            seen[name] += 1
            again = "" if seen[name] == 1 else f", audit {seen[name]}"
            yield _of_an_audit(audited, where, night, f"{name}{again}")


def _of_one_ledger(path: Path) -> Iterator[Night]:
    """Audits of one subject by one test, one after the other."""
    if path.suffix != LEDGER:
        raise InputError(f"source = {path}: is neither a folder nor a ledger ({LEDGER})")
    seen = Counter[str]()
    for where, audited in _audits(path):
        seen[_named(audited)] += 1
        yield _of_an_audit(audited, where, str(seen[_named(audited)]), _named(audited))


def _named(audited: Audited) -> str:
    return f"{audited.test} ({audited.subject})"


def _audits(path: Path) -> Iterator[tuple[str, Audited]]:
    """Read the audits of a ledger, each with its line for messages; what is declared there is no audit."""
    check_plain_file(path)
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({first_line(error)})") from None
    if len(raw) > MOST_BYTES:
        raise InputError(f"{path}: is larger than {MOST_BYTES:,} bytes, the most that a ledger may have")
    for number, line in enumerate(decode(raw, str(path)).splitlines(), start=1):
        if line.strip():
            where = f"{path}, line {number}"
            row = parse(line, where)
            kind = row.get("kind") if isinstance(row, dict) else None
            if kind not in ("audit", "declared"):
                raise InputError(f"{where}: kind = {shown(kind)}: must be 'audit' or 'declared'")
            if kind == "audit":
                yield where, build(Audited, row, where)


def _of_an_audit(audited: Audited, where: str, night: str, subject: str) -> Night:
    outcome: Outcome = build(Outcome, audited.outcome, f"{where}.outcome")
    shares: dict[str, float | None] = {"alpha": audited.alpha, "resolution": audited.resolution}
    shares |= {"epsilon": audited.epsilon, "epsilon_refuted": audited.epsilon_refuted}
    for name, value in shares.items():
        if value is not None and not 0 <= value <= 1:
            raise InputError(f"{where}.{name} = {value}: must lie between 0 and 1")
    return Night(night, subject, outcome, audited.log_e_value, audited.alpha, audited.num_sequences,
                 audited.resolution, audited.epsilon, audited.epsilon_refuted)  # fmt: skip
