"""What requests cost beside their share of a run: CPU time of gateways, queue and workers."""

from __future__ import annotations

from dataclasses import dataclass

# All figures of this file are of this day and machine; whoever measures anew changes all of them.
MEASURED = "2026-11-24, two cores of an AMD EPYC virtual machine, Python 3.11"

# From this rate on a process finds work whenever it looks.
BUSY_FROM_PER_S = 2_500.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessCosts:
    """CPU time of one process at λ requests a second: `request_s` λ + `turns` of a core.

    What a turn of its loop costs (system calls, a frame, a wake-up) is shared by the requests
    that are in it, and a process that always finds work turns at its own pace, whatever the load:
    so `turns` is constant from `BUSY_FROM_PER_S` on, and in proportion to λ below.
    """

    request_s: float
    turns: float

    def cores(self, rate: float, processes: int = 1) -> float:
        """Return the cores that so many processes keep busy at `rate` requests a second."""
        return self.request_s * rate + self.turns * min(processes, rate / BUSY_FROM_PER_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestCosts:
    """The processes' costs for single-row JSON requests of some 30 numbers; `MEASURED`.

    Fitted to the CPU times of 30 runs at the capacity of six models on two busy cores, 1,700 to
    7,600 requests/s, and of one at 24,000/s (cores within 0.1 for gateway, queue and load tester,
    within 0.2 for the worker). `worker` is what a worker spends outside `session.run`;
    `generator` is the load tester's own part, which counts only when it shares the machine.
    `refusal_s` is a gateway's CPU time for a request that it refuses.
    """

    gateway: ProcessCosts = ProcessCosts(request_s=22e-6, turns=0.40)
    refusal_s: float = 12e-6
    queue: ProcessCosts = ProcessCosts(request_s=1e-6, turns=0.11)
    worker: ProcessCosts = ProcessCosts(request_s=4e-6, turns=0.36)
    generator: ProcessCosts = ProcessCosts(request_s=21e-6, turns=0.13)
    source: str = MEASURED

    def cores(self, rate: float, *, gateways: int, workers: int) -> float:
        """Return the cores that `rate` requests a second keep busy outside their runs."""
        return (
            self.gateway.cores(rate, gateways)
            + self.queue.cores(rate)
            + self.worker.cores(rate, workers)
        )


# Above this share of a core a gateway's own queue grows: its event-loop lag counts into the
# overhead, and it refuses.
GATEWAY_SHARE_MAX = 0.85
# Of all cores of a machine: above it processes wait for each other.
MACHINE_SHARE_MAX = 0.93
