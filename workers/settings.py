"""The worker's settings: one checked value."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


class SettingsError(Exception):
    """A setting that cannot be used; the message names it and what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """What a worker serves, and from which queue.

    `threads`: ONNX Runtime's intra-op threads. `lease_s`: after so long without a sign of life
    a frame in a worker's hands may be taken over by another. `run_s_max`: a run that lasts longer
    is hung, and the process ends so that it can be started again.
    """

    models: Path
    redis_url: str
    threads: int = 1
    lease_s: float = 1.5
    run_s_max: float = 60.0

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
