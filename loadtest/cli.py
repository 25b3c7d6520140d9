"""The load tester's command line: `batchbridge loadtest`, or `python -m loadtest`."""

from __future__ import annotations

import argparse
import ipaddress
import json
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from loadtest.answers import AnswerCheck, record_expected
from loadtest.arrivals import ArrivalsError, Poisson
from loadtest.bodies import BodyPool, pool_of_bodies, pool_of_rows
from loadtest.caller import BaseUrl
from loadtest.capacity import CapacityError, Probe, find_capacity, probe_seconds
from loadtest.dialects.choice import dialect_names, load_dialect
from loadtest.errors import LoadtestError
from loadtest.measurement import Subject, Terms, run_scenario
from loadtest.report_page import render_comparison, render_report
from loadtest.result import ResultError, RunResult, read_result, write_result
from loadtest.row_counts import RowCounts
from loadtest.row_file import RowFile
from loadtest.scenario import Scenario, ScenarioError, load_scenario, scenario_names
from loadtest.server_model import ServerModel, learn_model, read_model
from loadtest.synthetic_rows import SyntheticRows

TARGET_MS_DEFAULT = 100.0
EXIT_CONFIGURATION = 2
EXIT_VOID = 3
_ERRORS = (LoadtestError, ScenarioError, ArrivalsError, ResultError, CapacityError)


class NotYourHost(LoadtestError):
    """Load was asked for a host that is not this machine."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns 0, 2 where something cannot be used, 3 where the run is void: it proves nothing.
    """
    options = build_parser().parse_args(argv)
    commands = {
        "run": _run,
        "find-capacity": _find_capacity,
        "compare": _compare,
        "scenarios": _scenarios,
    }
    try:
        return commands[options.command](options)
    except _ERRORS as error:
        print(f"loadtest: {error}", file=sys.stderr)
        return EXIT_CONFIGURATION
    except OSError as error:
        print(f"loadtest: {error.strerror or error}", file=sys.stderr)
        return EXIT_CONFIGURATION
    except KeyboardInterrupt:
        print("loadtest: stopped; nothing is claimed", file=sys.stderr)
        return 130


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the load tester's commands."""
    parser = argparse.ArgumentParser(
        prog="batchbridge loadtest",
        description="Asks an HTTP model server an honest question: load that does not wait for "
        "answers, latency from when each request was due.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run a scenario")
    run.add_argument("scenario", help="a name (see `scenarios`) or a .toml file")
    _add_subject(run)
    run.add_argument("--rate", type=float, help="requests per second, in place of the scenario's")
    run.add_argument("--capacity", type=float, help="what a scenario's shares are shares of")
    run.add_argument("--seconds", type=float, help="how long, in place of the scenario's")
    capacity = commands.add_parser(
        "find-capacity",
        help="the largest rate with 99 %% of the offered answered within the target",
    )
    _add_subject(capacity)
    capacity.add_argument("--start", type=float, default=50.0, help="first rate to try")
    capacity.add_argument("--seconds", type=float, default=5.0, help="of each try, at least")
    compare = commands.add_parser("compare", help="two results in one report")
    compare.add_argument("before", type=Path)
    compare.add_argument("after", type=Path)
    compare.add_argument("--report", type=Path, default=Path("comparison.html"))
    commands.add_parser("scenarios", help="list the scenarios and dialects")
    return parser


def _add_subject(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--url", default="http://127.0.0.1:8080", help="the server (default: %(default)s)")
    add("--model", required=True, help="the model to ask")
    add("--model-version", help="its version; default: the server chooses")
    add("--contract", type=Path, help="a file with V2 metadata, for servers that tell none")
    add("--dialect", default="v2-json", help=f"{', '.join(dialect_names())}, or a .toml file")
    add("--target-ms", type=float, help="latency target; default: what the server says, or 100")
    add("--data", type=Path, help="rows to send: CSV, NDJSON, Parquet")
    add("--bodies", type=Path, help="complete bodies to send: a file or a folder")
    add("--expected", type=Path, help="a file with the outputs that must be answered, row by row")
    add("--check-answers", action="store_true", help="ask row by row first, then compare")
    add("--rows", help='rows per body: a number or "1:0.9,64:0.1"')
    add("--seed", type=int, default=0)
    add("--processes", type=int, default=1, help="generator processes (default: %(default)s)")
    add("--json", type=Path, help="write the result here")
    add("--report", type=Path, help="write an HTML report here")
    add("--i-own-this-host", action="store_true", help="load a host that is not this machine")


def _run(options: argparse.Namespace) -> int:
    scenario = _scenario(options)
    subject, target_ms = _subject(options, scenario)
    terms = Terms(options.target_ms or target_ms, options.seed, options.processes)
    result = run_scenario(options.scenario, scenario, subject, terms)
    return _deliver([result], options)


def _scenario(options: argparse.Namespace) -> Scenario:
    scenario = load_scenario(options.scenario)
    replace = msgspec.structs.replace
    if options.seconds is not None:
        scenario = replace(scenario, seconds=options.seconds).checked()
    if scenario.is_share_of_capacity:
        if options.capacity is None:
            raise ScenarioError(
                f"{options.scenario}: its rates are shares of a capacity; give --capacity, which "
                "find-capacity measures"
            )
        scenario = scenario.scaled(options.capacity)
    if options.rate is not None:
        scenario = replace(scenario, arrivals=Poisson(rate=options.rate))
    if options.rows is not None:
        scenario = replace(scenario, bodies=replace(scenario.bodies, rows=options.rows))
    return scenario


def _find_capacity(options: argparse.Namespace) -> int:
    subject, target_ms = _subject(options, Scenario())
    terms = Terms(options.target_ms or target_ms, options.seed, options.processes)

    def run(rate: float) -> RunResult:
        seconds = probe_seconds(rate, options.seconds)
        scenario = Scenario(seconds=seconds, warm_seconds=1.0, arrivals=Poisson(rate=rate))
        return run_scenario(f"{rate:.0f}/s", scenario, subject, terms)

    capacity = find_capacity(options.start, run, _say_probe)
    low, high = capacity.probe.interval
    print(
        f"capacity: {capacity.rate:,.0f} requests/s with at least 99 % within "
        f"{terms.target_ms:g} ms; there {capacity.probe.share:.2%} were in time "
        f"(95 % confidence: {low:.2%} to {high:.2%}, {capacity.probe.result.offered:,} requests)"
    )
    return _deliver([probe.result for probe in capacity.probes], options)


def _say_probe(probe: Probe) -> None:
    low, high = probe.interval
    p99 = probe.result.latency.percentiles_ms["99"]
    said = "no p99: too few answers" if p99 is None else f"p99 {p99:.1f} ms"
    verdict = "kept" if probe.is_kept else "missed"
    print(
        f"{probe.rate:10,.0f}/s  {probe.share:7.2%} in time ({low:.2%} to {high:.2%})  "
        f"{said}  {verdict}",
        flush=True,
    )


def _compare(options: argparse.Namespace) -> int:
    before, after = read_result(options.before), read_result(options.after)
    options.report.write_text(render_comparison(before, after))
    print(f"report: {options.report}")
    return 0


def _scenarios(options: argparse.Namespace) -> int:
    del options
    for name in scenario_names():
        print(f"{name:24} {load_scenario(name).description}")
    print(f"\ndialects: {', '.join(dialect_names())}")
    return 0


def _subject(options: argparse.Namespace, scenario: Scenario) -> tuple[Subject, float]:
    """Prepare what is sent; return it with the latency target that the server states."""
    url = BaseUrl.parse(options.url)
    if not options.i_own_this_host:
        require_loopback(url.host)
    model = (
        read_model(options.contract)
        if options.contract
        else learn_model(options.url, options.model, options.model_version)
    )
    pool = _pool(options, scenario, model, url.host_header)
    if options.check_answers:
        pool = record_expected(pool, options.url)
    subject = Subject(
        url=options.url,
        host=url.host,
        port=url.port,
        model=options.model,
        requests=pool.requests,
        is_right=AnswerCheck(pool) if pool.is_checkable else None,
        described=pool.describe(),
        server=model.server,
    )
    stated_s = model.latency_target_s
    return subject, TARGET_MS_DEFAULT if stated_s is None else stated_s * 1e3


def _pool(
    options: argparse.Namespace, scenario: Scenario, model: ServerModel, host_header: str
) -> BodyPool:
    dialect = load_dialect(options.dialect, model)
    target = dialect.target(model)
    if options.bodies:
        return pool_of_bodies(options.bodies, dialect, host_header, target)
    bodies = scenario.bodies
    source: RowFile | SyntheticRows
    if options.data:
        source = RowFile(model, options.data, seed=options.seed, expected=options.expected)
    else:
        source = SyntheticRows(model, seed=options.seed, edge_share=bodies.edge_share)
    rows = RowCounts.parse(bodies.rows)
    return pool_of_rows(
        source, dialect, host_header, target, rows=rows, count=bodies.distinct, seed=options.seed
    )


def require_loopback(host: str) -> None:
    """Check that a host is this machine, by every address that its name has.

    Raises:
        NotYourHost: it is not.
    """
    addresses = {str(item[4][0]) for item in socket.getaddrinfo(host, None)}
    outside = sorted(a for a in addresses if not ipaddress.ip_address(a).is_loopback)
    if outside:
        raise NotYourHost(
            f"{host} is not this machine ({', '.join(outside)}); a load test can bring a server "
            "down: give --i-own-this-host if it is yours"
        )


def _deliver(results: list[RunResult], options: argparse.Namespace) -> int:
    result = results[-1]
    _say(result)
    if options.json:
        write_result(result, options.json)
    if options.report:
        options.report.write_text(render_report(results))
        print(f"report: {options.report}")
    return EXIT_VOID if result.generator.void_reason else 0


def _say(result: RunResult) -> None:
    print(json.dumps(result.outcomes))


if __name__ == "__main__":
    sys.exit(main())
