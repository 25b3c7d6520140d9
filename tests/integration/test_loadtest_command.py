"""`batchbridge loadtest` and `python -m loadtest` against the real server."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from loadtest.asked import Asked, asked_before, prepare, scenario_before
from loadtest.measurement import drawn_sends
from loadtest.result import read_result
from tests.command import COMMAND, environment, run_to_end
from tests.system import System, running_system

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(90)]

# A target that a busy machine keeps too: what is tested is the command, not the machine.
SOUND = ("--target-ms", "10000")
SHORT = ("--seconds", "1.5", "--warm-seconds", "0.2", "--rate", "60")
# TEST-NET-1 (RFC 5737): an address that belongs to nobody, and that is refused before any packet.
FOREIGN = "http://192.0.2.1:8080"


@dataclass(frozen=True)
class Command:
    code: int
    out: str
    err: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served() -> AsyncIterator[System]:
    async with running_system() as running:
        yield running


async def loadtest(*words: str, cwd: Path | None = None) -> Command:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "loadtest", *words,
        cwd=cwd or Path(__file__).parents[2], env=environment(),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    return Command(process.returncode or 0, out.decode(), err.decode())


async def run(system: System, scenario: str, *words: str) -> Command:
    return await loadtest("run", scenario, "--url", system.url, *SOUND, *SHORT, *words)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def result_file(served: System, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The result of a run of 1.5 s, with a changed rate, seed and rows."""
    file = tmp_path_factory.mktemp("results") / "before.json"
    ended = await run(
        served, "wave", "--model", "breast_cancer", "--seed", "5", "--rows", "1:0.5,3:0.5",
        "--dialect", "v2-binary", "--check-answers", "--json", str(file),
    )  # fmt: skip
    assert (ended.code, file.exists()) == (0, True), ended.err
    return file


def written(file: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(file.read_text())
    return document


async def test_a_run_answers_everything_in_time(result_file: Path) -> None:
    result = written(result_file)
    assert result["outcomes"] == {"in_time": result["offered"], "late": 0}


async def test_a_result_says_what_repeats_it(result_file: Path) -> None:
    result = written(result_file)
    known = (
        result["seed"],
        result["scenario"]["arrivals"]["kind"],
        result["scenario"]["asked"]["dialect"],
        len(result["scenario"]["pool"]["sha256"]),
        result["server"]["name"],
        set(result["versions"]) >= {"batchbridge", "numpy", "httptools"},
        set(result["machine"]) >= {"system", "cores", "python", "cpu"},
        result["command"].startswith("python -m loadtest run wave --url http://127.0.0.1:"),
        result["command"].count("--seed 5"),
    )
    assert known == (5, "square", "v2-binary", 64, "batchbridge", True, True, True, 1)


async def test_what_a_result_says_gives_the_same_sends_and_bodies(
    served: System, result_file: Path
) -> None:
    before = read_result(result_file)
    asked = msgspec.convert(asked_before(before, result_file), Asked)
    scenario = scenario_before(before, result_file)

    def drawn() -> Any:
        subject, target_ms = prepare(asked, scenario, any_host=False)
        sends = drawn_sends(scenario, subject, asked.seed)
        return (
            subject.described["sha256"],
            target_ms,
            sends.choice.tolist(),
            sends.intended_s.tolist(),
        )

    first, second = await asyncio.to_thread(drawn), await asyncio.to_thread(drawn)
    measured = [at for at in first[3] if at >= scenario.warm_seconds]
    assert (first == second, first[0], len(measured)) == (
        True,
        before.scenario["pool"]["sha256"],
        before.offered,
    )


async def test_a_result_is_repeated_by_its_file(result_file: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.json"
    ended = await loadtest("run", str(result_file), "--json", str(again))
    first, second = written(result_file), written(again)
    assert (ended.code, second["offered"], second["scenario"], "not those" in ended.err) == (
        0,
        first["offered"],
        first["scenario"],
        False,
    )


async def test_a_given_rate_keeps_the_scenarios_pattern(result_file: Path) -> None:
    arrivals = written(result_file)["scenario"]["arrivals"]
    assert arrivals == pytest.approx(
        {"kind": "square", "rate": 30, "high_rate": 90, "period_s": 10, "high_share": 0.5}
    )


async def test_the_servers_own_metrics_are_in_the_result(result_file: Path) -> None:
    result = written(result_file)
    requests = sum(result["server_side"]["queue_delay_s"].values())
    # The warm-up is in the server's figures; the answers asked for row by row are not.
    assert requests >= result["offered"] and sum(result["server_side"]["batch_rows"].values()) > 0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mixed_file(served: System, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The result of a run that asks two models."""
    file = tmp_path_factory.mktemp("mixed") / "mixed.json"
    ended = await run(
        served, "mixed-models", "--models", "breast_cancer=0.7,digits=0.3", "--check-answers",
        "--rows", "2", "--json", str(file),
    )  # fmt: skip
    assert (ended.code, file.exists()) == (0, True), ended.err
    return file


async def test_several_models_get_their_shares(mixed_file: Path) -> None:
    result = written(mixed_file)
    assert (result["model"], sorted(result["scenario"]["pool"]), result["outcomes"]) == (
        "breast_cancer (70%), digits (30%)",
        ["breast_cancer", "digits"],
        {"in_time": result["offered"], "late": 0},
    )


async def test_each_of_several_models_has_its_own_figures(mixed_file: Path) -> None:
    result = written(mixed_file)
    parts = result["models"]
    assert (
        [part["model"] for part in parts],
        sum(part["offered"] for part in parts),
        [part["outcomes"] for part in parts],
        [part["latency"]["samples"] for part in parts],
        min(part["offered"] for part in parts) > 0,
    ) == (
        ["breast_cancer", "digits"],
        result["offered"],
        [{"in_time": part["offered"], "late": 0} for part in parts],
        [part["offered"] for part in parts],
        True,
    )


async def test_a_run_of_several_models_is_repeated_by_its_file(
    mixed_file: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again.json"
    ended = await loadtest("run", str(mixed_file), "--json", str(again))
    first, second = (
        [(part["model"], part["offered"]) for part in written(file)["models"]]
        for file in (mixed_file, again)
    )
    assert (ended.code, second) == (0, first)


async def test_a_wrong_answer_is_counted_and_said_what_it_was(
    served: System, tmp_path: Path
) -> None:
    rows, outputs = tmp_path / "rows.ndjson", tmp_path / "outputs.ndjson"
    rows.write_text(json.dumps({"features": [0.0] * 30}))
    outputs.write_text(json.dumps({"label": 7, "probabilities": [0.5, 0.5]}))
    words = ("--data", str(rows), "--expected", str(outputs), "--json", str(tmp_path / "run.json"))
    ended = await run(served, "steady", "--model", "breast_cancer", *words)
    result = written(tmp_path / "run.json")
    body, _, why = result["first_wrong"].partition(", ")
    assert (body.split()[0], why[:28], why in " ".join(ended.out.split()), result["outcomes"]) == (
        "body",
        "output 'label', element [0]:",
        True,
        {"in_time": 0, "wrong": result["offered"]},
    )


async def test_a_closed_loop_is_named_for_what_it_is(served: System, tmp_path: Path) -> None:
    file = tmp_path / "closed.json"
    words = ("--seconds", "1", "--warm-seconds", "0", "--json", str(file), "--model", "digits")
    ended = await loadtest("run", "closed", "--url", served.url, *SOUND, *words)
    assert (ended.code, written(file)["loop"]) == (0, "closed")


async def test_a_report_is_written(served: System, tmp_path: Path) -> None:
    page = tmp_path / "run.html"
    ended = await run(served, "steady", "--model", "digits", "--report", str(page))
    assert (ended.code, page.read_text()[:15].lower()) == (0, "<!doctype html>")


async def test_two_results_are_compared(result_file: Path, tmp_path: Path) -> None:
    page = tmp_path / "both.html"
    ended = await loadtest("compare", str(result_file), str(result_file), "--report", str(page))
    assert (ended.code, page.read_text()[:15].lower()) == (0, "<!doctype html>")


async def test_a_capacity_cannot_be_found_from_nothing(served: System) -> None:
    words = ("--url", served.url, "--model", "digits", "--start", "0")
    ended = await loadtest("find-capacity", *words)
    assert (ended.code, "start: 0.0 is not a positive number" in ended.err) == (2, True)


async def test_the_scenarios_are_listed() -> None:
    ended = await loadtest("scenarios")
    assert (ended.code, "retry-storm " in ended.out, "v2-binary" in ended.out) == (0, True, True)


async def test_batchbridge_passes_its_words_to_the_load_tester() -> None:
    ended = await run_to_end("loadtest", "scenarios")
    assert (ended.code, "retry-storm " in ended.out) == (0, True)


async def test_batchbridge_passes_the_load_testers_exit_code_on() -> None:
    ended = await run_to_end("loadtest", "run", "no-such-scenario", "--model", "digits")
    assert (ended.code, ended.said[0][:34]) == (2, "loadtest: no-such-scenario: no suc")


async def test_the_load_tester_loads_nothing_of_the_server() -> None:
    program = (
        "import sys, loadtest.cli, loadtest.generator; "
        "print([m for m in ('bridge', 'workers', 'redis', 'onnxruntime') if m in sys.modules])"
    )
    process = await asyncio.create_subprocess_exec(
        COMMAND.with_name("python"), "-c", program, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert out == b"[]\n"


async def test_a_host_that_is_not_this_machine_is_refused() -> None:
    ended = await loadtest("run", "steady", "--url", FOREIGN, "--model", "digits")
    assert (ended.code, "192.0.2.1 is not this machine" in ended.err) == (2, True)


@pytest.mark.parametrize("command", [["run", "steady"], ["find-capacity"], ["mlperf"]])
async def test_no_command_loads_a_foreign_host(command: list[str]) -> None:
    ended = await loadtest(*command, "--url", FOREIGN, "--model", "digits")
    assert (ended.code, "--i-own-this-host" in ended.err) == (2, True)


async def test_a_void_run_ends_with_3(served: System) -> None:
    # 1 % of a microsecond is less than any generator's lag.
    ended = await run(served, "steady", "--model", "digits", "--target-ms", "0.001")
    assert (ended.code, "VOID" in ended.out) == (3, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("steady",), "model: name the model"),
        (("overload2x", "--model", "digits"), "give --capacity"),
        (("steady", "--model", "weather"), "weather"),
        (("steady", "--model", "digits", "--rate", "-1"), "rate: -1.0"),
        (("steady", "--model", "digits", "--dialect", "morse"), "no such dialect"),
        (("steady", "--model", "digits", "--data", "no-such.csv"), "no-such.csv"),
        (("steady", "--models", "digits=1,iris=x"), "not of the form"),
        (("no-such.json",), "no-such.json"),
        (("no-such.toml", "--model", "digits"), "no-such.toml"),
    ],
)
async def test_what_cannot_be_used_ends_with_2_and_is_named(
    served: System, words: tuple[str, ...], said: str
) -> None:
    ended = await loadtest("run", *words, "--url", served.url)
    assert (ended.code, said in ended.err, "Traceback" in ended.err) == (2, True, False)


async def test_a_server_that_is_not_there_ends_with_2(unused_tcp_port: int) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    ended = await loadtest("run", "steady", "--url", url, "--model", "digits")
    assert (ended.code, url in ended.err) == (2, True)
