"""The figures of the comparison with other servers, and what they are taken from."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

import pytest

from loadtest.bench_peers.figures import (
    AT_LEAST,
    AT_MOST,
    FIGURES,
    OPEN,
    REFUSED,
    THROUGHPUT,
    Figure,
    Round,
    print_figures,
    print_measured,
    refusal_share,
    values_of,
)
from loadtest.bench_peers.load import Measured
from loadtest.bench_peers.requests import (
    Asked,
    Scored,
    make_refusing_model,
    scored,
    single_rows,
)
from loadtest.bench_peers.servers import (
    BATCHBRIDGE,
    FASTAPI,
    MOSEC,
    REFUSING,
    Server,
    command_counts,
    role_of,
)

COMMANDSTATS = (
    "# Commandstats\r\n"
    "cmdstat_xadd:calls=12,usec=40,usec_per_call=3.33,rejected_calls=0,failed_calls=0\r\n"
    "cmdstat_client|unblock:calls=3,usec=4,usec_per_call=1.33,rejected_calls=0,failed_calls=0\r\n"
    "cmdstat_info:calls=2,usec=90,usec_per_call=45.00,rejected_calls=0,failed_calls=0\r\n"
)


def measured(
    answered: int = 100,
    other: int = 0,
    p99_ms: float = 2.0,
    gateway_s: float = 0.0,
    commands: dict[str, int] | None = None,
) -> Measured:
    cpu = {"generator": 0.5, "gateway": gateway_s}
    return Measured("wrk", 2.0, answered, other, 1.0, p99_ms, cpu, commands or {})


def throughput(ours: int, theirs: int) -> Round:
    part = {BATCHBRIDGE: measured(ours, commands={"xadd": ours // 10}), MOSEC: measured(theirs)}
    return {THROUGHPUT[256]: part}


def value(name: str, found: Round) -> float:
    figure = next(one for one in FIGURES if one.name.startswith(name))
    return figure.of(found)


def test_throughput_is_compared_within_a_round() -> None:
    rounds = [throughput(100, 50), throughput(100, 200)]
    assert values_of(FIGURES[0], rounds) == [2.0, 0.5]


def test_queue_commands_are_counted_per_answered_request() -> None:
    assert value("Redis commands", throughput(100, 50)) == pytest.approx(0.1)


def test_the_gateways_time_is_counted_per_answered_request() -> None:
    part = {BATCHBRIDGE: measured(100, gateway_s=0.004), MOSEC: measured()}
    assert value("gateway CPU, JSON", {THROUGHPUT[256]: part}) == pytest.approx(40.0)


def test_p99_is_that_of_the_open_loop() -> None:
    part = {BATCHBRIDGE: measured(p99_ms=3.0), MOSEC: measured(p99_ms=6.0)}
    assert value("p99", {OPEN: part}) == pytest.approx(0.5)


def test_requests_that_the_refusing_server_let_in_are_taken_off_the_cost_of_its_refusals() -> None:
    accepted = measured(answered=1_000, gateway_s=0.1)
    refusing = measured(answered=100, other=2_000, gateway_s=0.05)
    part = {REFUSING: refusing, BATCHBRIDGE: accepted}
    assert refusal_share({REFUSED: part}) == pytest.approx((0.05 - 0.01) / 2_000 / 1e-4)


@pytest.mark.parametrize(
    ("sense", "value", "is_reached"),
    [
        (AT_LEAST, 1.2, False),
        (AT_LEAST, 1.25, True),
        (AT_MOST, 1.25, True),
        (AT_MOST, 1.3, False),
    ],
)
def test_a_limit_is_reached_from_its_own_side(sense: str, value: float, is_reached: bool) -> None:
    assert Figure("f", lambda found: 0.0, sense, 1.25).is_reached(value) == is_reached


def test_a_figure_whose_part_was_not_measured_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    print_figures([throughput(125, 100)])
    lines = capsys.readouterr().out.splitlines()
    assert "| requests/s, 256 connections ÷ mosec | ≥ 1.25 | 1.25 | 1.25 | 1.25 | yes |" in lines
    line = "| gateway CPU, streamed, 8 to a message, µs per request | ≤ 15 | | | | not measured |"
    assert line in lines


def test_each_server_has_a_line_with_what_its_processes_used(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rounds = [{THROUGHPUT[256]: {MOSEC: measured(100, gateway_s=0.001)}}]
    print_measured(rounds, {})
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("| mosec"))
    assert "generator 5000.0, gateway 10.0 | generator 0.25 |" in line


def test_commands_are_counted_by_name_without_the_question_itself() -> None:
    assert command_counts(COMMANDSTATS) == {"xadd": 12, "client|unblock": 3}


@pytest.mark.parametrize(
    ("command", "role"),
    [
        ("/v/bin/python -m bridge.cli gateway --port 1", "gateway"),
        ("/v/bin/python -m bridge.cli worker --models m", "worker"),
        ("/v/bin/mosec /tmp/mosec_1/config.json", "HTTP server"),
        ("/v/bin/python -c from multiprocessing.spawn import spawn_main; spawn_main()", "worker"),
        ("/v/bin/python -c from multiprocessing.resource_tracker import main;main(6)", "other"),
    ],
)
def test_processes_are_known_by_their_command_lines(command: str, role: str) -> None:
    assert role_of(command.encode().split(b" ")) == role


def test_the_queue_is_known_although_its_address_is_in_the_word_of_its_name() -> None:
    assert role_of([b"/lib/valkey-server unixsocket:/tmp/b/queue.sock", b""]) == "queue"


def test_the_time_of_a_process_and_its_children_is_found() -> None:
    program = "import time\nwhile time.process_time() < 0.05: pass\nprint(flush=True)\ninput()"
    with subprocess.Popen(
        ["python3", "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        used = Server("busy", 1, process.pid).cpu_s()
        process.kill()
    assert used["main"] >= 0.03  # counted in hundredths of a second


def test_a_request_is_complete() -> None:
    asked = Asked("/infer", (("Content-Type", "application/json"),), b"[1]")
    assert asked.request(80) == (
        b"POST /infer HTTP/1.1\r\nHost: 127.0.0.1:80\r\nContent-Length: 3\r\n"
        b"Content-Type: application/json\r\n\r\n[1]"
    )


def test_every_server_is_asked_in_its_own_form() -> None:
    starts = {name: asked.body[:12] for name, asked in single_rows("features").items()}
    assert starts[BATCHBRIDGE] == b'{"inputs": ['
    assert starts[MOSEC] == b"[16.3, 15.7,"
    assert starts[FASTAPI] == b'{"mean radiu'


def test_answers_of_all_servers_are_read_alike() -> None:
    v2 = (
        b'{"outputs": [{"name": "label", "data": [1]},'
        b' {"name": "probabilities", "data": [0.25, 0.75]}]}'
    )
    plain = b'{"label": 1, "probabilities": [0.25, 0.75]}'
    expected = Scored(1, (0.25, 0.75))
    assert (scored(BATCHBRIDGE, v2), scored(MOSEC, plain)) == (expected, expected)


def test_the_refusing_model_differs_in_its_targets_and_decides_nothing(tmp_path: Path) -> None:
    make_refusing_model(tmp_path)
    made = tomllib.loads((tmp_path / "breast_cancer" / "1" / "contract.toml").read_text())
    own = Path(__file__).parents[3] / "models" / "breast_cancer" / "1" / "contract.toml"
    contract = tomllib.loads(own.read_text())
    del contract["decision"]
    assert made == {**contract, "serving": {"latency_target_ms": 0.001, "timeout_ms": 1000}}
