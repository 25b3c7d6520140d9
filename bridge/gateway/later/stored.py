"""A stored request and its stored answer, as the job store keeps them and as HTTP has them."""

from __future__ import annotations

from bridge.gateway.inference import INFERENCE_LENGTH_HEADER, NAMED_PATH_END, InferHead
from bridge.gateway.reply import REQUEST_ID_HEADER, Reply
from bridge.job_store.manifest import JobManifest, StoredRequest, StoredResponse

_CONTENT_TYPE = "Content-Type"


def model_of(head: InferHead) -> str:
    """Return the model as it was asked for: `model` or `model@version`."""
    return head.model if head.version is None else f"{head.model}@{head.version}"


def stored_request(path: str, head: InferHead, request_id: str | None) -> StoredRequest:
    """Return what is stored beside the body; timeout and priority mean nothing any more."""
    found = {
        _CONTENT_TYPE: head.content_type,
        INFERENCE_LENGTH_HEADER: head.inference_length,
        REQUEST_ID_HEADER: request_id,
    }
    # Bytes beyond ASCII, as in a parameter that means nothing, would not be JSON in the manifest.
    headers = [
        (name, value.encode("ascii", "replace").decode())
        for name, value in found.items()
        if value is not None
    ]
    return StoredRequest(method="POST", path=path, headers=headers)


def infer_head(manifest: JobManifest, request: StoredRequest) -> InferHead:
    """Return the head of a stored request."""
    model, _, version = manifest.model.partition("@")
    headers = dict(request.headers)
    return InferHead(
        model,
        version or None,
        headers.get(_CONTENT_TYPE),
        headers.get(INFERENCE_LENGTH_HEADER),
        None,
        None,
        is_named=request.path.endswith(NAMED_PATH_END),
    )


def request_id_of(manifest: JobManifest, request: StoredRequest) -> str:
    """Return the id that the request had when it came, the job's where that is not stored."""
    return dict(request.headers).get(REQUEST_ID_HEADER, manifest.id)


def stored_response(reply: Reply) -> StoredResponse:
    """Return what is stored of a reply beside its body."""
    content_type = dict(reply.headers).get(_CONTENT_TYPE, "")
    headers = [(name, value) for name, value in reply.headers if name != _CONTENT_TYPE]
    return StoredResponse(status=reply.status, content_type=content_type, headers=headers)
