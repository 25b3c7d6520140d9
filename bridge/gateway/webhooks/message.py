"""What a webhook says: how a job ended, as `GET /v1/jobs/{id}` does. None of its rows."""

from __future__ import annotations

import msgspec
import orjson

from bridge.gateway.jobs.view import job_view
from bridge.job_store.manifest import JobManifest


class WebhookMessage(msgspec.Struct, frozen=True):
    """The body, the same at each attempt, and the id by which a receiver knows it again."""

    webhook_id: str
    body: bytes


def message_of(manifest: JobManifest) -> WebhookMessage:
    """Return what is said of a job that has ended.

    A job whose dead rows were sent again ends once more: that is another message.
    """
    view = job_view(manifest)
    document = {
        "type": f"job.{manifest.state.value}",
        "timestamp": view["finished"],
        "data": view,
    }
    return WebhookMessage(f"msg_{manifest.id}_{manifest.finished_ms}", orjson.dumps(document))
