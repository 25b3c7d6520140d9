"""The settings of jobs over HTTP, checked once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from bridge.gateway.webhooks.settings import WebhookSettings
from bridge.job_store.bounds import StoreBounds

HOUR_MS = 3_600_000
KEPT_HOURS_MAX = 8_760.0
UPLOAD_BYTES_MAX = 256 << 20


class JobSettingsError(Exception):
    """A setting that cannot be used; the message names it and what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSettings:
    """What a gateway lets jobs have.

    `files`: the folder whose files jobs may name, None for none. `kept_hours`: how long a job is
    kept after its end. `upload_bytes_max`: of one upload.
    """

    bounds: StoreBounds = field(default_factory=StoreBounds)
    files: Path | None = None
    kept_hours: float = 24.0
    upload_bytes_max: int = UPLOAD_BYTES_MAX
    webhooks: WebhookSettings = field(default_factory=WebhookSettings)

    def __post_init__(self) -> None:
        """Check each setting.

        Raises:
            JobSettingsError: naming the setting.
        """
        if self.files is not None and not self.files.is_dir():
            raise JobSettingsError(f"job-files: {self.files} is not a folder")
        if not 0 < self.kept_hours <= KEPT_HOURS_MAX:
            raise JobSettingsError(
                f"job-kept-hours: {self.kept_hours:g} is not above 0 and at most {KEPT_HOURS_MAX:g}"
            )
        if self.upload_bytes_max < 1:
            raise JobSettingsError(f"job-upload-mb: {self.upload_bytes_max} bytes are below 1")
        if self.bounds.jobs_per_tenant_max < 1:
            raise JobSettingsError(f"jobs-per-tenant: {self.bounds.jobs_per_tenant_max} is below 1")

    @property
    def kept_ms(self) -> int:
        """How long a job is kept after its end."""
        return round(self.kept_hours * HOUR_MS)
