"""How much jobs may take."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.job_store.manifest import Kind

STORED_BYTES_MAX = 256 << 20
JOBS_PER_TENANT_MAX = 64
REQUESTS_PER_TENANT_MAX = 10_000
UPLOAD_SILENT_MS = 60_000
LEASE_MS = 30_000

STORAGE_AUTO = "auto"
MEGABYTE = 1 << 20
STORAGE_DIGITS_MAX = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreBounds:
    """The bounds of one store, the same for every process that uses it.

    `stored_bytes_max`: of all jobs together, with what each has beside its content.
    `jobs_per_tenant_max`: of one tenant's jobs that have not ended, `requests_per_tenant_max`: of
    its stored requests. `upload_silent_ms`: an upload that brings nothing for so long is removed.
    """

    stored_bytes_max: int = STORED_BYTES_MAX
    jobs_per_tenant_max: int = JOBS_PER_TENANT_MAX
    requests_per_tenant_max: int = REQUESTS_PER_TENANT_MAX
    upload_silent_ms: int = UPLOAD_SILENT_MS

    def open_max(self, kind: Kind) -> int:
        """How many of a tenant's jobs of a kind may be unfinished."""
        return self.jobs_per_tenant_max if kind == "file" else self.requests_per_tenant_max


def storage_bytes(text: str) -> int:
    """Return what `--job-storage-mb` allows: `STORED_BYTES_MAX` for "auto", 0 for no jobs.

    Raises:
        ValueError: it is neither "auto" nor a whole number of MiB; the message says so.
    """
    if text == STORAGE_AUTO:
        return STORED_BYTES_MAX
    if not (text.isascii() and text.isdigit()) or len(text) > STORAGE_DIGITS_MAX:
        raise ValueError(f"job-storage-mb: {text!r} is neither auto nor a whole number of MiB")
    return int(text) * MEGABYTE
