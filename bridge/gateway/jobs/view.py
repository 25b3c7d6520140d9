"""A job as its owner sees it: JSON for one, for a page of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from bridge.job_store.manifest import JobManifest, JobState

JOBS_PATH = "/v1/jobs"
Json = dict[str, Any]


def job_path(job: str) -> str:
    """Return where a job is found."""
    return f"{JOBS_PATH}/{job}"


def job_view(manifest: JobManifest) -> Json:
    """Return one job as a JSON-able value."""
    path = job_path(manifest.id)
    view: Json = {
        "id": manifest.id,
        "kind": manifest.kind,
        "state": manifest.state.value,
        "model": manifest.model,
        "tenant": manifest.tenant,
        "created": _instant(manifest.created_ms),
        "started": _instant(manifest.started_ms),
        "finished": _instant(manifest.finished_ms),
        "expires": _instant(manifest.expires_ms),
        "input_bytes": manifest.input_bytes,
        "output_bytes": manifest.output_bytes,
        "error": None
        if manifest.error is None
        else {"code": manifest.error.code, "message": manifest.error.message},
        "webhook": manifest.webhook_state,
        "links": {"self": path, "results": f"{path}/results"},
    }
    if manifest.kind == "file":
        view |= {
            "input_format": manifest.input_format,
            "input_file": manifest.input_file,
            "output_format": manifest.output_format,
            "rows_done": manifest.rows_done,
            "rows_rejected": manifest.rows_rejected,
            "dead_rows": manifest.dead_rows,
            "rows_per_s": round(manifest.rows_per_s, 1),
            "share_done": round(manifest.share_done, 4),
            "seconds_left": seconds_left(manifest),
        }
        view["links"]["rejected"] = f"{path}/rejected"
    return view


def page_view(manifests: Sequence[JobManifest], limit: int) -> Json:
    """Return a page of jobs; `next` is what the next page's `after` is, null on the last."""
    is_last = len(manifests) < limit
    return {
        "jobs": [job_view(manifest) for manifest in manifests],
        "next": None if is_last else manifests[-1].id,
    }


def seconds_left(manifest: JobManifest) -> float | None:
    """Return an estimate of the time that a running job still takes, None where there is none.

    What is left, in rows at the share that is done, over the rate.
    """
    is_known = manifest.state == JobState.RUNNING and manifest.rows_per_s > 0
    if not is_known or not 0 < manifest.share_done <= 1:
        return None
    rows_left = manifest.rows_done * (1 / manifest.share_done - 1)
    return round(rows_left / manifest.rows_per_s, 1)


def retry_after_s(manifest: JobManifest, least_s: float, most_s: float) -> float:
    """Return after how many seconds it is worth asking for the results again."""
    left_s = seconds_left(manifest)
    return least_s if left_s is None else min(most_s, max(least_s, math.ceil(left_s)))


def _instant(milliseconds: int) -> str | None:
    """RFC 3339, UTC; None for what has not happened."""
    if not milliseconds:
        return None
    instant = datetime.fromtimestamp(milliseconds / 1e3, UTC)
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")
