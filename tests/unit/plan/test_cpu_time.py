"""What a request costs, from the CPU time of processes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict

import pytest

from bridge.plan.cpu_time import CpuTime, Spent, cpu_time
from bridge.plan.request_costs import RequestCosts

ASSUMED = RequestCosts(refusal_s=7e-6)
SPENT = Spent(
    rate_per_s=1000.0,
    requests=2000.0,
    cpu=CpuTime(gateway_s=0.2, worker_s=1.0, queue_s=0.04),
    generator_s=30e-6,
)


def test_a_cost_is_the_time_by_the_requests() -> None:
    costs = SPENT.costs(0.0, ASSUMED)
    each = [costs.gateway.request_s, costs.queue.request_s, costs.worker.request_s]
    assert each == pytest.approx([1e-4, 2e-5, 5e-4])


def test_the_run_is_no_cost_beside_the_run() -> None:
    assert SPENT.costs(4e-4, ASSUMED).worker.request_s == pytest.approx(1e-4)


def test_a_worker_costs_no_less_than_nothing_beside_its_runs() -> None:
    assert SPENT.costs(1.0, ASSUMED).worker.request_s == 0.0


def test_a_refusal_costs_what_was_assumed() -> None:
    assert SPENT.costs(0.0, ASSUMED).refusal_s == 7e-6


def test_measured_costs_say_at_which_rate() -> None:
    assert SPENT.costs(0.0, ASSUMED).source == "here at 1,000/s"


def test_only_what_was_spent_since_counts() -> None:
    later = CpuTime(gateway_s=3.0, worker_s=2.0, queue_s=1.0)
    before = CpuTime(gateway_s=1.0, worker_s=0.5, queue_s=0.25)
    assert later.since(before) == CpuTime(gateway_s=2.0, worker_s=1.5, queue_s=0.75)


# Starts one process by this name, which spends 50 ms and waits for its end, as its parent does.
PARENT = """
import subprocess, sys
child = "import time, sys\\nwhile time.process_time() < 0.05: pass\\nprint(flush=True); input()"
words = [sys.executable, "-c", child, sys.argv[1]]
with subprocess.Popen(words, stdout=subprocess.PIPE) as started:
    print(started.stdout.readline(), flush=True)
"""


def spent_by(name: str) -> CpuTime:
    words = [sys.executable, "-c", PARENT, name]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        found = cpu_time(parent.pid)
        parent.communicate()
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "roles"),
    [
        ("gateway", {"gateway_s"}),
        ("worker", {"worker_s"}),
        ("valkey-server", {"queue_s"}),
        ("job-runner", set()),
    ],
)
def test_a_process_counts_as_what_it_is(name: str, roles: set[str]) -> None:
    assert {role for role, spent_s in asdict(spent_by(name)).items() if spent_s} == roles


def test_a_server_that_has_ended_spends_nothing_that_is_known() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    assert cpu_time(ended.pid) is None
