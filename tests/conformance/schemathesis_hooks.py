"""What Schemathesis, in its own process, must be told of our interface (SCHEMATHESIS_HOOKS)."""

from __future__ import annotations

from typing import Any

import msgpack
import schemathesis

# Of a deadline shorter than this nobody can say beforehand whether it will be kept.
TIMEOUT_SURE_MS = 1_000.0
# What Schemathesis adds to the headers as something that must be refused.
UNKNOWN_HEADER = "x-schemathesis-unknown-property"
TIMEOUT_HEADER = "X-Request-Timeout-Ms"


@schemathesis.serializer("application/msgpack")
def to_messagepack(context: Any, value: Any) -> bytes:
    """A request body; half a surrogate pair goes out as it is, hostile as it was meant."""
    packed: bytes = msgpack.packb(_without_huge_integers(value), unicode_errors="surrogatepass")
    return packed


@schemathesis.deserializer("application/msgpack")
def from_messagepack(context: Any, response: Any) -> Any:
    """An answer; its binary strings as text, because a JSON Schema knows no bytes."""
    return _without_bytes(msgpack.unpackb(response.content))


@schemathesis.deserializer("application/octet-stream")
def from_binary(context: Any, response: Any) -> str:
    """An answer of JSON and blocks: for a JSON Schema only text, whatever it holds."""
    return str(response.content.decode("latin-1"))


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """Leave out the two kinds of cases whose right answer the document cannot say."""
    headers = case.headers or {}
    # HTTP wants headers that a server does not know to be ignored, not to be refused.
    if UNKNOWN_HEADER in headers:
        return False
    # 504 is the right answer to a deadline that has passed, and a server error to Schemathesis.
    return not _is_short(headers.get(TIMEOUT_HEADER))


def _is_short(timeout: Any) -> bool:
    try:
        return 0 < float(timeout) < TIMEOUT_SURE_MS
    except (TypeError, ValueError):
        return False


def _without_huge_integers(value: Any) -> Any:
    """MessagePack ends at 64 bits; what is larger goes out as floating point."""
    if isinstance(value, dict):
        return {key: _without_huge_integers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_huge_integers(item) for item in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return float(value)
    return value


def _without_bytes(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_bytes(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_bytes(item) for item in value]
    return value.decode("latin-1") if isinstance(value, bytes) else value
