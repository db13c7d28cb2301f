"""What there is to know of an engine, to judge it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Settings = dict[str, Any]
Arm = Callable[..., Any]
"""From the keywords of an adapter (prompt, num_tokens, sampling, target, speculation) to a subject."""

SAMPLINGS: dict[str, Settings] = {
    "as it is": {},
    "top_k = 8": {"top_k": 8},
    "temperature = .7, min_p = .05": {"temperature": 0.7, "min_p": 0.05},
    "top_p = .9": {"top_p": 0.9},
    "penalties": {"repetition_penalty": 1.3, "presence_penalty": 0.5, "frequency_penalty": 0.3},
}
OFF, BF16 = "off", ", bf16"
"""A mode without speculation begins with the one, and one in half precision ends with the other."""


def control_of(mode: str) -> str:
    """The mode without speculation, in the same precision."""
    return OFF + BF16 if mode.endswith(BF16) else OFF


@dataclass(frozen=True)
class Engine:
    """One engine.

    Attributes
    ----------
    package : str
        The distribution that brings it, whose version is stored.
    form : str
        Of the tiny model that it loads.
    opened : callable
        From a folder of tiny models, a mode and a draft, or none, to a context with an arm.
    modes : sequence of (str, str or None)
        Mode and draft; speculation off comes first.
    prompts : mapping of str to list of int
        By mode; ``""`` for all others.
    samplings : mapping of str to settings
    """

    package: str
    form: str
    opened: Callable[[Path, str, str | None], AbstractContextManager[Arm]]
    modes: Sequence[tuple[str, str | None]]
    prompts: Mapping[str, list[int]]
    samplings: Mapping[str, Settings]
