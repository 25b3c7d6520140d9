"""What a request costs the processes of a running system, by their CPU time."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from bridge.plan.request_costs import ProcessCosts, RequestCosts

PROC = Path("/proc")
# The words by which `batchbridge serve` starts its processes; a job's cost is no request's.
PARTS = ("gateway", "worker", "job-runner")
QUEUE = "queue"


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuTime:
    """CPU seconds of the processes of one system, summed by role."""

    gateway_s: float = 0.0
    worker_s: float = 0.0
    queue_s: float = 0.0

    def since(self, before: CpuTime) -> CpuTime:
        """Return what was spent since `before`."""
        return CpuTime(
            gateway_s=self.gateway_s - before.gateway_s,
            worker_s=self.worker_s - before.worker_s,
            queue_s=self.queue_s - before.queue_s,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What `requests` at `rate_per_s` cost; `generator_s` is the load tester's part of each."""

    rate_per_s: float
    requests: float
    cpu: CpuTime
    generator_s: float

    def costs(self, run_s: float, assumed: RequestCosts) -> RequestCosts:
        """Return the costs of one request at this rate, `run_s` being its share of a run.

        One rate cannot tell turns from requests: all is counted as the requests'. A refusal costs
        what is `assumed`: hardly any request was refused.
        """
        return replace(
            assumed,
            gateway=_all_requests(self.cpu.gateway_s / self.requests),
            queue=_all_requests(self.cpu.queue_s / self.requests),
            worker=_all_requests(max(0.0, self.cpu.worker_s / self.requests - run_s)),
            generator=_all_requests(self.generator_s),
            source=f"here at {self.rate_per_s:,.0f}/s",
        )


def _all_requests(request_s: float) -> ProcessCosts:
    return ProcessCosts(request_s=request_s, turns=0.0)


def cpu_time(server: int) -> CpuTime | None:
    """Return the CPU time of the processes that the `batchbridge serve` of this id has started.

    None where the operating system does not show it (anything but Linux).
    """
    if not (PROC / str(server)).is_dir():
        return None
    # A child belongs to the thread that started it.
    threads = (PROC / str(server) / "task").iterdir()
    children = [child for one in threads for child in (one / "children").read_text().split()]
    spent = dict.fromkeys((*PARTS, QUEUE), 0.0)
    for child in children:
        try:
            spent[_role(child)] += _spent_s(child)
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended; the supervisor starts another
    return CpuTime(gateway_s=spent["gateway"], worker_s=spent["worker"], queue_s=spent[QUEUE])


def _role(pid: str) -> str:
    words = (PROC / pid / "cmdline").read_bytes().split(b"\0")
    return next((part for part in PARTS if part.encode() in words), QUEUE)


def _spent_s(pid: str) -> float:
    """Return user and system time, the 14th and 15th field of proc_pid_stat(5)."""
    fields = (PROC / pid / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
