"""What a request costs beside its share of a run: CPU time of gateways, queue and workers."""

from __future__ import annotations

from dataclasses import dataclass

# All figures of this file are of this day and machine; whoever measures anew changes all of them.
MEASURED = "2026-11-24, two cores of an AMD EPYC virtual machine, Python 3.11"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestCosts:
    """CPU seconds per single-row JSON request, by process; the defaults are `MEASURED`.

    CPU time of each process over the requests of a Poisson stream of 24,000/s to one gateway and
    one worker, `breast_cancer`, both cores busy; refusals at 46,000/s of the bulk model. These are
    the costs at capacity. At lower rates a request costs more, for fewer share a turn of the event
    loop, a frame and a run (gateway: 59 us at 12,000/s, 120 at 4,400, 180 at 2,200). `worker_s` is
    what a worker spends on a request outside `session.run`; `generator_s` is the load tester's own
    part, which counts only when it shares the machine. `source` says when and where they were
    measured.
    """

    gateway_s: float = 36e-6
    refusal_s: float = 22e-6
    queue_s: float = 5e-6
    worker_s: float = 25e-6
    generator_s: float = 25e-6
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
