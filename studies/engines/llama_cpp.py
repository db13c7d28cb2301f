"""llama.cpp's server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from scd_analysis.subjects import endpoint
from studies.engines.engine import OFF, SAMPLINGS, Arm, Engine
from studies.llama_server import served


@contextmanager
def opened(folder: Path, mode: str, draft: str | None) -> Iterator[Arm]:
    """Serve for as long as it is asked."""
    drafts = None if draft is None else folder / f"{draft}.gguf"
    with served(folder / "target.gguf", mode, drafts) as url:
        yield partial(endpoint, url, server="llama.cpp", concurrency=(1, 4, 16))


LLAMA_CPP = Engine(
    package="xllamacpp",
    form="gguf",
    opened=opened,
    modes=(
        (OFF, None),
        ("draft", "near"),
        ("drawn-draft", "near"),
        ("drawn-draft", "far"),
        ("drawn-draft", "target"),
        ("ngram", None),
    ),
    # one that drafts from what came before sees every token, with one behind it, twice
    prompts={"": [5, 6, 7], "ngram": [i for pair in range(3, 32) for i in (pair, (7 * pair) % 29 + 3)] * 2},
    samplings=SAMPLINGS,
)
