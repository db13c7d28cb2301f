"""Every page runs from top to bottom and prints what it shows; a page with a fault does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.docs.fences import fences, patched, same
from tests.docs.runner import DOCS, Page
from tests.docs.site import prose
from tests.docs.update import update
from tests.statistics import ledger

STANDS = ledger("docs: verdicts that are shown as not refuted, on fixed seeds, at 1e-6 or less", 1.2e-5)

NOT_RUN = {
    "from scd_analysis import audit_pair, subjects": "needs an engine's server",
    "import vllm": "needs an environment of its own",
    "import openvino_genai": "needs the extra openvino",
    "import json  # the configuration of a draft": "needs the extra onnx-genai",
    'subject = subjects.made_by("mine:decoder")  # mine.decoder() returns a subject, with its model loaded': "a GPU",
    "from rejection import verify": "needs Triton, as tests/test_triton.py has it",
    "import rejection": "the same",
    "from distributed import Client  # pip install scd-analysis[dask]": "needs a cluster",
    "import ray  # pip install scd-analysis[ray]": "needs a cluster",
    'with scd_analysis.TraceWriter("s3://bucket/run", shard=(worker, 8), vocab_size=V, num_tokens=N, ...) as trace:': (
        "needs a store"
    ),
}
"""First lines of blocks that are marked no-run, with the reason."""

PICTURES = {"tutorial.md": {"digits.png": DOCS / "assets" / "tutorial-digits.png"}}
"""What pages draw, and the pictures that they show of it."""

QUICK = {"how-to/exact.md", "reference-decoder.md"}
"""Pages of a second or two; the others are for the slow lane."""

PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
EXECUTED = [name for name in PAGES if any(f.language in ("python", "console") for f in fences(DOCS / name))]


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in EXECUTED])
def test_a_page_prints_what_it_shows(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    page = Page(DOCS / name, tmp_path)
    page.run()
    left_out = [fence for fence in page.left_out if "gpu" not in fence.flags and fence.title is None]
    assert [f.body.splitlines()[0] for f in left_out if f.body.splitlines()[0] not in NOT_RUN] == []
    for file, picture in PICTURES.get(name, {}).items():
        drawn, shown = (np.asarray(Image.open(path).convert("RGB")) for path in (tmp_path / file, picture))
        np.testing.assert_array_equal(drawn, shown)


@pytest.mark.parametrize("name", EXECUTED)
def test_files_are_named_in_words_too(name: str) -> None:
    """A code host does not show the titles of blocks."""
    assert unnamed(DOCS / name) == []


def test_a_file_without_a_name_is_found(tmp_path: Path) -> None:
    text = 'Save `a.py`:\n```python title="a.py"\n1\n```\n\n```python title="b.py"\n1\n```\n'
    assert unnamed(written(tmp_path, text)) == ["b.py"]


def test_pages_that_should_run_are_there() -> None:
    assert set(EXECUTED) > QUICK
    assert {"tutorial.md", *(f"how-to/{kind}.md" for kind in ("sampler", "kernel", "trace", "transformers"))} < set(
        PAGES
    )


def unnamed(path: Path) -> list[str]:
    """Return files whose name is not in the words of their page."""
    titles = {fence.title for fence in fences(path)} - {None, "Output"}
    return sorted(str(title) for title in titles if f"`{title}`" not in prose(path.read_text(encoding="utf-8")))


RIGHT = """
```python title="mine.py"
def two():
    return 1
```

```diff title="mine.py"
-    return 1
+    return 2
```

```python
import mine
print(mine.two(), "or so")
```

```text title="Output"
2 or so
```

```console
$ python -c "import mine; raise SystemExit(mine.two())"
$ echo $?
2
```
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "page.md"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_right_page(tmp_path: Path) -> None:
    Page(written(tmp_path, RIGHT), tmp_path).run()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("\n2 or so", "\n3 or so", "page.md, line 18: the page shows"),
        ("$ echo $?\n2", "$ echo $?\n0", r"echo \$\?: the page shows"),
        ("-    return 1", "-    return 7", "page.md, line 8: holds 0 times"),
        ("$ python -c", "$ curl -c", "not a command that pages use"),
        ("$ python", "python", "a console block begins with a command"),
        ("2\n```\n", "2\n", "a block is not closed"),
    ],
)
def test_a_wrong_page(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in RIGHT
    text = RIGHT[::-1].replace(old[::-1], new[::-1], 1)[::-1]
    with pytest.raises(AssertionError, match=words):
        Page(written(tmp_path, text), tmp_path).run()


def test_a_page_that_raises(tmp_path: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match="theirs"):
        Page(written(tmp_path, RIGHT.replace("import mine\nprint", "import theirs\nprint")), tmp_path).run()


def test_a_block_that_is_not_run_is_listed(tmp_path: Path) -> None:
    page = Page(written(tmp_path, "```{.python .no-run}\n1 / 0\n```\n"), tmp_path)
    page.run()
    assert [fence.body for fence in page.left_out] == ["1 / 0\n"]


def test_outputs_are_written_anew(tmp_path: Path) -> None:
    path = written(tmp_path, RIGHT.replace("\n2 or so", "\n3 or so"))
    assert update(path) == 1
    assert path.read_text(encoding="utf-8") == RIGHT
    assert update(path) == 0


def test_what_counts_as_the_same_output() -> None:
    assert same("a ... c\n", "a b c  \n")
    assert same("2 passed in 1.03s", "2 passed in 9.99s")
    assert same("2 passed in 1.03s", "2 passed in 134.57s (0:02:14)")
    assert not same("2 passed in 1.03s", "3 passed in 1.03s")
    assert not same("a.c", "abc")


def test_a_diff_that_fits_twice_is_refused() -> None:
    with pytest.raises(AssertionError, match="holds 2 times"):
        patched("x\nx\n", "-x\n+y\n", "here")
