"""Pages to test, each rendered once, and a reader that sees them as a browser would."""

from __future__ import annotations

from functools import cache
from html.parser import HTMLParser
from typing import Any

import msgspec

from loadtest.report_page import render_comparison, render_report
from loadtest.result import RunResult
from tests.unit.loadtest import results

HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}$\\frac{1}{0}$\x1b[2J"
VOID_TAGS = frozenset({"meta", "link", "img", "br", "hr", "input"})
_EMPTY = msgspec.structs.replace(
    results.sound(),
    offered=0,
    offered_per_s=0.0,
    goodput_per_s=0.0,
    outcomes={},
    series=[],
    steps=[],
    server_side=None,
    latency=msgspec.structs.replace(
        results.sound().latency,
        samples=0,
        mean_ms=None,
        percentiles_ms={"50": None, "99": None, "100": None},
        p99_interval_ms=None,
        histogram="",
    ),
)


def hostile(result: RunResult) -> RunResult:
    """Return a result with every string, and every name that is not a field's, replaced."""
    fields = msgspec.to_builtins(result)
    kept = {"latency": {"percentiles_ms": fields["latency"]["percentiles_ms"]}}
    spoiled = {name: _spoiled(value, is_struct=True) for name, value in fields.items()}
    for name in ("scenario", "server", "machine", "versions", "outcomes"):
        spoiled[name] = _spoiled(fields[name], is_struct=False)
    spoiled["latency"] |= kept["latency"] | {"histogram": fields["latency"]["histogram"]}
    for name in ("batch_rows", "queue_delay_s"):
        spoiled["server_side"][name] = {HOSTILE: 1, **fields["server_side"][name]}
    return msgspec.convert(spoiled, RunResult)


def _spoiled(value: Any, *, is_struct: bool) -> Any:
    match value:
        case str():
            return HOSTILE
        case dict():
            return {
                name if is_struct else f"{name}{HOSTILE}": _spoiled(inner, is_struct=is_struct)
                for name, inner in value.items()
            }
        case list():
            return [_spoiled(inner, is_struct=is_struct) for inner in value]
    return value


@cache
def result(name: str) -> RunResult:
    """Return a result by name; `empty` is one of a run without a request."""
    if name == "empty":
        return _EMPTY
    if name == "hostile":
        reason = msgspec.structs.replace(results.GENERATOR, void_reason="any")
        return hostile(results.ramp(generator=reason, models=results.mixed().models))
    made: RunResult = getattr(results, name)()
    return made


@cache
def report(*names: str) -> str:
    """Return the report of the results of these names."""
    return render_report([result(name) for name in names])


@cache
def comparison(before: str, after: str) -> str:
    """Return the comparison of two results by name."""
    return render_comparison(result(before), result(after))


class Seen(HTMLParser):
    """What a page holds: its elements as (tag, attributes), and its text outside of style."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.unclosed: list[str] = []
        self.stray: list[str] = []
        self._words: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID_TAGS:
            self.unclosed.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if self.unclosed and self.unclosed[-1] == tag:
            self.unclosed.pop()
        else:
            self.stray.append(tag)

    def handle_data(self, data: str) -> None:
        if self.unclosed[-1:] != ["style"]:
            self._words.extend(data.split())

    @property
    def text(self) -> str:
        """All words, one space apart."""
        return " ".join(self._words)

    def tags(self) -> set[str]:
        """The names of all elements."""
        return {tag for tag, _ in self.elements}

    def attributes(self, tag: str, name: str) -> list[str | None]:
        """The values of an attribute of all elements of one name that have it."""
        return [found[name] for seen, found in self.elements if seen == tag and name in found]
