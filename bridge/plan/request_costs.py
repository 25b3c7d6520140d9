"""What a request costs beside its share of a run: CPU time of gateways, queue and workers."""

from __future__ import annotations

from dataclasses import dataclass

# All figures of this file are of this day and machine; whoever measures anew changes all of them.
MEASURED = "2026-11-23, two cores of an AMD EPYC virtual machine, Python 3.11"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestCosts:
    """CPU seconds per single-row JSON request, by process; the defaults are `MEASURED`.

    CPU time of each process over the requests of a Poisson stream of 4,011/s to one gateway and one
    worker, bulk model 30-2048-2048-2048-2, both cores busy; refusals at 16,011/s. At lower rates a
    request costs more, for fewer share a turn of the event loop and a frame (gateway: 250 us at
    1,990/s), so these are the costs at capacity. `worker_s` is what a worker spends on a request
    outside `session.run`; `generator_s` is the load tester's own part, which counts only when it
    shares the machine. `source` says when and where they were measured.
    """

    gateway_s: float = 150e-6
    refusal_s: float = 45e-6
    queue_s: float = 18e-6
    worker_s: float = 65e-6
    generator_s: float = 51e-6
    source: str = MEASURED

    @property
    def beside_run_s(self) -> float:
        """Return the CPU time of a request outside its run, in all processes of the system."""
        return self.gateway_s + self.queue_s + self.worker_s


# Above this share of a core a gateway's own queue grows: its event-loop lag counts into the
# overhead, and it refuses.
GATEWAY_SHARE_MAX = 0.85
# Of all cores of a machine: above it processes wait for each other.
MACHINE_SHARE_MAX = 0.95
