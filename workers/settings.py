"""The worker's settings: one checked value."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bridge.scheduling.lanes import FILL, FLOOR, LaneShares


class SettingsError(Exception):
    """A setting that cannot be used; the message names it and what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """What a worker serves, and from which queue.

    `threads`: ONNX Runtime's intra-op threads. `lease_s`: after so long without a sign of life
    a frame in a worker's hands may be taken over by another. `run_s_max`: a run that lasts longer
    is hung, and the process ends so that it can be started again. `batch_fill`: up to which share
    of a batch the batch lane fills it; `batch_floor`: the share of the run time that the batch
    lane gets whatever the online load. `jobs_only`: nobody asks online, so no latency target bounds
    the batches.
    """

    models: Path
    redis_url: str
    threads: int = 1
    lease_s: float = 1.5
    run_s_max: float = 60.0
    batch_fill: float = FILL
    batch_floor: float = FLOOR
    jobs_only: bool = False

    @property
    def lane_shares(self) -> LaneShares:
        """What the batch lane gets."""
        return LaneShares(self.batch_fill, self.batch_floor)

    def __post_init__(self) -> None:
        """Check each setting.

        Raises:
            SettingsError: naming the setting.
        """
        if not self.models.is_dir():
            raise SettingsError(f"models: {self.models} is not a folder")
        if self.threads < 1:
            raise SettingsError(f"threads: {self.threads} is below 1")
        if self.lease_s < 1.0:
            raise SettingsError(f"lease: {self.lease_s} s is below 1 s")
        if not 0 < self.batch_fill <= 1:
            raise SettingsError(f"batch-fill: {self.batch_fill} is not above 0 and at most 1")
        if not 0 <= self.batch_floor < 1:
            raise SettingsError(f"batch-floor: {self.batch_floor} is not from 0 to below 1")
