"""How many cores this process may use."""

from __future__ import annotations

import os

# A gateway fills a core with some 30,000 small requests a second. Beside it there are the queue and
# the workers, which for all but the smallest models need more cores than it does.
CORES_PER_GATEWAY = 4


def usable_cores() -> int:
    """Return the number of cores, less those that the operating system withholds, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS has no affinity


def gateways_for(cores: int) -> int:
    """Return how many gateways a machine with so many cores should have by default."""
    return max(1, cores // CORES_PER_GATEWAY)
