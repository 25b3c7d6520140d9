"""What a running system measured: S(b) and the contract, from `GET /v2/models/{model}`."""

from __future__ import annotations

import http.client
from http import HTTPStatus
from urllib.parse import quote, urlsplit

import msgspec

from bridge.plan.errors import PlanError
from bridge.plan.question import MeasuredModel
from bridge.scheduling.service_time import ServiceTime

TIMEOUT_S = 5.0
DOCUMENT_BYTES_MAX = 4 * 2**20
PORTS = {"http": 80, "https": 443}


class _Measured(msgspec.Struct, frozen=True):
    fixed_ms: float
    per_row_ms: float
    jitter: float
    typical: float


class _Parameters(msgspec.Struct, frozen=True):
    latency_target_ms: float
    version: str
    max_batch_rows: int | None = None
    measured: _Measured | None = None


class _Document(msgspec.Struct, frozen=True):
    name: str
    parameters: _Parameters


def read_running_system(url: str, model: str) -> MeasuredModel:
    """Return what the system at `url` measured of `model`, a name or `name@version`.

    Raises:
        PlanError: the system cannot be reached, does not know the model, or has no measurement.
    """
    name, _, version = model.partition("@")
    path = f"/v2/models/{quote(name, safe='')}"
    if version:
        path += f"/versions/{quote(version, safe='')}"
    document = _document(url, path, model)
    measured = document.parameters.measured
    if measured is None:
        raise PlanError(f"url: {url} serves {model}, but no worker has measured it yet")
    return MeasuredModel(
        name=document.name,
        version=document.parameters.version,
        service=ServiceTime(
            fixed_s=measured.fixed_ms / 1e3,
            per_row_s=measured.per_row_ms / 1e3,
            jitter=measured.jitter,
            typical=measured.typical,
        ),
        target_s=document.parameters.latency_target_ms / 1e3,
        rows_cap=document.parameters.max_batch_rows,
        source=f"measured by the running system at {url}",
    )


def _document(url: str, path: str, model: str) -> _Document:
    status, body = _get(url, path)
    if status == HTTPStatus.NOT_FOUND:
        raise PlanError(f"MODEL: {url} serves no model {model!r}")
    if status != HTTPStatus.OK:
        raise PlanError(f"url: {url} answered {status} to GET {path}")
    try:
        return msgspec.json.decode(body, type=_Document)
    except msgspec.MsgspecError as error:
        raise PlanError(f"url: {url} is no Batchbridge: GET {path}: {error}") from error


def _get(url: str, path: str) -> tuple[int, bytes]:
    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.hostname:
        raise PlanError(f"url: {url} is not an http or https URL with a host")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    try:
        connection = kind(parts.hostname, parts.port or PORTS[parts.scheme], timeout=TIMEOUT_S)
    except ValueError as error:
        raise PlanError(f"url: {url}: {error}") from error
    try:
        connection.request("GET", parts.path.rstrip("/") + path)
        response = connection.getresponse()
        return response.status, response.read(DOCUMENT_BYTES_MAX)
    except (OSError, http.client.HTTPException) as error:
        raise PlanError(f"url: {url} cannot be reached: {error}") from error
    finally:
        connection.close()
