"""Why a JSON body was refused: the exact code, found only after something has gone wrong.

The fast path asks msgspec for typed values and stops at the first surprise. Which surprise a
caller hears of is decided here: text that is not JSON before depth, depth before structure.
"""

from __future__ import annotations

import re

import msgspec
import numpy as np

from bridge.contract.invalid import InvalidCode, InvalidInput, shown

# Skips over values, so it checks the syntax without building anything; UTF-8 it does not check.
_syntax = msgspec.json.Decoder(msgspec.Raw)
_KEPT = b'":[]{}'
_DROPPED = bytes(sorted(set(range(256)) - set(_KEPT)))
_NO_SEPARATORS = bytes(sorted(set(range(256)) - set(b'",[{')))
_OPENING = np.frombuffer(b"[{", dtype=np.uint8)
_UNKNOWN_KEY = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING_KEY = re.compile(r"Object missing required field `(\w+)`")
_PATH = re.compile(r" - at `(?:key in `)?`?\$([^`]*)`$")


def explained(text: bytes, error: Exception, depth_max: int) -> InvalidInput:
    """Return the refusal that the first of text, depth and structure which is wrong deserves.

    `error` is what reading `text` raised: InvalidInput, a msgspec error, UnicodeDecodeError or
    RecursionError.
    """
    try:
        _syntax.decode(text)
        text.decode()
    except RecursionError:
        return _too_deep(depth_max)
    except UnicodeDecodeError as fault:
        return InvalidInput(InvalidCode.BAD_JSON, f"not UTF-8 at byte {fault.start}")
    except msgspec.DecodeError as fault:
        return InvalidInput(InvalidCode.BAD_JSON, f"not JSON: {_reason(str(fault))}")
    if depth(text) > depth_max:
        return _too_deep(depth_max)
    return error if isinstance(error, InvalidInput) else structure_fault(str(error), "")


def _reason(text: str) -> str:
    if text == "Input data was truncated":
        # What msgspec says of a lone surrogate, too.
        return "it ends too early, or has half of a surrogate pair"
    return text.removeprefix("JSON is malformed: ")


def structure_fault(text: str, where: str) -> InvalidInput:
    """Translate what msgspec says about a request of another structure; `where` precedes it."""
    match = _PATH.search(text)
    path = where + (match.group(1) if match is not None else "")
    what = text if match is None else text[: match.start()]
    at = f"{path.removeprefix('.')}: " if path else ""
    unknown = _UNKNOWN_KEY.match(what)
    if unknown is not None:
        return InvalidInput(InvalidCode.UNKNOWN_KEY, f"{at}unknown key '{shown(unknown.group(1))}'")
    missing = _MISSING_KEY.match(what)
    if missing is not None:
        return InvalidInput(InvalidCode.SCHEMA, f"{at}the key '{missing.group(1)}' is missing")
    return InvalidInput(_code(what, path), f"{at}{what[0].lower()}{what[1:]}".replace("`", "'"))


def _code(what: str, path: str) -> InvalidCode:
    if "out of range" in what:
        return InvalidCode.NUMBER_RANGE
    for part, code in (
        (".parameters", InvalidCode.BAD_PARAMETER),
        (".shape", InvalidCode.WRONG_SHAPE),
        (".datatype", InvalidCode.WRONG_DTYPE),
        (".data", InvalidCode.WRONG_TYPE),
    ):
        if part in path:
            return code
    return InvalidCode.BAD_ID if path == ".id" else InvalidCode.SCHEMA


def _too_deep(depth_max: int) -> InvalidInput:
    return InvalidInput(InvalidCode.TOO_DEEP, f"nested deeper than {depth_max}")


def depth(text: bytes) -> int:
    """Return how deep the arrays and objects of a valid JSON text are nested."""
    brackets = np.frombuffer(_outside_strings(text).replace(b":", b""), dtype=np.uint8)
    if not brackets.size:
        return 0
    steps = np.where(np.isin(brackets, _OPENING), np.int8(1), np.int8(-1))
    return int(np.cumsum(steps, dtype=np.int32).max())


def pair_count(text: bytes) -> int:
    """Return how many key-value pairs a valid JSON text holds, repeated keys counted each time."""
    return _outside_strings(text).count(b":")


def separator_counts(text: bytes) -> tuple[int, int]:
    """Return how many commas and opening brackets a valid JSON text holds, not those in strings."""
    outside = _outside_strings(text, _NO_SEPARATORS)
    commas = outside.count(b",")
    return commas, len(outside) - commas


def _outside_strings(text: bytes, dropped: bytes = _DROPPED) -> bytes:
    """Return what is outside of a valid JSON text's strings and not dropped."""
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    # Few pieces are left to split, and most of them are the one empty bytes object.
    return b"".join(text.translate(None, dropped).split(b'"')[::2])
