"""Links lead somewhere, the navigation holds every page, generated pages are up to date."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.docs.generated import GENERATED
from tests.docs.runner import DOCS, ROOT
from tests.docs.site import LINK, anchors, broken_links, navigation, prose

PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


@pytest.mark.parametrize("name", PAGES)
def test_links_of_a_page(name: str) -> None:
    assert broken_links(DOCS / name) == []


def outside(path: Path, text: str) -> list[str]:
    """Links that the site has no file for: out of its folder, but for the pictures that ``docs/breaks.py`` adds."""
    places = {target: (path.parent / target.partition("#")[0]).resolve() for target in LINK.findall(prose(text))}
    return [
        target
        for target, place in places.items()
        if not re.match(r"[a-z]+:", target)
        and not place.is_relative_to(DOCS)
        and not (place.parent == ROOT / "figures" and place.suffix == ".png" and path.parent == DOCS)
    ]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_links_to_what_the_site_has(name: str) -> None:
    assert outside(DOCS / name, (DOCS / name).read_text(encoding="utf-8")) == []


def test_a_link_out_of_the_site_is_found() -> None:
    text = "[1](../README.md) ![2](../figures/a.png) [3](../figures/README.md) [4](verdict.md#x) [5](https://no.where/)"
    assert outside(DOCS / "here.md", text) == ["../README.md", "../figures/README.md"]
    assert outside(DOCS / "how-to" / "here.md", "![1](../../figures/a.png)") == ["../../figures/a.png"]


def test_links_of_pages_beside_the_site() -> None:
    for name in ("README.md", "CONTRIBUTING.md"):
        assert broken_links(ROOT / name) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# A title, with `code`\n\n## A title, with `code`\n", encoding="utf-8")
    here = tmp_path / "here.md"
    here.write_text(
        "# Here\n[1](other.md) [2](other.md#a-title-with-code_1) [3](#here) [4](https://no.where/) ![5](no.png)\n"
        "[6](other.md#nothing) [7](nobody.md) [8](#there)\n```text\n[9](in-code.md)\n```\n`[10](x.md)`\n",
        encoding="utf-8",
    )
    assert broken_links(here) == ["no.png", "other.md#nothing", "nobody.md", "#there"]


def test_anchors_are_those_of_the_site() -> None:
    text = "# Slow subjects: `timeout`, `checkpoint`\n## Does it? [yes](x.md)\n```text\n# no heading\n```\n"
    assert anchors(text) == {"slow-subjects-timeout-checkpoint", "does-it-yes"}


def test_every_page_is_in_the_navigation_once() -> None:
    assert sorted(navigation(ROOT / "mkdocs.yml")) == PAGES


def test_a_page_left_out_of_the_navigation_is_found(tmp_path: Path) -> None:
    settings = tmp_path / "mkdocs.yml"
    settings.write_text("nav:\n  - index.md\n  - More:\n      - A name: deep/a.md\n", encoding="utf-8")
    assert navigation(settings) == ["index.md", "deep/a.md"]


def test_settings_are_plain_yaml_and_strict() -> None:
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert settings["validation"]["anchors"] == "warn"
    assert "--strict" in (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: path.name)
def test_what_is_written_from_the_code_is_that_of_the_code(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == GENERATED[path](), f"python -m tests.docs.update {path}"


def test_the_api_pages_name_things_that_exist() -> None:
    from tests.docs.theorems import found

    named = [x for path in DOCS.rglob("*.md") for x in re.findall(r"^::: (\S+)$", path.read_text(), re.MULTILINE)]
    assert len(named) > 30
    for name in named:
        found(name)
