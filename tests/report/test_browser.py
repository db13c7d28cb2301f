"""The page in a browser without a network: found by mouse, by keyboard, by a screen reader's rules, on a phone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
import xarray as xr

from scd_analysis import Verdict
from scd_analysis.report import write_report, write_trend
from scd_analysis.report.cells import CELL_VARIABLES, STATES, states
from tests.figures.conftest import Patches
from tests.report.browser import chromium, violations
from tests.report.test_trend import nights

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

pytestmark = pytest.mark.slow
Open = Callable[..., "Page"]
Stale = tuple[Verdict, xr.Dataset]
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
CHOSEN = '[role=gridcell][aria-selected="true"]'
# Asked frame by frame in the page: `wait_for_function` polls through `eval`, which the page's own policy forbids.
MOVED_RIGHT = """(grid) => new Promise((done, failed) => {
  const ends = performance.now() + 10_000;
  const look = () => {
    if (grid.scrollLeft > 0) done();
    else if (performance.now() > ends) failed(new Error("the grid did not move to the right"));
    else requestAnimationFrame(look);
  };
  look();
})"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, patches: xr.Dataset, stale: Stale, hand: xr.Dataset) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    hostile = "</script><img src=x onerror=\"document.title='broken'\">"
    write_report(folder / "patches.html", trace=patches)
    write_report(folder / "stale.html", *stale, title=hostile)
    write_report(folder / "verdict.html", stale[0])
    write_report(folder / "hand.html", trace=hand)
    write_trend(folder / "trend.html", nights(tmp_path_factory.mktemp("nights")), title=hostile)
    return folder


@pytest.fixture
def opened(browser: Browser, pages: Path) -> Iterator[Open]:
    """Open a page; on the way out, check that nothing failed and nothing was asked of a network."""
    contexts, wrong = [], []

    def visit(name: str, fragment: str = "", folder: Path = pages, **options: Any) -> Page:
        context = browser.new_context(**({"offline": True, "viewport": {"width": 1280, "height": 900}} | options))
        contexts.append(context)
        page = context.new_page()
        address = (folder / f"{name}.html").as_uri()
        page.on("request", lambda asked: wrong.append(asked.url) if asked.url.split("#")[0] != address else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.goto(address + fragment)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert not wrong


def rejections(trace: xr.Dataset, sequence: int) -> list[tuple[int, int]]:
    """Passes and positions of the rejections, in order."""
    part = {name: trace[name].values for name in CELL_VARIABLES}
    letters = states(part, trace.sizes["position"])[sequence]
    return [(int(t), int(part["base"][sequence, t] + k)) for t, k in np.argwhere(letters == "r")]


def place(cell: Locator) -> tuple[int, int]:
    found = re.match(r"pass (\d+), position (\d+),", cell.get_attribute("aria-label") or "")
    assert found is not None
    return int(found[1]), int(found[2])


def chosen(page: Page) -> tuple[int, int]:
    return place(page.locator(CHOSEN))


# -- finding things --------------------------------------------------------------------------------------------------


def test_the_first_rejection_of_sequence_three(opened: Open, patches: xr.Dataset) -> None:
    page = opened("patches")
    page.get_by_role("link", name="Trajectories").click()
    page.get_by_label("Sequence", exact=True).select_option("Sequence 3")
    found = rejections(patches, 3)
    where = f"first rejection at pass {found[0][0]}, position {found[0][1]}."
    assert page.get_by_text(where).first.is_visible()
    assert f"{len(found)} rejections" in (page.locator("#sequence-summary").text_content() or "")
    assert chosen(page) == found[0]
    assert page.locator(CHOSEN).is_visible()


def test_buttons_step_through_the_rejections(opened: Open, patches: xr.Dataset) -> None:
    page, found = opened("patches"), rejections(patches, 0)
    said = page.get_by_role("status")
    button = {name: page.get_by_role("button", name=f"{name} rejection") for name in ("First", "Previous", "Next")}
    seen = []
    for _ in found:
        seen.append(chosen(page))
        button["Next"].click()
    assert seen == found
    assert said.text_content() == "No later rejection."
    button["Previous"].click()
    assert chosen(page) == found[-2]
    assert said.text_content() == page.locator(CHOSEN).get_attribute("aria-label")
    button["First"].click()
    assert chosen(page) == found[0]
    button["Previous"].click()
    assert said.text_content() == "No earlier rejection."


def test_cells_are_those_worked_by_hand(opened: Open) -> None:
    """See test_cells.py."""
    page = opened("hand")
    names = page.get_by_role("gridcell").evaluate_all("(cells) => cells.map((cell) => cell.getAttribute('aria-label'))")
    assert names == [
        "pass 0, position 0, draft 1, accepted, committed",
        "pass 0, position 1, draft 2, rejected, 3 committed",
        "pass 0, position 2, draft 3, kept",
        "pass 1, position 2, draft 3, rejected, 2 committed",
        "pass 1, position 3, draft 1, kept",
        "pass 1, position 4, draft 2, changed to 0",
        "pass 2, position 3, draft 1, accepted, committed",
        "pass 2, position 4, draft 0, accepted, committed",
        "pass 2, position 5, draft 2, accepted, committed",
        "pass 2, position 6, bonus token 3, committed",
        "pass 3, position 7, draft 2, rejected, 1 committed",
    ]
    glyphs = "".join(page.get_by_role("gridcell").all_text_contents())
    assert glyphs == "".join(next(s.glyph for s in STATES.values() if s.letter == c) for c in "arkrkcaaabr")
    page.get_by_label("Sequence", exact=True).select_option("1")
    assert [cell.get_attribute("aria-label") for cell in page.get_by_role("gridcell").all()] == [
        "pass 0, position 0, draft 1, irregular, 2 committed",
        "pass 0, position 1, draft 2, rejected, 3 committed",
        "pass 0, position 2, draft 3, irregular, 3 committed",
    ]


def test_the_laws_of_a_clicked_cell_lie_side_by_side(opened: Open, patches: xr.Dataset) -> None:
    page = opened("patches")
    page.get_by_role("gridcell", name=re.compile("^pass 1, position 3,")).click()
    slot = 3 - int(patches["base"][0, 1])
    q, p = (patches[name].values[0, 1, slot] for name in ("draft_probs", "target_probs"))
    rows = page.locator("#details .laws tbody tr").all()
    assert len(rows) == Patches.vocab_size
    for row in rows:
        token = int((row.locator("th").text_content() or "").split()[0])
        shown = [float(cell.replace("−", "-")) for cell in row.locator("td").all_text_contents()[:2]]
        np.testing.assert_allclose(shown, [q[token], p[token]], rtol=5e-3)
    assert "Laws of position 3 at pass 1" in (page.locator("#details").text_content() or "")


def test_a_rejection_shows_its_test_and_its_residual_law(opened: Open) -> None:
    """Token 2 with q = 1/8 against the certain token 3: p/q = 0, and the residual law is certain of 3 too."""
    page = opened("hand")
    page.get_by_role("gridcell", name="pass 0, position 1, draft 2, rejected, 3 committed").click()
    text = page.locator("#details").inner_text()
    assert "Verification rejected draft 2 (u = 0.25 against p/q = 0/0.125 = 0); the pass committed 3" in text
    residual = page.locator("#details .laws tbody tr").evaluate_all(
        "(rows) => rows.map((row) => [row.cells[0].textContent, row.cells[3].textContent])"
    )
    assert dict(residual) == {"3 after": "1", "0": "0", "1": "0", "2 draft": "0"}
    page.get_by_role("gridcell", name="pass 1, position 4, draft 2, changed to 0").click()
    assert "Not committed, since an earlier draft of the pass was rejected. Taken alone, draft 2 is rejected" in (
        page.locator("#details").inner_text()
    )


def test_a_position_can_be_followed_pass_by_pass(opened: Open) -> None:
    page = opened("hand")
    page.get_by_role("gridcell", name="pass 0, position 2, draft 3, kept").click()
    history = page.locator("#details .history button")
    assert history.all_text_contents() == ["3 =", "3 ✗"]
    history.last.click()
    assert chosen(page) == (1, 2)


def test_the_diagnosis_leads_to_its_place(opened: Open, stale: Stale) -> None:
    diagnosis = stale[0].diagnosis
    assert diagnosis is not None
    page = opened("stale")
    page.get_by_role("button", name=re.compile("^Show sequence")).click()
    assert page.get_by_label("Sequence", exact=True).input_value() == str(diagnosis.first_seen)
    assert chosen(page)[1] == diagnosis.position
    assert re.search("committed$", page.locator(CHOSEN).get_attribute("aria-label") or "")
    assert page.locator(CHOSEN).evaluate("(cell) => cell === document.activeElement")
    page.get_by_role("button", name="Show position 1", exact=True).click()
    assert chosen(page)[1] == 1


def test_an_address_leads_back_to_a_cell(opened: Open) -> None:
    page = opened("patches")
    page.get_by_label("Sequence", exact=True).select_option("2")
    page.get_by_role("gridcell", name=re.compile("^pass 2, position 4,")).click()
    address = page.url.split("#")[1]
    assert address == "sequence=2&pass=2&position=4"
    again = opened("patches", f"#{address}")
    assert chosen(again) == (2, 4)
    assert again.get_by_label("Sequence", exact=True).input_value() == "2"
    for bad in ("#sequence=99&pass=0&position=0", "#sequence=2&pass=0&position=9999", "#sequence=x"):
        assert chosen(opened("patches", bad))[0] == 0


# -- keyboard --------------------------------------------------------------------------------------------------------


def test_keys_move_through_the_grid(opened: Open, patches: xr.Dataset) -> None:
    page = opened("patches")
    page.get_by_role("button", name="Next rejection").focus()
    page.keyboard.press("Tab")
    focused = page.locator(":focus")
    assert focused.get_attribute("role") == "gridcell"  # one stop, at the chosen cell
    assert page.locator('[role=gridcell][tabindex="0"]').count() == 1
    base = patches["base"].values[0]
    last = int(np.flatnonzero(~np.isnan(base))[-1])
    assert 2 < last < 11
    page.keyboard.press("Control+Home")
    assert chosen(page) == (0, 0)
    moves = [
        ("ArrowLeft", (0, 0)),
        ("ArrowRight", (0, 1)),
        ("End", (0, 4)),
        ("ArrowRight", (0, 4)),
        ("Home", (0, 0)),
        ("ArrowUp", (0, 0)),
        ("ArrowDown", (1, int(base[1]))),
        ("PageDown", (last, int(base[last]))),
        ("PageUp", (0, 4)),
    ]
    for key, where in moves:
        page.keyboard.press(key)
        assert chosen(page) == where, key
        assert place(page.locator(":focus")) == where, key
    page.keyboard.press("Control+End")
    assert chosen(page) == (last, Patches.num_tokens - 1)
    assert page.locator('[role=gridcell][tabindex="0"]').count() == 1


def test_enter_goes_to_the_laws_and_escape_comes_back(opened: Open) -> None:
    page = opened("patches")
    page.locator(CHOSEN).focus()
    page.keyboard.press("ArrowRight")
    here = chosen(page)
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "details"
    page.keyboard.press("Escape")
    assert place(page.locator(":focus")) == here


# -- everybody, everywhere -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["stale", "verdict", "patches", "trend"])
def test_accessibility(opened: Open, name: str) -> None:
    page = opened(name)
    for summary in page.locator("summary").all():
        summary.click()
    for width in (1280, 360):
        page.set_viewport_size({"width": width, "height": 800})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            assert violations(page) == [], (width, scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_axe_would_find_what_is_wrong(opened: Open) -> None:
    page = opened("patches")
    page.evaluate("document.querySelector('label[for=sequence]').remove(); document.documentElement.lang = ''")
    page.evaluate("document.getElementById('report').style.color = '#cccccc'")
    assert {found.split()[0] for found in violations(page)} >= {"select-name", "html-has-lang", "color-contrast"}


def test_only_the_grid_scrolls_sideways_on_a_phone(opened: Open) -> None:
    page = opened("patches", viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.locator("#grid-scroll").evaluate("(grid) => grid.scrollWidth > grid.clientWidth")
    page.get_by_role("button", name="Next rejection").tap()
    page.locator(CHOSEN).tap()
    assert page.locator("#details").is_visible()
    sizes = page.get_by_role("gridcell").first.bounding_box()
    assert sizes is not None
    assert min(sizes["width"], sizes["height"]) >= 24  # WCAG 2.2, 2.5.8


def test_light_and_dark_differ_and_charts_follow(opened: Open) -> None:
    seen = {}
    page = opened("stale")
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        text = page.locator("figure svg text").first.evaluate("(text) => getComputedStyle(text).fill")
        seen[scheme] = (ground, text)
    assert seen["light"][0] == "rgb(255, 255, 255)"
    assert seen["light"][0] != seen["dark"][0]
    assert seen["light"][1] != seen["dark"][1]


def test_without_scripts_the_verdict_is_there(opened: Open) -> None:
    page = opened("stale", java_script_enabled=False)
    assert page.get_by_role("heading", level=1).inner_text().startswith("✗ Refuted")
    assert page.get_by_text("The explorer needs JavaScript").is_visible()


def test_a_hostile_name_does_nothing(opened: Open) -> None:
    page = opened("stale")
    assert page.title().startswith("Refuted: </script><img")
    assert page.locator("img").count() == 0


def test_a_page_as_large_as_photos_stays_quick(opened: Open, photos_page: Path) -> None:
    page = opened("photos", folder=photos_page.parent)
    taken = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
    assert taken < 5_000  # milliseconds
    page.get_by_label("Sequence", exact=True).select_option("7")
    assert page.get_by_role("gridcell").count() > 1_900
    scroller = page.locator("#grid-scroll")
    scroller.evaluate("(grid) => { grid.scrollTop = grid.scrollHeight; }")
    scroller.evaluate(MOVED_RIGHT)  # along with the window
    page.locator("#overview").click(position={"x": 5, "y": 2})
    assert chosen(page)[0] <= 1
