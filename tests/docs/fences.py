"""The fenced blocks of a page, and what they mean to the test that runs them.

=========================  =========================================================================================
block                      meaning
=========================  =========================================================================================
python                     executed, in the page's one namespace
python title="x.py"        written to the file x.py, whatever its language; modules of that name are forgotten
diff title="x.py"          applied to that file: context and ``-`` lines are found there once, and replaced
text title="Output"        what the block before it prints; ``...`` stands for anything
console                    each line after ``$ `` is executed; what follows is its output, where some is shown
``{.python .gpu}``         executed where there is a CUDA device
``{.python .no-run}``      not executed; tests/docs/test_pages.py lists each, with the reason
=========================  =========================================================================================
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,})(?P<info>.*)$")
TITLE = re.compile(r'title="([^"]*)"')


@dataclass(frozen=True)
class Fence:
    """One block.

    Attributes
    ----------
    language : str
    title : str or None
    flags : frozenset of str
        Classes beside the language, such as ``no-run``.
    body : str
    line : int
        Of its first line, from 1.
    indent : str
    """

    language: str
    title: str | None
    flags: frozenset[str]
    body: str
    line: int
    indent: str


def fences(path: Path) -> Iterator[Fence]:
    """Read the blocks of a page, in order."""
    opened: re.Match[str] | None = None
    body: list[str] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        found = FENCE.match(line)
        if opened is None:
            opened, body = found, []
        elif found and found["ticks"] == opened["ticks"] and not found["info"].strip():
            yield _fence(opened["info"], body, number - len(body), opened["indent"])
            opened = None
        else:
            body.append(line)
    assert opened is None, f"{path.name}: a block is not closed"


def _fence(info: str, body: list[str], line: int, indent: str) -> Fence:
    title = TITLE.search(info)
    words = TITLE.sub("", info).replace("{", " ").replace("}", " ").split()
    names = [word.removeprefix(".") for word in words if "=" not in word]
    text = "".join(row.removeprefix(indent) + "\n" for row in body)
    return Fence(names[0] if names else "", title and title[1], frozenset(names[1:]), text, line, indent)


def commands(console: str) -> Iterator[tuple[str, str]]:
    """Split a console block into commands and the outputs shown."""
    parts = re.split(r"^\$ ", console, flags=re.MULTILINE)
    assert not parts[0].strip(), "a console block begins with a command"
    for part in parts[1:]:
        command, _, shown = part.partition("\n")
        yield command, shown


def patched(text: str, diff: str, name: str) -> str:
    """Apply a diff without headers: its context and removed lines must be found once."""
    lines = [line for line in diff.splitlines() if line]
    assert all(line[0] in " +-" for line in lines), f"{name}: a line of a diff starts with a blank, + or -"
    old = "".join(line[1:] + "\n" for line in lines if line[0] != "+")
    new = "".join(line[1:] + "\n" for line in lines if line[0] != "-")
    assert text.count(old) == 1, f"{name}: holds {text.count(old)} times\n{old}"
    return text.replace(old, new)


def same(shown: str, printed: str) -> bool:
    """Whether an output is the one shown, blanks at line ends and seconds aside."""
    taken = re.compile(r"in \d+\.\d+s\b( \(\d+:\d\d:\d\d\))?")
    shown, printed = (
        taken.sub("in 0.00s", "\n".join(x.rstrip() for x in text.strip().splitlines())) for text in (shown, printed)
    )
    pattern = ".*".join(re.escape(part) for part in shown.split("..."))
    return re.fullmatch(pattern, printed, re.DOTALL) is not None
