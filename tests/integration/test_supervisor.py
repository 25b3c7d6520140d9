from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

# The supervising process. Its plan is the one argument; its log is its standard output.
SUPERVISE = """
import asyncio, contextlib, json, os, sys
import structlog
from bridge.child_process import ChildSpec
from bridge.embedded_queue import embedded_queue_plan
from bridge.restart_policy import RestartPolicy
from bridge.supervisor import Supervisor, SupervisorLimits

plan = json.loads(sys.argv[1])
structlog.configure(processors=[structlog.processors.JSONRenderer()])
log = structlog.get_logger()
limits = SupervisorLimits(**plan["limits"], restart=RestartPolicy(**plan["restart"]))
with contextlib.ExitStack() as stack:
    children = [
        ChildSpec(argv=tuple(child.pop("argv")), env=dict(os.environ), **child)
        for child in plan["children"]
    ]
    if plan["with_queue"]:
        queue = stack.enter_context(embedded_queue_plan())
        log.info("queue_planned", directory=str(queue.directory))
        children.append(queue.child)
    supervisor = Supervisor(children, log=log, on_ready=lambda: log.info("on_ready"), limits=limits)
    exit_code = asyncio.run(supervisor.run())
sys.exit(exit_code)
"""

READY = """
import os, signal, sys
from pathlib import Path
from bridge.readiness import notify_ready, ready_fd
descriptor = ready_fd(os.environ)
"""


@dataclass(frozen=True)
class Child:
    name: str
    argv: tuple[str, ...]
    stop_order: int = 0
    start_order: int = 1
    start_limit_s: float = 30.0


@dataclass(frozen=True)
class Plan:
    children: tuple[Child, ...]
    limits: dict[str, float] = field(default_factory=dict)
    restart: dict[str, float] = field(default_factory=dict)
    with_queue: bool = False


class Supervised:
    """A running supervisor and the events that it has logged."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.events: list[dict[str, Any]] = []

    def wait_for(self, event: str, **fields: str) -> dict[str, Any]:
        """Read on until an event matches; the test's time limit is the only one."""
        wanted = {"event": event, **fields}
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.events.append(json.loads(line))
            if wanted.items() <= self.events[-1].items():
                return self.events[-1]
        raise AssertionError(f"ended without {wanted}: {self.events}")

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    def end(self) -> None:
        """Drained rather than killed, so that a test that fails leaves nothing behind either."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
            self.exit_code()

    def exit_code(self) -> int:
        assert self.process.stdout is not None
        self.events += [json.loads(line) for line in self.process.stdout]
        return self.process.wait()

    def logged(self, event: str, **fields: str) -> list[dict[str, Any]]:
        wanted = {"event": event, **fields}
        return [entry for entry in self.events if wanted.items() <= entry.items()]


@pytest.fixture
def supervise() -> Iterator[Callable[[Plan], Supervised]]:
    with ExitStack() as stack:

        def start(plan: Plan) -> Supervised:
            process = subprocess.Popen(
                [sys.executable, "-c", SUPERVISE, json.dumps(asdict(plan))],
                stdout=subprocess.PIPE,
                text=True,
                cwd=REPOSITORY,
            )
            supervised = Supervised(process)
            stack.enter_context(process)  # closes its output
            stack.callback(supervised.end)
            return supervised

        yield start


class Lifeline:
    """A named pipe that every child holds open: it ends when the last of them has ended."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        os.set_blocking(self._descriptor, True)

    def names_until_the_end(self) -> list[str]:
        """Each child's name; call it when all have reported that they are ready."""
        with os.fdopen(self._descriptor, closefd=False) as file:
            return sorted(file.read().split())

    def close(self) -> None:
        os.close(self._descriptor)


@pytest.fixture
def lifeline(tmp_path: Path) -> Iterator[Lifeline]:
    line = Lifeline(tmp_path / "lifeline")
    yield line
    line.close()


def python_child(name: str, code: str, **order: int) -> Child:
    return Child(name, (sys.executable, "-c", READY + code), **order)


def lasting_child(name: str, lifeline: Lifeline, before: str = "", **order: int) -> Child:
    """Writes its name to the lifeline, keeps it open, is ready, and waits for signals."""
    code = f"""
{before}
line = open({str(lifeline.path)!r}, "w")
line.write("{name}\\n")
line.flush()
notify_ready(descriptor)
while True:
    signal.pause()
"""
    return python_child(name, code, **order)


def draining_child(name: str, journal: Path, wait_for: Path | None = None, **order: int) -> Child:
    """Writes down when it is asked to stop and when it ends; may wait in between for a file."""
    drain = f"Path({str(wait_for)!r}).read_text()" if wait_for is not None else "pass"
    code = f"""
def note(event):
    with open({str(journal)!r}, "a") as file:
        file.write("{name} " + event + "\\n")

def drain(number, frame):
    note("asked to stop")
    {drain}
    note("ended")
    sys.exit(0)

signal.signal(signal.SIGTERM, drain)
notify_ready(descriptor)
while True:
    signal.pause()
"""
    return python_child(name, code, **order)


IGNORE_SIGTERM = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"

Supervise = Callable[[Plan], Supervised]


def test_ready_is_reported_when_every_child_is_ready(
    supervise: Supervise, lifeline: Lifeline
) -> None:
    supervised = supervise(
        Plan((lasting_child("gateway", lifeline), lasting_child("worker", lifeline)))
    )
    supervised.wait_for("on_ready")
    ready = {entry["child"] for entry in supervised.logged("child_ready")}
    assert ready == {"gateway", "worker"}


def test_a_later_group_starts_when_the_one_before_is_ready(
    supervise: Supervise, lifeline: Lifeline
) -> None:
    first = lasting_child("worker", lifeline, start_order=1)
    second = lasting_child("gateway", lifeline, start_order=2)
    supervised = supervise(Plan((second, first)))
    supervised.wait_for("on_ready")
    order = [(entry["child"], entry["event"]) for entry in supervised.events if "child" in entry]
    assert order == [
        ("worker", "child_started"),
        ("worker", "child_ready"),
        ("gateway", "child_started"),
        ("gateway", "child_ready"),
    ]


def test_sigterm_ends_with_zero_after_a_clean_drain(supervise: Supervise, tmp_path: Path) -> None:
    supervised = supervise(Plan((draining_child("worker", tmp_path / "journal"),)))
    supervised.wait_for("on_ready")
    supervised.signal(signal.SIGTERM)
    assert supervised.exit_code() == 0


def test_ctrl_c_ends_with_zero_after_a_clean_drain(supervise: Supervise, tmp_path: Path) -> None:
    supervised = supervise(Plan((draining_child("worker", tmp_path / "journal"),)))
    supervised.wait_for("on_ready")
    supervised.signal(signal.SIGINT)
    assert supervised.exit_code() == 0


def test_sigterm_before_all_are_ready_ends_with_zero(supervise: Supervise) -> None:
    supervised = supervise(Plan((python_child("worker", "signal.pause()"),)))
    supervised.wait_for("child_started")
    supervised.signal(signal.SIGTERM)
    assert supervised.exit_code() == 0


def test_a_group_is_asked_to_stop_when_the_one_before_has_ended(
    supervise: Supervise, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    worker = draining_child("worker", journal, stop_order=1)
    gateway = draining_child("gateway", journal, stop_order=0)
    supervised = supervise(Plan((worker, gateway)))
    supervised.wait_for("on_ready")
    supervised.signal(signal.SIGTERM)
    supervised.exit_code()
    assert journal.read_text().splitlines() == [
        "gateway asked to stop",
        "gateway ended",
        "worker asked to stop",
        "worker ended",
    ]


def test_ctrl_c_in_a_terminal_does_not_reach_the_children(
    supervise: Supervise, lifeline: Lifeline
) -> None:
    supervised = supervise(Plan((lasting_child("worker", lifeline),)))
    pid = supervised.wait_for("child_ready")["pid"]
    assert os.getpgid(pid) == pid


def test_a_child_that_dies_is_started_again(supervise: Supervise, lifeline: Lifeline) -> None:
    supervised = supervise(Plan((lasting_child("worker", lifeline),)))
    first = supervised.wait_for("child_ready")["pid"]
    os.kill(first, signal.SIGKILL)
    assert supervised.wait_for("child_ready")["pid"] != first


def test_a_death_is_logged_with_its_signal(supervise: Supervise, lifeline: Lifeline) -> None:
    supervised = supervise(Plan((lasting_child("worker", lifeline),)))
    os.kill(supervised.wait_for("child_ready")["pid"], signal.SIGKILL)
    assert supervised.wait_for("child_died")["exit_code"] == -signal.SIGKILL


def test_ready_is_reported_once_over_restarts(supervise: Supervise, lifeline: Lifeline) -> None:
    supervised = supervise(Plan((lasting_child("worker", lifeline),)))
    pid = supervised.wait_for("child_ready")["pid"]
    os.kill(pid, signal.SIGKILL)
    supervised.wait_for("child_ready")
    supervised.signal(signal.SIGTERM)
    supervised.exit_code()
    assert len(supervised.logged("on_ready")) == 1


def test_the_wait_before_a_restart_grows_and_has_a_bound(supervise: Supervise) -> None:
    dies_when_ready = python_child("worker", "notify_ready(descriptor); sys.exit(1)")
    restart = {"first_delay_s": 0.001, "longest_delay_s": 0.003}
    supervised = supervise(Plan((dies_when_ready,), restart=restart))
    delays_s = [supervised.wait_for("child_restart")["delay_s"] for _ in range(4)]
    assert delays_s == [0.001, 0.002, 0.003, 0.003]


def test_a_healthy_life_resets_the_wait_before_a_restart(supervise: Supervise) -> None:
    dies_when_ready = python_child("worker", "notify_ready(descriptor); sys.exit(1)")
    restart = {"first_delay_s": 0.001, "healthy_s": 0.0}
    supervised = supervise(Plan((dies_when_ready,), restart=restart))
    delays_s = [supervised.wait_for("child_restart")["delay_s"] for _ in range(3)]
    assert delays_s == [0.001, 0.001, 0.001]


def test_a_configuration_error_ends_everything_with_its_code(
    supervise: Supervise, lifeline: Lifeline
) -> None:
    healthy = lasting_child("worker", lifeline, start_order=1)
    wrong = python_child("gateway", "sys.exit(2)", start_order=2)
    supervised = supervise(Plan((healthy, wrong)))
    supervised.wait_for("child_given_up")
    names = lifeline.names_until_the_end()
    assert (supervised.exit_code(), names) == (2, ["worker"])


def test_a_configuration_error_is_not_tried_again(supervise: Supervise) -> None:
    supervised = supervise(Plan((python_child("gateway", "sys.exit(2)"),)))
    supervised.exit_code()
    assert len(supervised.logged("child_started")) == 1


def test_a_program_that_is_missing_is_a_configuration_error(
    supervise: Supervise, tmp_path: Path
) -> None:
    supervised = supervise(Plan((Child("gateway", (str(tmp_path / "missing"),)),)))
    assert supervised.exit_code() == 2


def test_a_child_that_never_becomes_ready_is_given_up_with_its_code(supervise: Supervise) -> None:
    restart = {"first_delay_s": 0.001, "first_starts_max": 2}
    supervised = supervise(Plan((python_child("worker", "sys.exit(7)"),), restart=restart))
    assert (supervised.exit_code(), len(supervised.logged("child_started"))) == (7, 2)


def test_a_child_that_stays_silent_is_killed_at_the_start_limit(supervise: Supervise) -> None:
    silent = Child("worker", (sys.executable, "-c", READY + "signal.pause()"), start_limit_s=0.01)
    supervised = supervise(Plan((silent,), restart={"first_starts_max": 1}))
    supervised.wait_for("child_not_ready")
    assert supervised.exit_code() == 1


def test_a_child_that_outlasts_the_drain_is_killed(
    supervise: Supervise, lifeline: Lifeline
) -> None:
    stubborn = lasting_child("worker", lifeline, IGNORE_SIGTERM)
    supervised = supervise(Plan((stubborn,), limits={"drain_s": 0.01, "group_reserve_s": 0.0}))
    supervised.wait_for("on_ready")
    supervised.signal(signal.SIGTERM)
    supervised.wait_for("child_killed", child="worker")
    assert supervised.exit_code() == 1


def test_a_group_that_outlasts_the_drain_leaves_time_for_the_next(
    supervise: Supervise, lifeline: Lifeline, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    stubborn = lasting_child("gateway", lifeline, IGNORE_SIGTERM, stop_order=0)
    worker = draining_child("worker", journal, stop_order=1)
    limits = {"drain_s": 20.0, "group_reserve_s": 20.0}
    supervised = supervise(Plan((stubborn, worker), limits=limits))
    supervised.wait_for("on_ready")
    supervised.signal(signal.SIGTERM)
    supervised.exit_code()
    assert journal.read_text().splitlines() == ["worker asked to stop", "worker ended"]


def test_a_second_ctrl_c_kills_a_child_that_ignores_sigterm(
    supervise: Supervise, lifeline: Lifeline
) -> None:
    supervised = supervise(Plan((lasting_child("worker", lifeline, IGNORE_SIGTERM),)))
    supervised.wait_for("on_ready")
    supervised.signal(signal.SIGINT)
    supervised.wait_for("stopping")
    supervised.signal(signal.SIGINT)
    names = lifeline.names_until_the_end()
    assert (supervised.exit_code(), names) == (130, ["worker"])


def test_a_second_sigterm_does_not_cut_the_drain_short(
    supervise: Supervise, tmp_path: Path
) -> None:
    journal, gate = tmp_path / "journal", tmp_path / "gate"
    os.mkfifo(gate)
    supervised = supervise(Plan((draining_child("gateway", journal, wait_for=gate),)))
    supervised.wait_for("on_ready")
    supervised.signal(signal.SIGTERM)
    supervised.wait_for("stopping")
    supervised.signal(signal.SIGTERM)
    gate.write_text("")  # opens when the child waits for it
    assert supervised.exit_code() == 0


def test_a_worker_that_dies_while_the_gateways_drain_is_started_again(
    supervise: Supervise, tmp_path: Path
) -> None:
    journal, gate = tmp_path / "journal", tmp_path / "gate"
    os.mkfifo(gate)
    gateway = draining_child("gateway", journal, wait_for=gate, stop_order=0)
    worker = draining_child("worker", journal, stop_order=1)
    supervised = supervise(Plan((gateway, worker)))
    supervised.wait_for("on_ready")
    pid = supervised.logged("child_ready", child="worker")[0]["pid"]
    supervised.signal(signal.SIGTERM)
    supervised.wait_for("stopping")
    os.kill(pid, signal.SIGKILL)
    supervised.wait_for("child_ready", child="worker")
    gate.write_text("")
    assert supervised.exit_code() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_kill_9_of_the_supervisor_leaves_no_child(supervise: Supervise, lifeline: Lifeline) -> None:
    supervised = supervise(
        Plan((lasting_child("gateway", lifeline), lasting_child("worker", lifeline)))
    )
    supervised.wait_for("on_ready")
    supervised.signal(signal.SIGKILL)
    assert lifeline.names_until_the_end() == ["gateway", "worker"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_kill_9_of_the_supervisor_leaves_no_queue(supervise: Supervise) -> None:
    supervised = supervise(Plan((), with_queue=True))
    directory = supervised.wait_for("queue_planned")["directory"]
    supervised.wait_for("on_ready")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(f"{directory}/queue.sock")
        supervised.signal(signal.SIGKILL)
        assert connection.recv(1) == b""
    Path(directory).rmdir()  # which nobody was left to remove


def test_the_queue_is_started_before_everything_else(
    supervise: Supervise, lifeline: Lifeline
) -> None:
    supervised = supervise(Plan((lasting_child("worker", lifeline),), with_queue=True))
    supervised.wait_for("on_ready")
    ready = [entry["child"] for entry in supervised.logged("child_ready")]
    assert ready == ["queue", "worker"]


def test_a_queue_that_dies_answers_again_at_the_same_socket(supervise: Supervise) -> None:
    supervised = supervise(Plan((), with_queue=True))
    directory = supervised.wait_for("queue_planned")["directory"]
    os.kill(supervised.wait_for("child_ready", child="queue")["pid"], signal.SIGKILL)
    supervised.wait_for("child_ready", child="queue")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(f"{directory}/queue.sock")
        connection.sendall(b"PING\r\n")
        assert connection.recv(64) == b"+PONG\r\n"


def test_a_drained_supervisor_leaves_no_directory(supervise: Supervise) -> None:
    supervised = supervise(Plan((), with_queue=True))
    directory = supervised.wait_for("queue_planned")["directory"]
    supervised.wait_for("on_ready")
    supervised.signal(signal.SIGTERM)
    supervised.exit_code()
    assert not Path(directory).exists()
