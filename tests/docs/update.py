"""``python -m tests.docs.update [docs/tutorial.md ...]``: run pages and write what is printed where they show outputs.

All pages where none is named; some files are written from the code (`GENERATED`).
"""

from __future__ import annotations

import sys
import tempfile
import textwrap
from pathlib import Path

import torch

from tests.docs.fences import Fence, same
from tests.docs.generated import GENERATED
from tests.docs.runner import DOCS, Page


def update(path: Path) -> int:
    """Return how many outputs changed; those that hold ``...`` are left to their author."""
    if path in GENERATED:
        before, now = path.read_text(encoding="utf-8") if path.exists() else "", GENERATED[path]()
        path.write_text(now, encoding="utf-8")
        return int(before != now)
    outputs: list[tuple[Fence, str, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        Page(path, Path(folder), outputs).run()
    lines, changed = path.read_text(encoding="utf-8").splitlines(keepends=True), 0
    for fence, shown, printed in reversed(outputs):
        if same(shown, printed):
            continue
        if "..." in shown:
            sys.stderr.write(f"{path.name}, line {fence.line}: shows ..., and what is printed is\n{printed}")
            continue
        before, rest = "".join(lines[: fence.line - 1]), "".join(lines[fence.line - 1 :])
        old, new = (textwrap.indent(text, fence.indent) for text in (shown, printed.strip() + "\n"))
        assert old in rest, f"{path.name}, line {fence.line}: cannot be found again"
        lines, changed = (before + rest.replace(old, new, 1)).splitlines(keepends=True), changed + 1
    path.write_text("".join(lines), encoding="utf-8")
    return changed


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in sys.argv[1:] or sorted(map(str, {*GENERATED, *DOCS.rglob("*.md")})):
        sys.stdout.write(f"{name}: {update(Path(name).resolve())} outputs rewritten\n")
