"""Draws a plot as inline SVG in the page's colours, once for wide and once for narrow screens.

matplotlib, because it is the best kept of the libraries that write SVG without a browser: its
ticks, log axes and layout are right, its text can stay text, and a plot takes 10 to 40 kB. Its
colours are fixed, so each is drawn as a code that becomes a CSS variable: one SVG serves light and
dark.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from types import MappingProxyType
from typing import Any

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# The page defines --plot-<name> for each; the code is what matplotlib is told instead of a colour.
COLOURS = MappingProxyType(
    {
        name: f"#0000{code:02x}"
        for code, name in enumerate(
            (
                *("ink", "grid", "p50", "p99", "max", "target"),
                *("in-time", "late", "refused", "failed", "offered", "before", "after", "bars"),
            ),
            start=1,
        )
    }
)
# CSS pixels. A page shows one of the two, so text keeps its size on a phone.
WIDE = (600, 290)
NARROW = (340, 270)
_PIXELS_PER_INCH = 72  # what matplotlib's SVG takes a point for
_SETTINGS: Any = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 11.5,
    "axes.edgecolor": COLOURS["grid"],
    "axes.labelcolor": COLOURS["ink"],
    "axes.linewidth": 1.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": COLOURS["grid"],
    "grid.linewidth": 0.8,
    "text.color": COLOURS["ink"],
    "xtick.color": COLOURS["grid"],
    "ytick.color": COLOURS["grid"],
    "xtick.labelcolor": COLOURS["ink"],
    "ytick.labelcolor": COLOURS["ink"],
    "lines.linewidth": 1.7,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "legend.columnspacing": 1.2,
    "legend.borderpad": 0.0,
}
_METADATA = {"Creator": None, "Date": None, "Format": None, "Type": None}


@dataclass(frozen=True, slots=True)
class Plot:
    """What to draw: a heading, how to read it, what it shows in words, and the drawing itself."""

    title: str
    note: str
    alt: str
    draw: Callable[[Axes], None]


@dataclass(frozen=True, slots=True)
class DrawnPlot:
    """A plot as two SVG elements, safe to put into a page."""

    title: str
    note: str
    wide: Markup
    narrow: Markup


def draw(plot: Plot, key: str) -> DrawnPlot:
    """Draw `plot`; `key`, a letter and then letters or digits, is unique within the page."""
    return DrawnPlot(
        plot.title,
        plot.note,
        _inline_svg(plot, f"{key}w", WIDE),
        _inline_svg(plot, f"{key}n", NARROW),
    )


def _inline_svg(plot: Plot, key: str, size: tuple[int, int]) -> Markup:
    width, height = size
    # The settings are read while drawing as well as while making, hence one block around both.
    with mpl.rc_context(_SETTINGS | {"svg.hashsalt": key}):
        inches = (width / _PIXELS_PER_INCH, height / _PIXELS_PER_INCH)
        figure = Figure(figsize=inches, dpi=_PIXELS_PER_INCH, layout="constrained")
        axes = figure.subplots()
        plot.draw(axes)
        _add_legend(figure, axes, is_wide=size == WIDE)
        text = StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata=_METADATA)
    return Markup(_for_a_page(text.getvalue(), plot, key, size))  # noqa: S704 - matplotlib escapes text


def _add_legend(figure: Figure, axes: Axes, *, is_wide: bool) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if len(labels) > 1:
        columns = len(labels) if is_wide or len(labels) <= 3 else math.ceil(len(labels) / 2)
        figure.legend(handles, labels, loc="outside upper left", ncols=columns)


def _for_a_page(svg: str, plot: Plot, key: str, size: tuple[int, int]) -> str:
    """Make a document's SVG an element of a page: own ids, the page's colours and font, a label."""
    inner = svg[svg.index(">", svg.index("<svg")) + 1 :]
    inner = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", inner, count=1, flags=re.DOTALL)
    inner = re.sub(r'(\bid="|xlink:href="#|url\(#)', rf"\g<1>{key}-", inner)
    inner = inner.replace("xlink:href", "href")
    inner = re.sub(r"font-family: [^;\"]*;? ?|font: [^;\"]*;? ?", _font_size_only, inner)
    for name, code in COLOURS.items():
        inner = inner.replace(code, f"var(--plot-{name})")
    # Lines end in a space or a newline for no one; the page is read by browsers.
    inner = re.sub(r"\s*\n\s*", "\n", inner)
    label = escape(f"{plot.title}. {plot.alt}")
    width, height = size
    return f'<svg role="img" aria-label="{label}" viewBox="0 0 {width} {height}">{inner.strip()}'


def _font_size_only(style: re.Match[str]) -> str:
    size = re.search(r"[\d.]+px", style[0])
    return f"font-size: {size[0]}; " if size else ""
