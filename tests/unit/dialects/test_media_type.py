"""Row B37: which content types are read, and as what."""

from __future__ import annotations

import pytest

from bridge.contract.invalid import InvalidCode, InvalidInput
from bridge.gateway.dialects.media_type import dialect_of

V2 = [
    None,  # tritonclient.http
    "application/octet-stream",  # tritonclient.http.aio
    "application/json",
    "application/json; charset=utf-8",
    "application/json;charset=UTF-8",
    'application/json; charset="utf-8"',
    "Application/JSON",
    " application/json ",
    "application/json; profile=x",
]
MESSAGEPACK = ["application/msgpack", "application/x-msgpack", "application/vnd.msgpack"]
OTHERS = [
    "",
    "text/plain",
    "text/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/json; charset=latin-1",
    "application/json; charset=utf-16",
    "application/json; charset=",
    "application/jsonp",
    "application/json, text/plain",
    "application/xml",
    "application/cbor",
    "json",
    "*/*",
    ";",
    "application/json\x00",
    "x" * 10_000,
]


@pytest.mark.parametrize("content_type", V2)
def test_json_and_what_clients_send_instead_is_v2(content_type: str | None) -> None:
    assert dialect_of(content_type) == "v2"


@pytest.mark.parametrize("content_type", MESSAGEPACK)
def test_messagepack_has_three_names(content_type: str) -> None:
    assert dialect_of(content_type) == "messagepack"


@pytest.mark.parametrize("content_type", OTHERS)
def test_every_other_type_is_refused(content_type: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        dialect_of(content_type)
    assert refused.value.code is InvalidCode.MEDIA_TYPE
