"""The options about HTTP jobs that `serve` hands on to the processes that it starts."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from bridge.job_store.bounds import JOBS_PER_TENANT_MAX, STORAGE_AUTO


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """As they were given: `storage_mb` is a number or "auto", `files` a folder or "".

    `webhook_hosts`: what `--webhook-hosts` lists.
    """

    storage_mb: str = STORAGE_AUTO
    files: str = ""
    kept_hours: float = 24.0
    per_tenant: int = JOBS_PER_TENANT_MAX
    webhook_hosts: str = ""

    @classmethod
    def of(cls, options: argparse.Namespace) -> JobOptions:
        """Return what a command's parsed options say."""
        return cls(
            storage_mb=options.job_storage_mb,
            files=options.job_files,
            kept_hours=options.job_kept_hours,
            per_tenant=options.jobs_per_tenant,
            webhook_hosts=options.webhook_hosts,
        )

    def words(self) -> list[str]:
        """Return them as a command takes them."""
        return [
            *("--job-storage-mb", self.storage_mb),
            *("--job-files", self.files),
            *("--job-kept-hours", str(self.kept_hours)),
            *("--jobs-per-tenant", str(self.per_tenant)),
            *("--webhook-hosts", self.webhook_hosts),
        ]
