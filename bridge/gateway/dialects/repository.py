"""The body of `POST /v2/repository/index`: which versions a caller wants listed."""

from __future__ import annotations

import msgspec

from bridge.contract.invalid import InvalidCode, InvalidInput
from bridge.gateway.dialects.json_fault import explained


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    ready: bool = False


_decoder = msgspec.json.Decoder(_Request)


def parse_ready_only(body: bytes, json_depth_max: int) -> bool:
    """Return whether only versions that are served now are wanted; an empty body asks for all.

    Raises:
        InvalidInput: neither empty nor `{"ready"?: true or false}`.
    """
    if not body:
        return False
    try:
        ready = _decoder.decode(body).ready
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise explained(body, error, json_depth_max) from None
    if body.count(b":") > 1:
        raise InvalidInput(InvalidCode.DUPLICATE_KEY, "an object has the same key twice")
    return ready
