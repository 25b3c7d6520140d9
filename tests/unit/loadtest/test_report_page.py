"""The report page: what it shows, what it leaves out, and that foreign text stays text."""

from __future__ import annotations

import re

import pytest

from loadtest.report_page import render_report
from tests.unit.loadtest import pages, results
from tests.unit.loadtest.pages import Seen

NAMES = ("sound", "overloaded", "stalled", "void", "ramp", "mixed", "empty", "hostile")
ALWAYS = ["Latency over time", "What became of the requests", "Latency distribution"]
BY_RATE = ["Latency by offered rate", "Goodput by offered rate"]
OF_THE_SERVER = ["Batch size", "Queue delay"]
HTML_TAGS = frozenset(
    (
        *("html", "head", "meta", "link", "title", "style", "body", "main", "header", "section"),
        *("p", "h1", "h2", "h3", "h4", "dl", "dt", "dd", "div", "strong", "span", "pre", "a"),
        *("figure", "figcaption", "table", "thead", "tbody", "tfoot", "tr", "th", "td"),
    )
)
SVG_TAGS = frozenset(["svg", "g", "path", "defs", "use", "text", "tspan", "clippath", "rect"])


def plot_titles(page: str) -> list[str]:
    return re.findall(r"<figcaption><h3>(.*?)</h3>", page)


@pytest.mark.parametrize("name", NAMES)
def test_every_element_is_closed_where_it_was_opened(name: str) -> None:
    seen = Seen(pages.report(name))

    assert (seen.unclosed, seen.stray) == ([], [])


@pytest.mark.parametrize("name", NAMES)
def test_a_page_has_only_the_elements_that_the_templates_and_plots_write(name: str) -> None:
    assert Seen(pages.report(name)).tags() - HTML_TAGS - SVG_TAGS == set()


@pytest.mark.parametrize("name", NAMES)
def test_no_two_elements_share_an_id(name: str) -> None:
    found = re.findall(r'\bid="([^"]*)"', pages.report(name))

    assert sorted(found) == sorted(set(found))


def test_two_reports_in_one_page_share_no_ids() -> None:
    found = re.findall(r'\bid="([^"]*)"', pages.report("sound", "void"))

    assert sorted(found) == sorted(set(found))


@pytest.mark.parametrize("name", NAMES)
def test_every_reference_within_the_page_has_its_target(name: str) -> None:
    page = pages.report(name)
    ids = set(re.findall(r'\bid="([^"]*)"', page))
    wanted = set(re.findall(r'href="#([^"]*)"', page)) | set(re.findall(r"url\(#([^)]*)\)", page))

    assert wanted - ids == set()


@pytest.mark.parametrize("name", NAMES)
def test_no_attribute_names_anything_outside_the_page(name: str) -> None:
    elements = Seen(pages.report(name)).elements
    addresses = {
        value
        for _, found in elements
        for attribute, value in found.items()
        if attribute in {"href", "src", "xlink:href", "action", "data", "srcset"}
    }

    assert {address for address in addresses if not str(address).startswith("#")} == {"data:,"}


def test_the_page_forbids_scripts_and_requests_of_its_own() -> None:
    policies = Seen(pages.report("sound")).attributes("meta", "content")

    assert any(str(policy).startswith("default-src 'none';") for policy in policies)


def test_no_attribute_of_a_hostile_result_is_an_event_handler() -> None:
    found = Seen(pages.report("hostile")).elements

    assert [name for _, names in found for name in names if name.startswith("on")] == []


def test_a_comparison_of_hostile_results_has_only_the_templates_elements() -> None:
    seen = Seen(pages.comparison("hostile", "sound"))

    assert seen.tags() - HTML_TAGS - SVG_TAGS == set()


def test_hostile_text_is_shown_as_it_was_given() -> None:
    assert "<script>alert(1)</script>" in Seen(pages.report("hostile")).text


def test_hostile_text_is_not_taken_for_a_template() -> None:
    assert "{{ 7*7 }}" in Seen(pages.report("hostile")).text


@pytest.mark.parametrize(
    ("name", "titles"),
    [
        ("sound", [*ALWAYS, *OF_THE_SERVER]),
        ("stalled", ALWAYS),
        ("ramp", [*ALWAYS, *BY_RATE, *OF_THE_SERVER]),
        ("empty", []),
    ],
)
def test_a_page_has_the_plots_that_the_result_has_figures_for(name: str, titles: list[str]) -> None:
    assert plot_titles(pages.report(name)) == titles


def test_every_plot_is_there_for_wide_and_for_narrow_screens() -> None:
    assert pages.report("ramp").count("<svg ") == 2 * len([*ALWAYS, *BY_RATE, *OF_THE_SERVER])


def test_every_plot_says_in_words_what_it_shows() -> None:
    labels = Seen(pages.report("stalled")).attributes("svg", "aria-label")

    assert "Latency over time. The slowest answer took 1,010 ms, due in second 59." in labels


def test_no_colour_code_of_the_drawing_is_left_in_the_page() -> None:
    assert re.findall(r"#0000[0-9a-f]{2}\b", pages.report("ramp")) == []


def test_every_colour_of_a_plot_is_defined_for_light_and_for_dark() -> None:
    page = pages.report("overloaded")
    used = set(re.findall(r"var\((--plot-[a-z0-9-]+)\)", page))

    assert {name: page.count(f"{name}: #") for name in used} == dict.fromkeys(used, 2)


@pytest.mark.parametrize(
    "words",
    [
        "639,285 requests in 40 s, 15,982/s (Poisson arrivals, open loop",
        "each to be answered within 50 ms",
        "49.22 % in time, 7,866/s; 0.15 % late, 50.55 % refused, 0.08 % expired.",
        "99 of 100 answers came within 48.0 ms (95 % confidence interval 47.9 ms to 48.0 ms), from "
        "315,585 answers with status 200.",
        "Less than 99 % of the requests were answered in time: the server did not carry this load.",
        "refused 323,210 50.55 %",
        "p99.9 51.7 ms",
        "send lag p99 0.113 ms",
        "CPU time per request 52.6 µs",
    ],
)
def test_the_page_shows_the_figures_of_the_result(words: str) -> None:
    assert words in Seen(pages.report("overloaded")).text


@pytest.mark.parametrize(
    "words",
    [
        "batchbridge loadtest steady --url http://127.0.0.1:8080 --model churn --seed 7",
        "seed 7",
        "arrivals.kind poisson",
        "arrivals.rate 2000",
        "cpu AMD EPYC 7B13",
        "governor none",
        "httptools 0.7.1",
        "model_version 3",
    ],
)
def test_the_page_holds_everything_to_repeat_the_run(words: str) -> None:
    assert words in Seen(pages.report("sound")).text


@pytest.mark.parametrize(
    "words",
    [
        "digits 1,800 100 % 5.98 ms 15.7 ms 28.4 ms –",
        "churn 240 19.17 % 59.5 ms – 96.3 ms 64.16 % late, 16.67 % refused",
    ],
)
def test_a_page_of_several_models_has_the_figures_of_each(words: str) -> None:
    assert words in Seen(pages.report("mixed")).text


def test_the_bodies_and_options_of_a_run_stand_beside_its_scenario() -> None:
    scenario = results.SCENARIO | {"pool": {"bodies": 7}, "asked": {"seed": 3}}
    text = Seen(render_report([results.sound(scenario=scenario)])).text

    assert ("Bodies bodies 7" in text, "Options seed 3" in text) == (True, True)


def test_a_page_of_one_model_has_no_table_of_models() -> None:
    assert "Models" not in Seen(pages.report("sound")).text


def test_a_void_run_says_so_and_why_before_any_figure() -> None:
    text = Seen(pages.report("void")).text

    assert text.index("VOID This run proves nothing: the generator's own") < text.index("Offered")


def test_a_void_run_claims_nothing() -> None:
    assert (
        "Latency claim None: the run is void. Verdict None: the run is void."
        in Seen(pages.report("void")).text
    )


def test_a_sound_run_is_not_called_void() -> None:
    assert "VOID" not in Seen(pages.report("sound")).text


def test_a_percentile_without_enough_answers_is_a_dash_with_the_number_it_takes() -> None:
    assert "p99 – too few answers: it takes 459" in Seen(pages.report("void")).text


def test_several_runs_are_listed_first_with_the_void_ones_marked() -> None:
    text = Seen(pages.report("sound", "void")).text

    assert "smoke 40.0/s 40.0/s 100 % 3.82 ms – 50 ms VOID" in text


def test_the_same_result_gives_the_same_page() -> None:
    assert render_report([pages.result("void")]) == pages.report("void")


def test_a_report_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one result"):
        render_report([])
