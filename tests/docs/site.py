"""Links, anchors and navigation of pages, without the program that builds the site."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Any

import yaml

LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(.*?)(?: *\{[^}]*\})? *$")


def prose(text: str) -> str:
    """Leave out what stands in code."""
    kept, inside = [], ""
    for line in text.splitlines():
        ticks = re.match(r" *(`{3,})", line)
        if inside:
            inside = "" if ticks and ticks[1] == inside else inside
        elif ticks:
            inside = ticks[1]
        else:
            kept.append(line)
    return "\n".join(kept)


def anchors(text: str) -> set[str]:
    """Name the headings as Python-Markdown's ``toc`` does."""
    found: set[str] = set()
    for line in prose(text).splitlines():
        heading = HEADING.match(line)
        if heading is None:
            continue
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]).replace("`", "").replace("*", "")
        plain = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode()
        slug = re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())
        name, number = slug, 0
        while name in found:
            number += 1
            name = f"{slug}_{number}"
        found.add(name)
    return found


def broken_links(path: Path) -> list[str]:
    """Return the links of a page that lead nowhere; those into the web are not followed."""
    text = path.read_text(encoding="utf-8")
    out = []
    for target in LINK.findall(re.sub(r"`[^`\n]*`(?!\])", "", prose(text))):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        there = path if not file else path.parent / file
        if not there.exists() or (anchor and anchor not in anchors(there.read_text(encoding="utf-8"))):
            out.append(target)
    return out


def navigation(settings: Path) -> list[str]:
    """Return the pages that a site's settings list, in order."""

    def pages(entry: Any) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        return [page for part in (entry.values() if isinstance(entry, dict) else entry) for page in pages(part)]

    return pages(yaml.safe_load(settings.read_text(encoding="utf-8"))["nav"])
