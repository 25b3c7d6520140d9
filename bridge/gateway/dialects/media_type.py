"""Which dialect a Content-Type header announces."""

from __future__ import annotations

from typing import Literal

from bridge.contract.invalid import InvalidCode, InvalidInput, shown

Dialect = Literal["v2", "messagepack"]

# No Content-Type: what tritonclient.http sends with JSON bodies; application/octet-stream without
# an Inference-Header-Content-Length: what tritonclient.http.aio sends with them. Both are read as
# JSON, as Triton does. application/octet-stream with the header is the binary extension.
_DIALECTS: dict[str | None, Dialect] = {
    None: "v2",
    "application/json": "v2",
    "application/octet-stream": "v2",
    "application/msgpack": "messagepack",
    "application/x-msgpack": "messagepack",
    "application/vnd.msgpack": "messagepack",
}
_CHARSETS = ("utf-8", "utf8")


def dialect_of(content_type: str | None) -> Dialect:
    """Return the dialect of a request body by its Content-Type, None where it has none.

    Raises:
        InvalidInput: `media_type`; another type, or a charset other than UTF-8.
    """
    known = _DIALECTS.get(content_type)
    return known if known is not None else _normalised(content_type or "")


def _normalised(content_type: str) -> Dialect:
    main, *parameters = content_type.split(";")
    dialect = _DIALECTS.get(main.strip().lower())
    if dialect is None or not all(_is_harmless(parameter) for parameter in parameters):
        raise InvalidInput(
            InvalidCode.MEDIA_TYPE,
            f"Content-Type: '{shown(content_type)}' is not accepted; send application/json "
            "(UTF-8), application/octet-stream with Inference-Header-Content-Length, or "
            "application/msgpack",
        )
    return dialect


def _is_harmless(parameter: str) -> bool:
    key, _, value = parameter.strip().partition("=")
    return key.strip().lower() != "charset" or value.strip(' "').lower() in _CHARSETS
