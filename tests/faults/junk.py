"""Bytes that are no frame, or a frame that breaks a rule: what a worker must survive."""

from __future__ import annotations

import pickle
import secrets
from pathlib import Path
from typing import Any

import msgpack
import numpy as np

from bridge.wire.block import to_block
from bridge.wire.frame import (
    MAGIC,
    REQUEST_ID_BYTES,
    WIRE_VERSION,
    RequestEntry,
    RequestFrame,
    encode_frame,
)

PREAMBLE = bytes((MAGIC, WIRE_VERSION))
FAR_FUTURE_US = 4_000_000_000_000_000


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self._path,))


def request_frame(gateway: str, **columns: Any) -> bytes:
    """A frame of one request for `mirror`; `columns` replace its tensors."""
    tensors = {
        "nonce": np.array([1], dtype="<i8"),
        "mark": np.array([0], dtype="<i8"),
        "pause_ms": np.array([0.0], dtype="<f8"),
        **columns,
    }
    entry = RequestEntry(secrets.token_bytes(REQUEST_ID_BYTES), 0, 1, 0, FAR_FUTURE_US)
    blocks = [to_block(name, [array]) for name, array in tensors.items()]
    identity = secrets.token_bytes(REQUEST_ID_BYTES)
    return encode_frame(RequestFrame(identity, gateway, "online", [entry], blocks))


def _parts(gateway: str) -> list[Any]:
    parts: list[Any] = msgpack.unpackb(request_frame(gateway)[len(PREAMBLE) :])
    return parts


def _packed(parts: object) -> bytes:
    return PREAMBLE + bytes(msgpack.packb(parts))


def junk_frames(evil: Path) -> dict[str, bytes]:
    """Junk by its name; what is unpickled would write the file `evil`."""
    whole = request_frame("nobody")
    few = _parts("nobody")[:3]
    no_rows, huge_rows, short_id, text_block = (_parts("nobody") for _ in range(4))
    no_rows[4][0][2] = 0
    huge_rows[4][0][2] = 2**31
    short_id[4][0][0] = b"short"
    text_block[5][0][3] = ["not", "numbers"]
    twice = _parts("nobody")
    twice[5].append(twice[5][0])
    return {
        "nothing": b"",
        "text": b"hello",
        "random bytes": bytes(range(256)),
        "pickle": pickle.dumps(Evil(evil)),
        "pickle behind our preamble": PREAMBLE + pickle.dumps(Evil(evil)),
        "only the preamble": PREAMBLE,
        "another wire version": bytes((MAGIC, WIRE_VERSION + 1)) + whole[2:],
        "a truncated frame": whole[:-5],
        "bytes behind the frame": whole + b"\x00",
        "a map that claims 4 billion entries": PREAMBLE + b"\xdf\xff\xff\xff\xff",
        "an array that claims 4 billion items": PREAMBLE + b"\xdd\xff\xff\xff\xff",
        "bytes that claim 4 GB": PREAMBLE + b"\xc6\xff\xff\xff\xff",
        "deep nesting": PREAMBLE + b"\x91" * 100_000 + b"\xc0",
        "an extension type": _packed(msgpack.ExtType(42, b"x" * 16)),
        "an extension type as timestamp": PREAMBLE + b"\xd7\xff" + bytes(8),
        "missing fields": _packed(few),
        "an empty array": _packed([]),
        "an object": _packed({"type": "request"}),
        "null": _packed(None),
        "a result frame's tag": _packed(["result", *_parts("nobody")[1:]]),
        "a request without rows": _packed(no_rows),
        "more rows than the blocks hold": _packed(huge_rows),
        "a short request id": _packed(short_id),
        "text where numbers belong": _packed(text_block),
        "a tensor twice": _packed(twice),
        "an unknown tensor": request_frame("nobody", other=np.array([1.0])),
        "a tensor of another datatype": request_frame("nobody", nonce=np.array([1.5])),
        "a tensor of another shape": request_frame("nobody", nonce=np.array([[1, 2]])),
    }
