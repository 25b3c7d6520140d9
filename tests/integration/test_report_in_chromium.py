"""The report in a real browser: it asks for nothing, complains of nothing, and can be read.

Screenshots are left in the test's temporary folder.
"""

from __future__ import annotations

import asyncio
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.chromium import find_chromium, open_tab
from tests.conftest import required_in_ci
from tests.unit.loadtest import pages

DESKTOP, PHONE = 1280, 390
PAGES = {
    "sound": lambda: pages.report("sound"),
    "ramp": lambda: pages.report("ramp"),
    "mixed": lambda: pages.report("mixed"),
    "several": lambda: pages.report("overloaded", "stalled", "void"),
    "hostile": lambda: pages.report("hostile"),
    "comparison": lambda: pages.comparison("sound", "overloaded"),
}
PLOTS = {"sound": 5, "ramp": 7, "mixed": 5, "several": 11, "hostile": 5, "comparison": 5}
P99, AFTER, VOID = (0xC4, 0x4E, 0x00), (0x00, 0x72, 0xB2), (0xB3, 0x19, 0x0F)
PAINTED = {"sound": P99, "ramp": P99, "mixed": P99, "several": P99, "hostile": VOID}
PAINTED |= {"comparison": AFTER}
# How far into each other two texts' boxes may reach: the boxes hold empty room above the letters.
OVERLAP_PX = 3
WHAT_IS_SHOWN = """
(() => {
  const drawn = [...document.querySelectorAll("figure svg")];
  const shown = drawn.filter((svg) => svg.getClientRects().length);
  const box = (element) => {
    const found = element.getBoundingClientRect();
    return [found.left, found.top, found.right, found.bottom];
  };
  return {
    width: document.documentElement.scrollWidth,
    figures: document.querySelectorAll("figure").length,
    scripts: document.scripts.length,
    images: document.images.length,
    background: getComputedStyle(document.body).backgroundColor,
    plots: shown.map((svg) => ({
      label: svg.getAttribute("aria-label"),
      box: box(svg),
      marks: [...svg.querySelectorAll("[clip-path]")].map(box),
      texts: [...svg.querySelectorAll("text")].map((text) => [text.textContent, ...box(text)]),
      font_px: [...svg.querySelectorAll("text")].map((text) => {
        const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
        return parseFloat(getComputedStyle(text).fontSize) * scale;
      }),
    })),
  };
})()
"""


@dataclass(frozen=True, slots=True)
class Look:
    """What one page did and showed at one width."""

    name: str
    width: int
    address: str
    requested: list[str]
    complaints: list[str]
    shown: dict[str, Any]
    picture: Image.Image


async def look_at(chromium: str, name: str, width: int, folder: Path, *, is_dark: bool) -> Look:
    page = folder / f"{name}.html"
    page.write_text(PAGES[name](), encoding="utf-8")
    async with open_tab(chromium) as tab:
        await tab.open(page, width, is_dark=is_dark)
        shown = await tab.evaluate(WHAT_IS_SHOWN)
        picture = await tab.screenshot()
    (folder / f"{name}-{width}{'-dark' if is_dark else ''}.png").write_bytes(picture)
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    return Look(name, width, page.as_uri(), tab.requested, tab.complaints, shown, image)


def find_or_skip() -> str:
    chromium = find_chromium()
    if chromium is None:
        required_in_ci("no Chromium is installed")
    return str(chromium)


@pytest.fixture(
    scope="module",
    params=[(name, width) for name in PAGES for width in (DESKTOP, PHONE)],
    ids=lambda param: f"{param[0]}-{param[1]}",
)
def look(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Look:
    name, width = request.param
    folder = tmp_path_factory.mktemp("report")
    return asyncio.run(look_at(find_or_skip(), name, width, folder, is_dark=False))


def overlaps(plot: dict[str, Any]) -> list[tuple[str, str]]:
    texts = plot["texts"]
    return [
        (one[0], other[0])
        for number, one in enumerate(texts)
        for other in texts[number + 1 :]
        if min(one[3], other[3]) - max(one[1], other[1]) > OVERLAP_PX
        and min(one[4], other[4]) - max(one[2], other[2]) > OVERLAP_PX
    ]


def test_a_page_asks_for_nothing_but_itself(look: Look) -> None:
    assert look.requested == [look.address]


def test_a_page_causes_no_complaint_in_the_console(look: Look) -> None:
    assert look.complaints == []


def test_a_page_runs_no_script_and_shows_no_foreign_image(look: Look) -> None:
    assert (look.shown["scripts"], look.shown["images"]) == (0, 0)


def test_every_plot_is_shown_once(look: Look) -> None:
    assert (look.shown["figures"], len(look.shown["plots"])) == (PLOTS[look.name],) * 2


def test_every_plot_has_marks_that_take_up_room(look: Look) -> None:
    empty = [
        plot["label"]
        for plot in look.shown["plots"]
        if not any(
            right - left > 20 or bottom - top > 20 for left, top, right, bottom in plot["marks"]
        )
    ]

    assert empty == []


def test_a_page_is_painted_in_its_colours(look: Look) -> None:
    colours = look.picture.getcolors(maxcolors=2**24) or []

    assert PAINTED[look.name] in {colour for _, colour in colours}


def test_no_text_of_a_plot_lies_over_another(look: Look) -> None:
    found = {plot["label"]: overlaps(plot) for plot in look.shown["plots"]}

    assert {label: pairs for label, pairs in found.items() if pairs} == {}


def test_no_text_of_a_plot_reaches_out_of_it(look: Look) -> None:
    outside = [
        (plot["label"], text)
        for plot in look.shown["plots"]
        for text, left, top, right, bottom in plot["texts"]
        if left < plot["box"][0] - 2
        or right > plot["box"][2] + 2
        or top < plot["box"][1] - 2
        or bottom > plot["box"][3] + 2
    ]

    assert outside == []


def test_no_text_of_a_plot_is_too_small_to_read(look: Look) -> None:
    smallest_px = min(px for plot in look.shown["plots"] for px in plot["font_px"])

    assert smallest_px >= 9.5


def test_nothing_is_wider_than_the_screen(look: Look) -> None:
    assert look.shown["width"] == look.width


def test_a_dark_screen_gets_a_dark_page(tmp_path: Path) -> None:
    look = asyncio.run(look_at(find_or_skip(), "sound", DESKTOP, tmp_path, is_dark=True))

    assert look.shown["background"] == "rgb(20, 22, 26)"
