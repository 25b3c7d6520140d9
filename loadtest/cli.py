"""The load tester's command line: `batchbridge loadtest`, or `python -m loadtest`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from loadtest.arrivals import Poisson
from loadtest.asked import Asked, asked_before, prepare, scenario_before
from loadtest.capacity import PRECISION, Probe, find_capacity, probe_seconds
from loadtest.dialects.choice import dialect_names
from loadtest.errors import LoadtestError
from loadtest.live_view import LiveView, print_summary
from loadtest.measurement import Terms, run_scenario
from loadtest.report_page import render_comparison, render_report
from loadtest.result import RunResult, read_result, write_result
from loadtest.scenario import Scenario, ScenarioError, load_scenario, scenario_names
from loadtest.subject import Subject

EXIT_CONFIGURATION = 2
EXIT_VOID = 3
EXIT_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns 0, 2 where something cannot be used, 3 where the run is void: it proves nothing.
    """
    options = build_parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = options.run
    try:
        return command(options)
    except LoadtestError as error:
        print(f"loadtest: {error}", file=sys.stderr)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"loadtest: {where}{error.strerror or error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("loadtest: stopped; nothing is claimed", file=sys.stderr)
        return EXIT_INTERRUPTED
    return EXIT_CONFIGURATION


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the load tester's commands."""
    parser = argparse.ArgumentParser(
        prog="batchbridge loadtest",
        description="Asks an HTTP model server an honest question: load that does not wait for "
        "answers, latency from when each request was due.",
        epilog="Exit codes: 0; 2 where something cannot be used; 3 where the run is void, because "
        "the generator itself was late: it proves nothing.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run a scenario")
    run.set_defaults(run=_run)
    run.add_argument(
        "scenario", help="a name (see `scenarios`), a .toml file, or a .json result to repeat"
    )
    _add_asked(run)
    run.add_argument("--rate", type=float, help="mean requests per second; the pattern stays")
    run.add_argument("--capacity", type=float, help="what a scenario's shares are shares of")
    run.add_argument("--seconds", type=float, help="how long, in place of the scenario's")
    run.add_argument("--warm-seconds", type=float, help="before that, sent and not counted")
    capacity = commands.add_parser(
        "find-capacity",
        help="the largest rate with 99 %% of the offered answered within the target",
    )
    capacity.set_defaults(run=_find_capacity)
    _add_asked(capacity)
    capacity.add_argument("--start", type=float, default=50.0, help="first rate to try")
    capacity.add_argument("--seconds", type=float, default=5.0, help="of each try, at least")
    capacity.add_argument(
        "--precision",
        type=float,
        default=PRECISION,
        help="how near the highest rate that kept the target and the lowest that missed it come",
    )
    compare = commands.add_parser("compare", help="two results in one report")
    compare.set_defaults(run=_compare)
    compare.add_argument("before", type=Path)
    compare.add_argument("after", type=Path)
    compare.add_argument("--report", type=Path, default=Path("comparison.html"))
    scenarios = commands.add_parser("scenarios", help="list the scenarios and dialects")
    scenarios.set_defaults(run=_scenarios)
    mlperf = commands.add_parser("mlperf", help="MLPerf's rules, through its own LoadGen")
    mlperf.set_defaults(run=_mlperf)
    _add_asked(mlperf)
    _add_mlperf(mlperf)
    return parser


def _add_asked(parser: argparse.ArgumentParser) -> None:
    # No defaults here: what is not given may come from the result that is repeated.
    add, of = parser.add_argument, Asked()
    add("--url", help=f"the server (default: {of.url})")
    add("--model", help="the model to ask")
    add("--models", help="several, with their shares: a=0.7,b=0.3")
    add("--model-version", help="its version; default: the server chooses")
    add("--contract", help="a file with V2 metadata, for servers that tell none")
    add("--dialect", help=f"{', '.join(dialect_names())}, or a .toml file (default: {of.dialect})")
    add("--target-ms", type=float, help="latency target; default: what the server says, or 100")
    add("--data", help="rows to send: CSV, NDJSON, Parquet")
    add("--bodies", help="complete bodies to send: a file or a folder")
    add("--expected", help="a file with the outputs that must be answered, row by row")
    add(
        "--check-answers",
        action="store_true",
        default=None,
        help="ask row by row first, then compare the answers under load",
    )
    add("--rows", help='rows per body: a number or "1:0.9,64:0.1"')
    add("--seed", type=int, help=f"of everything random (default: {of.seed})")
    add("--processes", type=int, help=f"generator processes (default: {of.processes})")
    add("--json", type=Path, help="write the result here")
    add("--report", type=Path, help="write an HTML report here")
    add("--i-own-this-host", action="store_true", help="load a host that is not this machine")


def _add_mlperf(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    choices = ("SingleStream", "Server", "Offline")
    add("--scenario", choices=choices, default="SingleStream")
    add("--rate", type=float, default=100.0, help="requests per second to expect (all but single)")
    add("--seconds", type=float, default=10.0, help="least duration; official: 600")
    add("--queries", type=int, default=500, help="fewest queries; see docs/load-testing.md")
    add("--connections", type=int, default=64, help="at most, for Server and Offline")
    add("--logs", type=Path, default=Path("mlperf-logs"), help="folder of LoadGen's own logs")


def _asked(options: argparse.Namespace, before: RunResult | None = None) -> Asked:
    fields = msgspec.structs.fields(Asked)
    given = {field.name: getattr(options, field.name) for field in fields}
    known = asked_before(before, Path(options.scenario)) if before else {}
    merged = known | {name: value for name, value in given.items() if value is not None}
    return msgspec.convert(merged, Asked).checked()


def _run(options: argparse.Namespace) -> int:
    is_repeated = Path(options.scenario).suffix == ".json"
    before = read_result(Path(options.scenario)) if is_repeated else None
    asked = _asked(options, before)
    name = before.name if before else Path(options.scenario).stem
    given = (
        scenario_before(before, Path(options.scenario))
        if before
        else load_scenario(options.scenario)
    )
    scenario = _changed(given, options)
    subject, target_ms = prepare(asked, scenario, any_host=options.i_own_this_host)
    result = _watched(name, scenario, subject, _terms(asked, target_ms))
    if before is not None and before.scenario.get("pool") != result.scenario["pool"]:
        print("note: the bodies are not those of the repeated run", file=sys.stderr)
    return _deliver(result, [result], options)


def _changed(scenario: Scenario, options: argparse.Namespace) -> Scenario:
    """The scenario with what the command line says in place of its own."""
    changes = {
        name: getattr(options, name)
        for name in ("seconds", "warm_seconds")
        if getattr(options, name) is not None
    }
    scenario = msgspec.structs.replace(scenario, **changes).checked()
    if options.rate is not None:
        return scenario.at_rate(options.rate)
    if not scenario.is_share_of_capacity:
        return scenario
    if options.capacity is None:
        raise ScenarioError(
            f"{options.scenario}: its rates are shares of a capacity; give --capacity, which "
            "find-capacity measures, or --rate"
        )
    return scenario.scaled(options.capacity)


def _terms(asked: Asked, target_ms: float) -> Terms:
    return Terms(target_ms, asked.seed, asked.processes, msgspec.to_builtins(asked))


def _watched(name: str, scenario: Scenario, subject: Subject, terms: Terms) -> RunResult:
    with LiveView(f"{name}: {subject.model} at {subject.url}", terms.target_ms) as view:
        return run_scenario(name, scenario, subject, terms, view.update)


def _find_capacity(options: argparse.Namespace) -> int:
    asked = _asked(options)
    subject, target_ms = prepare(asked, Scenario(), any_host=options.i_own_this_host)
    terms = _terms(asked, target_ms)

    def run(rate: float) -> RunResult:
        seconds = probe_seconds(rate, options.seconds, target_ms / 1e3, options.precision)
        scenario = Scenario(seconds=seconds, warm_seconds=1.0, arrivals=Poisson(rate=rate))
        return run_scenario(f"{rate:.0f}/s", scenario.checked(), subject, terms)

    capacity = find_capacity(options.start, run, _say_probe, precision=options.precision)
    low, high = capacity.probe.interval
    code = _deliver(capacity.result, [capacity.result], options)
    at_least = "" if capacity.limit is None else "at least "
    print(
        f"\ncapacity: {at_least}{capacity.rate:,.0f} requests/s with at least 99 % within "
        f"{terms.target_ms:g} ms; there {capacity.probe.share:.2%} were in time "
        f"(95 % confidence: {low:.2%} to {high:.2%}, {capacity.probe.result.offered:,} requests)"
    )
    if capacity.limit is not None:
        print(f"no higher rate could be judged: {capacity.limit}")
        return EXIT_VOID
    return code


def _say_probe(probe: Probe) -> None:
    low, high = probe.interval
    p99 = probe.result.latency.percentiles_ms["99"]
    said = "no p99: too few answers" if p99 is None else f"p99 {p99:.1f} ms"
    verdict = "void" if probe.void_reason else "kept" if probe.is_kept else "missed"
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


def _mlperf(options: argparse.Namespace) -> int:
    # Imported only now: LoadGen is an optional package.
    from loadtest.mlperf import MlperfPlan, print_mlperf, run_mlperf, write_mlperf  # noqa: PLC0415

    asked = _asked(options)
    subject, target_ms = prepare(asked, Scenario(), any_host=options.i_own_this_host)
    plan = MlperfPlan(
        scenario=options.scenario,
        rate=options.rate,
        seconds=options.seconds,
        queries=options.queries,
        connections=options.connections,
        target_ms=target_ms,
        seed=asked.seed,
        logs=options.logs,
    ).checked()
    result = run_mlperf(plan, subject)
    print_mlperf(result)
    if options.json:
        write_mlperf(result, options.json)
    return 0


def _deliver(result: RunResult, shown: list[RunResult], options: argparse.Namespace) -> int:
    print_summary(result)
    if options.json:
        write_result(result, options.json)
    if options.report:
        options.report.write_text(render_report(shown))
        print(f"report: {options.report}")
    return EXIT_VOID if result.generator.void_reason else 0


if __name__ == "__main__":
    sys.exit(main())
