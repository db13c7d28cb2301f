"""One case: what it did, what it found."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scd_analysis.errors import InputError

HANG = 20.0
"""Seconds of computing that nothing may take."""

LONGEST = 5_000
"""Characters that one message may have."""


@dataclass
class Case:
    """One attack.

    Attributes
    ----------
    kind, seed, number
        What it is called, and what decides it.
    folder : Path
        Of its own, empty at first.
    tell : callable
        Hears what is about to be done, so that a case that never comes back can be described.
    rng : random.Random
    description : str
        What was done.
    problems : list of str
        What was found.
    """

    kind: str
    seed: int
    number: int
    folder: Path
    tell: Callable[[str], None] = lambda _: None
    description: str = ""
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = random.Random(f"{self.kind}/{self.seed}/{self.number}")

    def describe(self, text: str) -> None:
        self.description = "; ".join(part for part in (self.description, text) if part)
        self.tell(self.description)

    def found(self, problem: str) -> None:
        self.problems.append(problem)

    def door(self, name: str, call: Callable[[], Any]) -> Any:
        """What the call returns; None, if it refuses as it should, with an error of our kinds that can be read."""
        self.tell(f"{self.description} -> {name}")
        begun = time.process_time()
        try:
            return call()
        except InputError as error:
            if not (said := str(error)) or len(said) > LONGEST:
                self.found(f"{name}: the message of {type(error).__name__} has {len(said)} characters")
        except BaseException as error:  # whatever comes is what is looked for
            self.found(f"{name}: {type(error).__name__}: {str(error)[:300]}")
        finally:
            if (took := time.process_time() - begun) > HANG:
                self.found(f"{name}: took {took:.0f} s")
        return None


def unreadable(text: str) -> str:
    """What is wrong with a line for people, if anything."""
    if not text:
        return "is empty"
    if len(text) > LONGEST:
        return f"has {len(text)} characters"
    control = [c for c in text if ord(c) < 32 or 127 <= ord(c) < 160 or 0xD800 <= ord(c) < 0xE000]
    return f"holds the control character {control[0]!r}" if control else ""
