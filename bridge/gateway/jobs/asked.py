"""What a POST to /v1/jobs asks for, out of its query or its JSON body, and its headers."""

from __future__ import annotations

import json
import re
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from bridge.contract.invalid import InvalidCode, InvalidInput, shown
from bridge.gateway.dialects.json_fault import explained
from bridge.gateway.jobs.file_format import format_of_name, output_format
from bridge.gateway.sole_header import Headers, sole_header
from bridge.job_store.file_reference import REFERENCE_CHARS_MAX
from bridge.job_store.keys import idempotency_digest

TENANT_HEADER = "X-Tenant"
KEY_HEADER = "Idempotency-Key"
KEY_CHARS_MAX = 255
NAME_CHARS_MAX = 256
COLUMNS_MAX = 1000
DEPTH_MAX = 8
REJECTED_MAX = 10**12
OUTPUT_DEFAULT = "ndjson"
_REJECTED_DIGITS_MAX = 12
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_KEY = re.compile(rf"[!-~]{{1,{KEY_CHARS_MAX}}}")
_ONCE = ("model", "key", "output", "max_rejected")

Name = Annotated[str, Meta(min_length=1, max_length=NAME_CHARS_MAX)]


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A job as its caller describes it; `file` is for references only."""

    model: Name
    key: Annotated[str, Meta(max_length=NAME_CHARS_MAX)] = ""
    columns: Annotated[dict[Name, Name], Meta(max_length=COLUMNS_MAX)] = {}
    output: str = OUTPUT_DEFAULT
    max_rejected: Annotated[int, Meta(ge=0, le=REJECTED_MAX)] | None = None
    file: Annotated[str, Meta(max_length=REFERENCE_CHARS_MAX)] = ""


_decoder = msgspec.json.Decoder(Asked)


def asked_by_query(request: web.BaseRequest) -> Asked:
    """Return what the query of an upload says.

    Raises:
        InvalidInput: `missing`, `unknown_key` or `bad_parameter`, naming the parameter.
    """
    words: dict[str, str] = {}
    columns: dict[str, str] = {}
    for name, value in request.query.items():
        if name == "columns":
            _rename(columns, value)
        elif name not in _ONCE:
            raise InvalidInput(InvalidCode.UNKNOWN_KEY, f"the query's '{shown(name)}' is not known")
        elif name in words:
            raise InvalidInput(InvalidCode.DUPLICATE_KEY, f"{name} stands twice in the query")
        else:
            words[name] = value
    model = words.get("model", "")
    if not model:
        raise InvalidInput(InvalidCode.MISSING, "the query must say model=NAME or NAME@VERSION")
    for name, value in words.items():
        if len(value) > NAME_CHARS_MAX:
            raise _bad(name, f"is longer than {NAME_CHARS_MAX} characters")
    return Asked(
        model=model,
        key=words.get("key", ""),
        columns=columns,
        output=output_format(words.get("output", OUTPUT_DEFAULT)),
        max_rejected=_max_rejected(words.get("max_rejected")),
    )


def asked_by_json(body: bytes) -> tuple[Asked, str]:
    """Return what a JSON body says, and the format of the file that it names.

    Raises:
        InvalidInput: as it is of no use, naming where.
    """
    try:
        asked = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise explained(body, error, DEPTH_MAX) from None
    json.loads(body, object_pairs_hook=_distinct)
    if not asked.file:
        raise InvalidInput(
            InvalidCode.MISSING,
            'a JSON body must say "file"; rows are uploaded as NDJSON, CSV, Parquet or Arrow',
        )
    output_format(asked.output)
    found = format_of_name(asked.file)
    if found is None:
        raise _bad("file", "ends in none of .parquet, .csv, .ndjson, .jsonl, .arrow")
    return asked, found


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object whose keys all differ: msgspec would keep the last of equal ones."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise InvalidInput(InvalidCode.DUPLICATE_KEY, "an object has the same key twice")
    return found


def tenant_of(headers: Headers) -> str:
    """Return whose job it is by the header X-Tenant, "" where there is none.

    Raises:
        InvalidInput: `bad_parameter`; not 1 to 64 letters, digits, dots, dashes, underscores. Or
            `duplicate_key`.
    """
    text = sole_header(headers, TENANT_HEADER)
    if text is None:
        return ""
    if not _TENANT.fullmatch(text):
        raise _bad(
            TENANT_HEADER,
            "is not 1 to 64 letters, digits, '.', '_' or '-', a letter or digit first",
        )
    return text


def idempotency_of(headers: Headers, tenant: str) -> str:
    """Return the digest of the Idempotency-Key, "" where there is none.

    The key may stand in quotes, as the draft wants it, or without.

    Raises:
        InvalidInput: `bad_parameter`; empty, too long, or not printable ASCII. Or `duplicate_key`.
    """
    text = sole_header(headers, KEY_HEADER)
    if text is None:
        return ""
    key = text[1:-1] if len(text) >= 2 and text[0] == text[-1] == '"' else text
    if not _KEY.fullmatch(key):
        raise _bad(
            KEY_HEADER, f"is not 1 to {KEY_CHARS_MAX} printable ASCII characters without spaces"
        )
    return idempotency_digest(tenant, key)


def _rename(columns: dict[str, str], word: str) -> None:
    name, equals, column = word.partition("=")
    if not (name and equals and column) or max(len(name), len(column)) > NAME_CHARS_MAX:
        raise _bad("columns", f"'{shown(word)}' is not NAME=COLUMN")
    if name in columns:
        raise InvalidInput(InvalidCode.DUPLICATE_KEY, f"columns names '{shown(name)}' twice")
    if len(columns) == COLUMNS_MAX:
        raise _bad("columns", f"are more than {COLUMNS_MAX}")
    columns[name] = column


def _max_rejected(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > _REJECTED_DIGITS_MAX:
        raise _bad("max_rejected", "is not a whole number of rows")
    return int(text)


def _bad(name: str, reason: str) -> InvalidInput:
    return InvalidInput(InvalidCode.BAD_PARAMETER, f"{name}: {reason}")
