"""A running system's jobs, over HTTP: one request at a time, files streamed both ways."""

from __future__ import annotations

import contextlib
import http.client
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urlencode, urlsplit

import msgspec

from bridge.job_client.errors import BadFile, JobCommandError, Refused, Unreachable

TIMEOUT_S = 60.0
COPY_BYTES = 1 << 20
DOCUMENT_BYTES_MAX = 4 << 20
PARTIAL_SUFFIX = ".partial"
UPLOAD_TYPES: Mapping[str, str] = {
    ".csv": "text/csv",
    ".ndjson": "application/x-ndjson",
    ".jsonl": "application/x-ndjson",
    ".parquet": "application/vnd.apache.parquet",
    ".pq": "application/vnd.apache.parquet",
    ".arrow": "application/vnd.apache.arrow.file",
    ".feather": "application/vnd.apache.arrow.file",
    ".ipc": "application/vnd.apache.arrow.file",
}
_JOBS = "/v1/jobs"
T = TypeVar("T")
_CUT_OFF = "the download was cut off; the same command goes on"
_TEMPORARY = (429, 503, 507)


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job as the server describes it; times are RFC 3339."""

    id: str
    kind: str
    state: str
    model: str
    tenant: str
    created: str
    started: str | None = None
    finished: str | None = None
    expires: str | None = None
    input_bytes: int = 0
    output_bytes: int = 0
    rows_done: int = 0
    rows_rejected: int = 0
    dead_rows: int = 0
    rows_per_s: float = 0.0
    share_done: float = 0.0
    seconds_left: float | None = None
    error: dict[str, str] | None = None


class JobPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some jobs, youngest first, and the `after` of the next page."""

    jobs: list[Job]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUpload:
    """What is asked for with a file: as the options of `batchbridge score` say it."""

    model: str
    input: Path
    output: str
    key: str = ""
    columns: Sequence[str] = ()
    max_rejected: int | None = None
    idempotency_key: str = ""
    webhook: str = ""


class JobServer:
    """The server at `url`; `tenant` is whose jobs these are, "" for everybody's.

    Every method raises `Refused` or `Unreachable`.
    """

    def __init__(self, url: str, tenant: str = "") -> None:
        """Nothing is sent yet.

        Raises:
            JobCommandError: it is no http or https URL.
        """
        try:
            parts = urlsplit(url)
            is_usable = parts.scheme in ("http", "https") and bool(parts.hostname)
            is_usable = is_usable and parts.port != 0
        except ValueError:  # of a port that is no number, or of brackets
            is_usable = False
        if not is_usable:
            raise JobCommandError(f"url: {url} is not an http or https URL with a host")
        self._parts = parts
        self._headers = {"X-Tenant": tenant} if tenant else {}

    def page(self, after: str = "", limit: int = 50, state: str = "") -> JobPage:
        """Return a page of jobs."""
        words = {"limit": str(limit)}
        words |= {name: value for name, value in (("after", after), ("state", state)) if value}
        return _decoded(self._json("GET", f"{_JOBS}?{urlencode(words)}"), JobPage)

    def job(self, job: str) -> Job:
        """Return one job."""
        return self._one("GET", _path(job))

    def cancel(self, job: str) -> Job:
        """Cancel a job that has not ended."""
        return self._one("DELETE", _path(job))

    def retry_dead(self, job: str) -> Job:
        """Send its rows again that the model had failed on."""
        return self._one("POST", f"{_path(job)}/retry-dead")

    def submit(self, new: NewUpload) -> Job:
        """Upload a file as a job.

        Raises:
            BadFile: it cannot be read, or its name ends in no known format.
        """
        content_type = UPLOAD_TYPES.get(new.input.suffix)
        if content_type is None:
            raise BadFile(f"{new.input}: its name ends in none of {', '.join(UPLOAD_TYPES)}")
        words = [("model", new.model), ("output", new.output), ("key", new.key)]
        words += [("columns", column) for column in new.columns]
        if new.max_rejected is not None:
            words.append(("max_rejected", str(new.max_rejected)))
        headers = {"Content-Type": content_type}
        if new.idempotency_key:
            headers["Idempotency-Key"] = new.idempotency_key
        if new.webhook:
            headers["Webhook-URL"] = new.webhook
        try:
            with new.input.open("rb") as file:
                headers["Content-Length"] = str(os.fstat(file.fileno()).st_size)
                path = f"{_JOBS}?{urlencode([word for word in words if word[1]])}"
                return _decoded(self._json("POST", path, file, headers), Job)
        except OSError as error:
            raise BadFile(f"{new.input}: {error.strerror}") from error

    def download(self, job: str, part: str, output: Path) -> None:
        """Write a job's `results` or `rejected` to a file; goes on where an earlier try ended.

        Raises:
            BadFile: it cannot be written.
        """
        partial = output.with_name(output.name + PARTIAL_SUFFIX)
        tag = output.with_name(output.name + PARTIAL_SUFFIX + ".etag")
        headers: dict[str, str] = {}
        try:
            if partial.exists() and tag.exists():
                headers["Range"] = f"bytes={partial.stat().st_size}-"
                headers["If-Range"] = tag.read_text()
            with self._answer("GET", f"{_path(job)}/{part}", None, headers, (416,)) as answer:
                if answer.status != http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                    with partial.open("ab" if answer.status == 206 else "wb") as file:
                        # Not before the earlier bytes are gone: they are of another tag.
                        tag.write_text(answer.getheader("ETag", ""))
                        _copy(answer, file)
            partial.replace(output)
            tag.unlink(missing_ok=True)
        except OSError as error:
            raise BadFile(f"{output}: {error.strerror}") from error

    def _one(self, method: str, path: str) -> Job:
        return _decoded(self._json(method, path), Job)

    def _json(
        self,
        method: str,
        path: str,
        body: BinaryIO | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        with self._answer(method, path, body, headers or {}) as answer:
            return _document(answer)

    @contextmanager
    def _answer(
        self,
        method: str,
        path: str,
        body: BinaryIO | None,
        headers: Mapping[str, str],
        accepted: Sequence[int] = (),
    ) -> Iterator[http.client.HTTPResponse]:
        parts = self._parts
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
        place = f"{parts.scheme}://{parts.hostname}:{connection.port}"
        try:
            answer = _sent(
                connection,
                method,
                parts.path.rstrip("/") + path,
                body,
                {**self._headers, **headers},
                place,
            )
            # A redirect is not followed, and what it says is no answer.
            if not 200 <= answer.status < 300 and answer.status not in accepted:
                raise _refusal(answer.status, _document(answer))
            yield answer
        finally:
            connection.close()


def _sent(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: BinaryIO | None,
    headers: Mapping[str, str],
    place: str,
) -> http.client.HTTPResponse:
    try:
        # A server that refuses an upload answers before it has read all of it.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.request(method, path, body, dict(headers))
        return connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(f"{place} does not answer: {type(error).__name__}") from error
    except ValueError as error:  # as http.client says it, of UnicodeEncodeError too
        raise JobCommandError(f"what is asked for is no HTTP request: {error}") from error


def _decoded(document: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(document, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Refused("bad_answer", f"the answer is not Batchbridge's: {error}") from error


def _copy(answer: http.client.HTTPResponse, file: BinaryIO) -> None:
    while block := _read(answer):
        file.write(block)
    # `read` with a length does not complain where there is less than was announced.
    if answer.length:
        raise Unreachable(_CUT_OFF)


def _read(answer: http.client.HTTPResponse) -> bytes:
    try:
        return answer.read(COPY_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(_CUT_OFF) from error


def _document(answer: http.client.HTTPResponse) -> bytes:
    try:
        return answer.read(DOCUMENT_BYTES_MAX)
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(f"the answer was cut off: {type(error).__name__}") from error


def _refusal(status: int, body: bytes) -> JobCommandError:
    try:
        document: Any = msgspec.json.decode(body)
        code, message = str(document["code"]), str(document["error"])
    except (msgspec.MsgspecError, KeyError, TypeError):
        return Refused(str(status), f"the server answered {status}")
    return Unreachable(message) if status in _TEMPORARY else Refused(code, message)


def _path(job: str) -> str:
    if not (job.isascii() and job.isalnum()):
        raise JobCommandError(f"{job!r} is not the id of a job")
    return f"{_JOBS}/{job}"
