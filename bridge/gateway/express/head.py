"""Which heads of HTTP requests the express lane takes, and what they say.

A head is taken only if it has one reading: a plain POST to an inference path with one length, no
line ends or bytes of doubtful meaning, and no header that changes how the rest is read. Anything
else, wrong or merely unusual, is left to aiohttp, which then sees all of its bytes.
"""

from __future__ import annotations

import re

import httptools
import msgspec

from bridge.gateway.dialects.priority import PRIORITY_HEADER
from bridge.gateway.inference import BODY_BYTES_MAX, INFERENCE_LENGTH_HEADER, InferHead
from bridge.gateway.reply import REQUEST_ID_HEADER, TIMEOUT_HEADER

HEAD_END = b"\r\n\r\n"
HEAD_BYTES_MAX = 4096
HEADERS_MAX = 64
_KNOWN_MAX = 512
_KNOWN_BYTES_MAX = 1024
_BODY_DIGITS_MAX = 7
assert 10**_BODY_DIGITS_MAX > BODY_BYTES_MAX

_BEGINNING = b"POST /v2/models/"
# Narrower than HTTP: printable ASCII, CRLF, at most one space after the colon and none before it.
_PLAIN = re.compile(
    rb"POST (/v2/models/([A-Za-z0-9_][A-Za-z0-9_.-]*)(?:/versions/([0-9]+))?/infer) HTTP/1\.1\r\n"
    rb"(?:[A-Za-z0-9_-]+: ?[!-~](?:[ -~]*[!-~])?\r\n)+\r\n"
)
_HOST = b"host"
_LENGTH = b"content-length"
_CONNECTION = b"connection"
_CONTENT_TYPE = b"content-type"
_INFERENCE_LENGTH = INFERENCE_LENGTH_HEADER.lower().encode()
_TIMEOUT = TIMEOUT_HEADER.lower().encode()
_PRIORITY = PRIORITY_HEADER.lower().encode()
_REQUEST_ID = REQUEST_ID_HEADER.lower().encode()
# They say how to read or answer the rest in another way than the lane does.
_NOT_TAKEN = frozenset(
    {
        b"transfer-encoding",
        b"content-encoding",
        b"expect",
        b"prefer",
        b"upgrade",
        b"te",
        b"trailer",
    }
)
_NOT_TAKEN_PREFIX = b"sec-websocket"
# A head with one of these comes from one caller or only once: it is not remembered.
_PERSONAL = frozenset({_REQUEST_ID, b"authorization", b"cookie", b"traceparent"})


class ExpressHead(msgspec.Struct, frozen=True, gc=False):
    """A head that the lane takes; `request_id` is the caller's, as sent."""

    infer: InferHead
    body_bytes: int
    request_id: str | None


class Heads:
    """Reads heads; one that comes again byte for byte is not read again."""

    def __init__(self) -> None:
        self._known: dict[bytes, ExpressHead] = {}

    def read(self, head: bytes) -> ExpressHead | None:
        """Return what a whole head says, the empty line included; None if it is not taken."""
        known = self._known.get(head)
        if known is not None:
            return known
        if len(head) > HEAD_BYTES_MAX:
            return None
        found = _PLAIN.fullmatch(head)
        headers = None if found is None else _headers(head, found[1])
        if found is None or headers is None:
            return None
        read = _read(found, headers)
        if read is not None and len(head) <= _KNOWN_BYTES_MAX and _PERSONAL.isdisjoint(headers):
            if len(self._known) >= _KNOWN_MAX:
                self._known.clear()
            self._known[head] = read
        return read


def could_be_taken(data: bytes, at: int) -> bool:
    """Return whether an unfinished head that begins at `at` may still become one that is taken."""
    beginning = data[at : at + len(_BEGINNING)]
    return len(data) - at < HEAD_BYTES_MAX and _BEGINNING.startswith(beginning)


class _Parsed:
    """What httptools finds in a head; a header that comes twice makes `is_plain` false."""

    def __init__(self) -> None:
        self.url = b""
        self.headers: dict[bytes, bytes] = {}
        self.is_plain = True
        self.is_complete = False

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name in self.headers or name in _NOT_TAKEN or name.startswith(_NOT_TAKEN_PREFIX):
            self.is_plain = False
        self.headers[name] = value

    def on_headers_complete(self) -> None:
        self.is_complete = True


def _headers(head: bytes, path: bytes) -> dict[bytes, bytes] | None:
    parsed = _Parsed()
    parser = httptools.HttpRequestParser(parsed)
    try:
        parser.feed_data(head)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return None
    is_taken = (
        parsed.is_plain
        and parsed.is_complete
        and parsed.url == path
        and parser.should_keep_alive()
        and len(parsed.headers) <= HEADERS_MAX
    )
    return parsed.headers if is_taken else None


def _read(found: re.Match[bytes], headers: dict[bytes, bytes]) -> ExpressHead | None:
    length = headers.get(_LENGTH, b"")
    body_bytes = int(length) if length.isdigit() and len(length) <= _BODY_DIGITS_MAX else -1
    if (
        not 0 <= body_bytes <= BODY_BYTES_MAX
        or _HOST not in headers
        or headers.get(_CONNECTION, b"keep-alive").lower() != b"keep-alive"
    ):
        return None
    infer = InferHead(
        found[2].decode(),
        _text(found[3]),
        _text(headers.get(_CONTENT_TYPE)),
        _text(headers.get(_INFERENCE_LENGTH)),
        _text(headers.get(_TIMEOUT)),
        _text(headers.get(_PRIORITY)),
    )
    return ExpressHead(infer, body_bytes, _text(headers.get(_REQUEST_ID)))


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("ascii")
