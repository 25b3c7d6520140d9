"""The report of a load test: one HTML file that needs no network, no scripts and no other file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from loadtest.report import comparison, figures, plain_words
from loadtest.report.comparison_plots import plots_of_both
from loadtest.report.plots import plots_of
from loadtest.report.svg_figure import DrawnPlot, Plot, draw
from loadtest.result import RunResult

# Names, addresses and everything that a server says are foreign text: the templates escape whatever
# is not Markup, and the page's Content-Security-Policy allows no script and no request.
_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "report" / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.globals |= {
    "f": figures,
    "words": plain_words,
    "flat": comparison.flat,
    "scenario_parts": comparison.scenario_parts,
}


def render_report(results: Sequence[RunResult]) -> str:
    """Return the page of one or more runs.

    Raises:
        ValueError: `results` is empty.
    """
    if not results:
        raise ValueError("a report needs at least one result")
    runs = [
        {"key": f"r{number}", "result": result, "plots": _drawn(f"r{number}", plots_of(result))}
        for number, result in enumerate(results, start=1)
    ]
    return _page("report.html", runs=runs)


def render_comparison(before: RunResult, after: RunResult) -> str:
    """Return the page of two runs, each figure beside its counterpart."""
    return _page(
        "comparison.html",
        before=before,
        after=after,
        claim=comparison.claim(before, after),
        measures=comparison.measures(before, after),
        differences=comparison.differences(before, after),
        plots=_drawn("c", plots_of_both(before, after)),
    )


def _page(template: str, **values: Any) -> str:
    return _ENVIRONMENT.get_template(template).render(values) + "\n"


def _drawn(key: str, plots: list[Plot]) -> list[DrawnPlot]:
    return [draw(plot, f"{key}p{number}") for number, plot in enumerate(plots, start=1)]
