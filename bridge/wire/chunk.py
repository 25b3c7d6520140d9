"""Chunks of jobs: how each is addressed, what comes back, and the keys that hold a job.

| key                                  | type           | holds                                    |
|--------------------------------------|----------------|------------------------------------------|
| bb:{model@version}:job:<id>          | hash, expiring | part → the stream entry that carries it  |
| bb:{model@version}:job:<id>:results  | hash, expiring | part → its result, set once              |
| bb:{model@version}:job:<id>:done     | list, expiring | the parts whose results have been set    |

A chunk travels as one request frame of the batch lane, or in parts when some of its rows are
under suspicion. The frame's `gateway` is its address, so that a worker can tell whose it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

from bridge.wire.frame import (
    FRAME_BYTES_MAX,
    FRAME_TENSORS_MAX,
    MAGIC,
    WIRE_VERSION,
    Count,
    ForeignWireVersion,
    MalformedFrame,
    Name,
    ResultStatus,
    Tensor,
)

CHUNK_PREFIX = "job:"
CHUNK_ROWS_MAX = 65_536
REASON_CHARS_MAX = 500
# A job that nobody works for any more leaves nothing behind after so long.
JOB_KEPT_MS = 86_400_000

_ADDRESS = re.compile(
    r"job:(?P<job>[0-9a-f]{1,64}):(?P<chunk>\d{1,15}):(?P<start>\d{1,9})-(?P<end>\d{1,9})"
    r":(?P<losses>\d{1,2})"
)
_PREAMBLE = bytes((MAGIC, WIRE_VERSION))

Reason = Annotated[str, Meta(max_length=REASON_CHARS_MAX)]


# A whole chunk goes back to its job after so many workers; a part on trial after another number.
CHUNK_LOSSES_MAX = 2


@dataclass(frozen=True, slots=True)
class ChunkAddress:
    """Rows `start` to `end` of a job's chunk.

    `losses_max`: after so many workers have died or gone silent with it in hand, it goes back to
    its job unscored.
    """

    job: str
    chunk: int
    start: int
    end: int
    losses_max: int

    @property
    def part(self) -> str:
        """The name of these rows among the job's."""
        return f"{self.chunk}:{self.start}-{self.end}"

    @property
    def is_trial(self) -> bool:
        """Whether the job looks among these rows for one that kills workers."""
        return self.losses_max != CHUNK_LOSSES_MAX

    @property
    def rows(self) -> int:
        """How many rows."""
        return self.end - self.start

    def __str__(self) -> str:
        return f"{CHUNK_PREFIX}{self.job}:{self.part}:{self.losses_max}"


def is_chunk(gateway: str) -> bool:
    """Return whether a frame from `gateway` is a job's chunk."""
    return gateway.startswith(CHUNK_PREFIX) and _ADDRESS.fullmatch(gateway) is not None


def chunk_address(gateway: str) -> ChunkAddress | None:
    """Return whose chunk a frame is; None when it is nobody's."""
    found = _ADDRESS.fullmatch(gateway)
    if found is None:
        return None
    return ChunkAddress(
        found["job"],
        int(found["chunk"]),
        int(found["start"]),
        int(found["end"]),
        int(found["losses"]),
    )


def job_key(model_key: str, job: str) -> str:
    """Return the hash of a job's parts that are under way."""
    return f"bb:{{{model_key}}}:job:{job}"


def job_results_key(model_key: str, job: str) -> str:
    """Return the hash of a job's results that have not been fetched."""
    return f"{job_key(model_key, job)}:results"


def job_done_key(model_key: str, job: str) -> str:
    """Return the list that names each part whose result has been set."""
    return f"{job_key(model_key, job)}:done"


class FailedRow(msgspec.Struct, array_like=True, frozen=True):
    """A row of the part, counted from its first, that has no outputs, and why."""

    row: Count
    status: ResultStatus
    reason: Reason


class ChunkResult(msgspec.Struct, array_like=True, frozen=True, tag="chunk"):
    """What became of a part: its outputs, without the failed rows, in order.

    `batch_rows`: how many rows the worker's batches of the model hold now, 0 if it does not say.
    `returned` is not empty when the part comes back unscored, and says why; there are no outputs
    and no failed rows then.
    """

    worker: Name
    rows: Annotated[int, Meta(ge=1, le=CHUNK_ROWS_MAX)]
    failed: Annotated[list[FailedRow], Meta(max_length=CHUNK_ROWS_MAX)]
    tensors: Annotated[list[Tensor], Meta(max_length=FRAME_TENSORS_MAX)]
    returned: Reason = ""
    batch_rows: Count = 0


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(ChunkResult)


def encode_chunk_result(result: ChunkResult) -> bytes:
    """Return the result's bytes."""
    buffer = bytearray(_PREAMBLE)
    _encoder.encode_into(result, buffer, len(_PREAMBLE))
    return bytes(buffer)


def decode_chunk_result(data: bytes) -> ChunkResult:
    """Return the result; its tensors are views of `data`.

    Raises:
        ForeignWireVersion: another version wrote it.
        MalformedFrame: not a chunk's result, or a bound is broken.
    """
    if len(data) > FRAME_BYTES_MAX or data[:1] != _PREAMBLE[:1]:
        raise MalformedFrame("not a chunk's result")
    if data[1:2] != _PREAMBLE[1:]:
        raise ForeignWireVersion(f"this process speaks {WIRE_VERSION}")
    try:
        return _decoder.decode(memoryview(data)[len(_PREAMBLE) :])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedFrame(f"not a chunk's result: {error}") from error
