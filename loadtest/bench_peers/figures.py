"""From rounds to figures: what was reached, and what each server and process did for it."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from loadtest.bench_peers.load import Measured
from loadtest.bench_peers.servers import BATCHBRIDGE, FASTAPI, MOSEC, RAW, REFUSING, UNBATCHED

# The parts of a round.
THROUGHPUT = {256: "single-row JSON, 256 connections", 64: "single-row JSON, 64 connections"}
ONE = "single-row JSON, one connection"
OPEN = "single-row JSON, open loop, 64 connections"
ROWS = "64-row binary, 16 connections, breast_cancer"
ROWS_BULK = "64-row binary, 16 connections, an MLP of 8.5 million weights"
BINARY = "single-row binary, 256 connections"
STREAMED = {
    count: f"single-row MessagePack, streamed, {count} to a message" for count in (64, 8, 1)
}
REFUSED = "single-row JSON, 64 connections, refused and accepted"
BARE = "bare session.run loop"
GATEWAY = "gateway"
OFTEN_SHARE = 0.05
AT_LEAST, AT_MOST = "≥", "≤"

# What one part found, by server, and what one round found, by part.
Found = dict[str, Measured]
Round = dict[str, Found]


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table; `limit` is None where the figure is only for comparison.

    `of` takes the figure from a round and raises KeyError where its part was not measured.
    """

    name: str
    of: Callable[[Round], float]
    sense: str = AT_LEAST
    limit: float | None = None
    form: str = ".2f"

    def is_reached(self, value: float) -> bool:
        """Return whether a value keeps the limit."""
        if self.limit is None:
            return True
        return value >= self.limit if self.sense == AT_LEAST else value <= self.limit


def _per_s(part: str, one: str, other: str) -> Callable[[Round], float]:
    return lambda found: found[part][one].per_s / found[part][other].per_s


def _p50(other: str) -> Callable[[Round], float]:
    return lambda found: found[ONE][BATCHBRIDGE].p50_ms / found[ONE][other].p50_ms


def _p99(found: Round) -> float:
    return found[OPEN][BATCHBRIDGE].p99_ms / found[OPEN][MOSEC].p99_ms


def _gateway_us(part: str) -> Callable[[Round], float]:
    return lambda found: found[part][BATCHBRIDGE].cpu_us[GATEWAY]


def _commands(found: Round) -> float:
    return found[THROUGHPUT[256]][BATCHBRIDGE].commands_per_request


def refusal_share(found: Round) -> float:
    """Return a refusal's gateway CPU as a share of an accepted request's.

    A lone request is always let in, so some of the refusing model's were: they are taken off at
    what an accepted one costs.
    """
    refused, accepted = found[REFUSED][REFUSING], found[REFUSED][BATCHBRIDGE]
    one_s = accepted.cpu_s[GATEWAY] / accepted.answered
    spent_s = refused.cpu_s[GATEWAY] - refused.answered * one_s
    return spent_s / refused.other / one_s


FIGURES = (
    Figure("requests/s, 256 connections ÷ mosec", _per_s(THROUGHPUT[256], BATCHBRIDGE, MOSEC),
           AT_LEAST, 1.25),
    Figure("requests/s, 64 connections ÷ mosec", _per_s(THROUGHPUT[64], BATCHBRIDGE, MOSEC),
           AT_LEAST, 1.0),
    Figure("p50, one connection ÷ FastAPI", _p50(FASTAPI), AT_MOST, 1.25),
    Figure("p50, one connection ÷ FastAPI that takes the raw body", _p50(RAW), AT_MOST, 1.25),
    Figure("p50, one connection ÷ mosec", _p50(MOSEC), AT_MOST, 0.5),
    Figure("p50, one connection ÷ mosec without batching", _p50(UNBATCHED)),
    Figure("p99, 64 connections, 0.7 of mosec's maximum offered ÷ mosec", _p99, AT_MOST, 1.0),
    Figure("rows/s, 64-row binary ÷ bare loop, breast_cancer", _per_s(ROWS, BATCHBRIDGE, BARE),
           AT_LEAST, 0.7),
    Figure("rows/s, 64-row binary ÷ bare loop, MLP", _per_s(ROWS_BULK, BATCHBRIDGE, BARE),
           AT_LEAST, 0.7),
    Figure("gateway CPU, JSON, µs per request", _gateway_us(THROUGHPUT[256]), AT_MOST, 35, ".1f"),
    Figure("gateway CPU, binary, µs per request", _gateway_us(BINARY), AT_MOST, 30, ".1f"),
    Figure("gateway CPU, streamed, 64 to a message, µs per request", _gateway_us(STREAMED[64]),
           AT_MOST, 15, ".1f"),
    Figure("gateway CPU, streamed, 8 to a message, µs per request", _gateway_us(STREAMED[8]),
           AT_MOST, 15, ".1f"),
    Figure("gateway CPU, streamed, 1 to a message, µs per request", _gateway_us(STREAMED[1]),
           form=".1f"),
    Figure("Redis commands per request, 256 connections", _commands, AT_MOST, 0.25, ".3f"),
    Figure("gateway CPU, refused ÷ accepted", refusal_share, AT_MOST, 0.25),
)  # fmt: skip


def values_of(figure: Figure, rounds: Iterable[Round]) -> list[float]:
    """Return a figure of each round in which it was measured."""
    found = []
    for one in rounds:
        try:
            found.append(figure.of(one))
        except KeyError:
            continue
    return found


def print_figures(rounds: Sequence[Round]) -> None:
    """Print the table of figures; whether one is reached goes by its median."""
    print("| figure | must reach | least | median | most | reached |")
    print("|---|---:|---:|---:|---:|---|")
    for figure in FIGURES:
        values = values_of(figure, rounds)
        limit = "" if figure.limit is None else f"{figure.sense} {figure.limit:g}"
        if not values:
            print(f"| {figure.name} | {limit} | | | | not measured |")
            continue
        middle = statistics.median(values)
        shown = " | ".join(f"{value:{figure.form}}" for value in (min(values), middle, max(values)))
        reached = "" if figure.limit is None else ("yes" if figure.is_reached(middle) else "**no**")
        print(f"| {figure.name} | {limit} | {shown} | {reached} |")


def print_measured(rounds: Sequence[Round], testers: Found) -> None:
    """Print what each server did in each part, and the two load generators beside each other."""
    for part in rounds[0]:
        _print_table(part, {name: [one[part][name] for one in rounds] for name in rounds[0][part]})
    _print_table(
        "the same load from wrk and from our closed loop, once: single-row JSON, 64 connections",
        {name: [one] for name, one in testers.items()},
    )


def _print_table(title: str, found: dict[str, list[Measured]]) -> None:
    print(f"\n{title[0].upper()}{title[1:]} (median; least to most):\n")
    print("| server | asked/s | answers/s | not 200 | p50 ms | p99 ms | CPU µs per request "
          "| cores | queue commands per request | generator's lag p99 ms |")  # fmt: skip
    print("|---|---:|---:|---:|---:|---:|---|---|---|---:|")
    for name, measured in found.items():
        per_s = [one.per_s for one in measured]
        print(
            f"| {name} | {_optional([one.offered_per_s for one in measured], ',.0f')} "
            f"| {statistics.median(per_s):,.0f}; {min(per_s):,.0f} to {max(per_s):,.0f} "
            f"| {sum(one.other for one in measured):,} "
            f"| {_spread([one.p50_ms for one in measured])} "
            f"| {_spread([one.p99_ms for one in measured])} "
            f"| {_by_name([one.cpu_us for one in measured], '.1f')} "
            f"| {_by_name([one.cores for one in measured], '.2f')} "
            f"| {_commands_by_name(measured)} "
            f"| {_optional([one.lag_p99_ms for one in measured], '.2f')} |"
        )


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f}; {min(values):.2f} to {max(values):.2f}"


def _optional(values: Sequence[float | None], form: str) -> str:
    known = [value for value in values if value is not None]
    return f"{statistics.median(known):{form}}" if known else ""


def _by_name(rounds: Sequence[dict[str, float]], form: str) -> str:
    names = dict.fromkeys(name for one in rounds for name in one)
    middle = {name: statistics.median(one.get(name, 0.0) for one in rounds) for name in names}
    shown = {name: f"{value:{form}}" for name, value in middle.items()}
    return ", ".join(f"{name} {text}" for name, text in shown.items() if float(text))


def _commands_by_name(measured: Sequence[Measured]) -> str:
    per_request = [
        {name: count / max(1, one.answered) for name, count in one.commands.items()}
        for one in measured
    ]
    if not any(per_request):
        return ""
    total = statistics.median(one.commands_per_request for one in measured)
    # The rare ones, such as heartbeats, are in the sum only.
    often = [
        {name: value for name, value in one.items() if value >= OFTEN_SHARE * total}
        for one in per_request
    ]
    return f"{total:.3f}: {_by_name(often, '.3f')}"
