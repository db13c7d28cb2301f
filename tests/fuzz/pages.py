"""Hostile strings wherever a verdict or a trace has a string: no page, terminal, picture or Markdown obeys one."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree
from pathlib import Path
from typing import Any

from scd_analysis.figures import rendering
from scd_analysis.report import render
from scd_analysis.trace import open_trace
from tests.fuzz import odd, originals
from tests.fuzz.case import Case, unreadable
from tests.fuzz.markup import new_markup, tags
from tests.fuzz.terminal import shown

SCRIPT = re.compile(r"(?<!\\)(\\\\)*\]\(\s*<?javascript:", re.IGNORECASE)
"""A link in Markdown; a bracket after an odd number of backslashes ends none."""

FIGURES = ("acceptance_lengths", "acceptance_map", "hamming_by_lag")
NAMES = ("decoder", "method", "model", "method_settings", "generator", "device", "dtype", "created", "laws")


def hostile(case: Case) -> None:
    """Some strings of a verdict and of a trace replaced."""
    one = case.rng.choice(odd.STRINGS)
    verdict = _poisoned(case, json.loads(json.dumps(originals.verdict(True))), one)
    (case.folder / "verdict.json").write_text(json.dumps(verdict))
    attributes = {name: one for name in NAMES if case.rng.random() < 0.6}
    case.describe(f"{one[:60]!r} in the verdict and in {sorted(attributes)}")
    source = originals.lossless()
    store = _named(source, case.folder / "run.zarr", attributes)
    title = one if case.rng.random() < 0.5 else None
    both = case.rng.random() < 0.5
    page = case.door("render", lambda: render(verdict, open_trace(store) if both else None, title=title, sequences=1))
    if page is not None:
        _check_page(case, page)
    for words in (["report", str(case.folder / "verdict.json")], ["report", str(store)]):
        for options in ([], ["--json"]):
            _check_terminal(case, [*words, *options])
    _check_figures(case, store)


def _poisoned(case: Case, tree: Any, one: str) -> Any:
    """Every string but the outcome and names of conditions, with a probability."""
    for container, key in odd.places(tree):
        if (
            isinstance(container[key], str)
            and key not in ("outcome", "condition", "status")
            and case.rng.random() < 0.5
        ):
            container[key] = one
    tree.setdefault("record", {})[one] = one
    return tree


def _named(source: Path, store: Path, attributes: dict[str, str]) -> Path:
    import shutil

    shutil.copytree(source, store)
    content = json.loads((store / "zarr.json").read_text())
    content["attributes"].update(attributes)
    (store / "zarr.json").write_text(json.dumps(content))
    return store


def _check_page(case: Case, page: str) -> None:
    if bad := new_markup(page):
        case.found(f"page: {bad}")
    try:
        page.encode("utf-8")
    except UnicodeEncodeError as error:
        case.found(f"page: {error}")


def _check_terminal(case: Case, words: list[str]) -> None:
    text = case.door(" ".join(words[::2]), lambda: shown(words))
    for line in (text or "").split("\n"):
        if line and (bad := unreadable(line)) and "characters" not in bad:
            case.found(f"{words[0]} {Path(words[1]).name} {words[2:]}: a line {bad}")
            return


def _check_figures(case: Case, store: Path) -> None:
    out = case.folder / "figures"
    figure = case.rng.choice(FIGURES)
    written = case.door(f"figure {figure}", lambda: rendering.render([figure], trace=store, out=out))
    for path in written or ():
        text = path.read_text("utf-8", "replace") if path.suffix in (".md", ".svg") else ""
        if path.suffix == ".md" and (bad := tags(text)):
            case.found(f"{path.name}: raw elements {sorted(bad)}")
        if path.suffix == ".md" and SCRIPT.search(text):
            case.found(f"{path.name}: a link to a script")
        if path.suffix == ".svg":
            root = xml.etree.ElementTree.fromstring(text)
            if any(element.tag.endswith("script") for element in root.iter()):
                case.found(f"{path.name}: a script")
