"""What is stored of a request that is answered later."""

from __future__ import annotations

import pytest

from bridge.gateway.inference import InferHead
from bridge.gateway.later.stored import infer_head, stored_request
from bridge.job_store.manifest import JobManifest, JobState, StoredRequest, field_value

# As aiohttp hands on a header's byte 0xFF.
WILD = "\udcff"


def head(content_type: str | None, inference_length: str | None) -> InferHead:
    return InferHead("m", None, content_type, inference_length, None, None, is_named=False)


def stored(content_type: str | None, inference_length: str | None = None) -> StoredRequest:
    return stored_request("/v2/models/m/infer", head(content_type, inference_length), "id-1")


def test_a_stored_request_has_the_head_that_it_came_with() -> None:
    request = stored("application/octet-stream", "12")
    manifest = JobManifest(id="1", state=JobState.WAITING, created_ms=0, model="m")
    assert infer_head(manifest, request) == head("application/octet-stream", "12")


@pytest.mark.parametrize(
    "request_",
    [stored(f"application/json; x={WILD}"), stored("application/json", WILD)],
    ids=["content type", "inference length"],
)
def test_bytes_beyond_ascii_in_its_headers_can_be_stored(request_: StoredRequest) -> None:
    assert field_value(request_).isascii()
