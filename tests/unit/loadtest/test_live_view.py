"""The terminal view: redrawn on a terminal, plain lines elsewhere, and no foreign escape codes."""

from __future__ import annotations

import re
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from loadtest.live_view import LiveView, plain_line, print_summary, printable, sparkline
from loadtest.progress import Progress
from tests.unit.loadtest import pages, results

SHOW_CURSOR = "\x1b[?25h"
COLOUR = re.compile(r"\x1b\[[\d;]*3[0-7]m|\x1b\[9[0-7]m")
AT_41_S = Progress(
    elapsed_s=41.3,
    seconds=60.0,
    offered=82_600,
    in_time=82_187,
    late=165,
    refused=12,
    failed=0,
    rate_per_s=2003.2,
    p50_ms=6.01,
    p99_ms=15.7,
    lag_p99_ms=0.113,
    in_flight=13,
)


def console(*, is_terminal: bool, **settings: object) -> Console:
    return Console(
        file=StringIO(),
        force_terminal=is_terminal,
        width=110,
        _environ={},
        **settings,  # type: ignore[arg-type]
    )


def written(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_a_pipe_gets_one_plain_line_every_five_seconds() -> None:
    pipe = console(is_terminal=False)

    with LiveView("steady", 50.0, pipe) as view:
        for elapsed_s in range(1, 12):
            view.update(replace(AT_41_S, elapsed_s=float(elapsed_s)))

    assert [line.split()[0] for line in written(pipe).splitlines()] == ["1/60", "6/60", "11/60"]


def test_a_pipe_gets_the_last_snapshot_in_any_case() -> None:
    pipe = console(is_terminal=False)

    with LiveView("steady", 50.0, pipe) as view:
        view.update(replace(AT_41_S, elapsed_s=58.0))
        view.update(replace(AT_41_S, elapsed_s=60.0))

    assert written(pipe).splitlines()[-1].startswith("60/60 s")


def test_a_plain_line_holds_every_figure_of_the_snapshot() -> None:
    assert plain_line(AT_41_S) == (
        "41/60 s  offered 82,600 (2,003/s)  in time 82,187  late 165  refused 12  failed 0  "
        "in flight 13  p50 6.01 ms  p99 15.7 ms  lag p99 0.113 ms"
    )


def test_a_pipe_gets_no_escape_codes() -> None:
    pipe = console(is_terminal=False)

    with LiveView("steady", 50.0, pipe) as view:
        view.update(AT_41_S)
    print_summary(pages.result("void"), pipe)

    assert "\x1b" not in written(pipe)


@pytest.mark.parametrize(
    "figure", ["82,600", "2,003/s", "165", "15.7 ms", "0.113 ms", "41 of 60 s"]
)
def test_a_terminal_shows_the_figures_of_the_snapshot(figure: str) -> None:
    terminal = console(is_terminal=True)

    with LiveView("steady", 50.0, terminal) as view:
        view.update(AT_41_S)

    assert figure in written(terminal)


def test_a_terminal_shows_colours() -> None:
    terminal = console(is_terminal=True, color_system="standard")

    print_summary(pages.result("void"), terminal)

    assert COLOUR.search(written(terminal)) is not None


def test_no_color_is_respected() -> None:
    terminal = Console(
        file=StringIO(),
        force_terminal=True,
        width=110,
        color_system="standard",
        _environ={"NO_COLOR": "1"},
    )

    with LiveView("steady", 50.0, terminal) as view:
        view.update(AT_41_S)
    print_summary(pages.result("overloaded"), terminal)

    assert COLOUR.search(written(terminal)) is None


def test_a_terminal_that_cannot_move_the_cursor_gets_plain_lines() -> None:
    dumb = Console(file=StringIO(), force_terminal=True, width=110, _environ={"TERM": "dumb"})

    with LiveView("steady", 50.0, dumb) as view:
        view.update(AT_41_S)

    assert written(dumb) == plain_line(AT_41_S) + "\n"


def test_the_view_ends_when_the_run_fails() -> None:
    terminal = console(is_terminal=True)

    with pytest.raises(OSError, match="gone"), LiveView("steady", 50.0, terminal):
        raise OSError("gone")

    assert SHOW_CURSOR in written(terminal)


@pytest.mark.parametrize(
    "words",
    [
        "steady: churn at http://127.0.0.1:8080",
        "119,329 requests in 60 s",
        "100 % in time, 1,989/s",
        "95 % interval 15.7 ms to 16.0 ms",
        "At least 99 % of the requests were answered in time",
    ],
)
def test_the_summary_holds_the_figures_of_the_result(words: str) -> None:
    pipe = console(is_terminal=False)

    print_summary(pages.result("sound"), pipe)

    assert words in written(pipe)


@pytest.mark.parametrize(("lag_ms", "is_red"), [(0.49, False), (0.51, True)])
def test_a_lag_that_makes_a_run_void_is_red(lag_ms: float, is_red: bool) -> None:
    terminal = console(is_terminal=True, color_system="standard")

    with LiveView("steady", 50.0, terminal) as view:
        view.update(replace(AT_41_S, lag_p99_ms=lag_ms))

    assert (f"\x1b[31m{lag_ms:.3f} ms" in written(terminal)) == is_red


@pytest.mark.parametrize("line", ["digits 1,800 100 %", "churn 240 19.17 % 59.5 ms"])
def test_the_summary_of_several_models_has_the_figures_of_each(line: str) -> None:
    pipe = console(is_terminal=False)

    print_summary(pages.result("mixed"), pipe)

    assert line in " ".join(written(pipe).split())


def test_the_summary_says_what_was_wrong_with_a_wrong_answer() -> None:
    pipe = console(is_terminal=False)

    print_summary(results.sound(first_wrong="body 4, output 'y' is missing"), pipe)

    assert "The first wrong answer: body 4, output 'y' is missing." in " ".join(
        written(pipe).split()
    )


def test_the_summary_of_a_void_run_begins_with_it() -> None:
    pipe = console(is_terminal=False)

    print_summary(pages.result("void"), pipe)

    assert written(pipe).splitlines()[1].startswith("VOID, this run proves nothing: the generator")


def test_the_summary_of_an_empty_run_claims_nothing() -> None:
    pipe = console(is_terminal=False)

    print_summary(pages.result("empty"), pipe)

    assert "None about the 99th percentile: 0 answers" in written(pipe)


def test_foreign_text_cannot_reach_the_terminal_as_a_command() -> None:
    pipe = console(is_terminal=False)

    print_summary(pages.result("hostile"), pipe)

    assert "\x1b" not in written(pipe)


def test_foreign_text_is_not_taken_for_markup() -> None:
    terminal = console(is_terminal=True)

    with LiveView("[red]steady[/red] [/]", 50.0, terminal) as view:
        view.update(AT_41_S)

    assert "[red]steady[/red] [/]" in written(terminal)


def test_control_characters_are_made_visible() -> None:
    assert printable("a\x1b]0;b\x07\u202ec") == "a\\x1b]0;b\\x07\\x202ec"


def test_a_sparkline_rises_from_nothing_to_the_largest_value() -> None:
    assert sparkline([0.0, 5.0, None, 10.0]) == "▁▅ █"


def test_a_sparkline_of_nothing_is_empty() -> None:
    assert sparkline([]) == ""
