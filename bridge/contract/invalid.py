"""The one way in which a caller's input is refused.

InvalidInput
└── carries a code of `InvalidCode`; the gateway maps each code to an HTTP status
"""

from __future__ import annotations

from enum import StrEnum

ECHO_CHARS_MAX = 64
MESSAGE_BYTES_MAX = 400


class InvalidCode(StrEnum):
    """Why an input was refused; the `code` of the error body."""

    BAD_JSON = "bad_json"
    BAD_MESSAGEPACK = "bad_messagepack"
    SCHEMA = "schema"
    NUMBER_RANGE = "number_range"
    WRONG_TYPE = "wrong_type"
    TOO_DEEP = "too_deep"
    DUPLICATE_KEY = "duplicate_key"
    DUPLICATE_NAME = "duplicate_name"
    UNKNOWN_NAME = "unknown_name"
    MISSING = "missing"
    UNKNOWN_KEY = "unknown_key"
    WRONG_DTYPE = "wrong_dtype"
    WRONG_SHAPE = "wrong_shape"
    SHAPE_DATA_MISMATCH = "shape_data_mismatch"
    EMPTY = "empty"
    TOO_LARGE = "too_large"
    TOO_LONG = "too_long"
    TOO_MANY_ROWS = "too_many_rows"
    RAGGED = "ragged"
    VALUE_RANGE = "value_range"
    UNKNOWN_CATEGORY = "unknown_category"
    NULL_VALUE = "null_value"
    BAD_ID = "bad_id"
    BAD_PARAMETER = "bad_parameter"
    BAD_DEADLINE = "bad_deadline"
    BAD_BINARY = "bad_binary"
    BAD_UNIT = "bad_unit"
    MEDIA_TYPE = "media_type"


class InvalidInput(Exception):
    """A request that the contract does not accept; `message` names what was wrong and where.

    The message is cut after `MESSAGE_BYTES_MAX` bytes of UTF-8: names in a contract may be long.
    """

    def __init__(self, code: InvalidCode, message: str) -> None:
        if len(message.encode()) > MESSAGE_BYTES_MAX:
            message = message.encode()[: MESSAGE_BYTES_MAX - 3].decode(errors="ignore") + "..."
        super().__init__(message)
        self.code = code
        self.message = message


def shown(value: object) -> str:
    """Return `value` escaped and cut, fit to be named in an error message or a log line."""
    text = str(value)[: ECHO_CHARS_MAX + 1]
    escaped = ascii(text)[1:-1]
    return escaped if len(escaped) <= ECHO_CHARS_MAX else escaped[: ECHO_CHARS_MAX - 3] + "..."
