"""Stream entries to frames in hand, and junk to dead letters: the door of a worker."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

import structlog

from bridge.contract.model import TensorSpec
from bridge.scheduling.lanes import ModelLane
from bridge.wire import keys
from bridge.wire.block import from_block
from bridge.wire.chunk import chunk_address
from bridge.wire.clock import ServerClock
from bridge.wire.frame import MalformedFrame, RequestFrame, Tensor, WireError, decode_request
from workers.hand import TakenFrame
from workers.stream import stream_key
from workers.tally import Tally
from workers.writer import DeadFrame, Finished, Writer

log = structlog.get_logger(__name__)


class FrameTaker:
    """Turns stream entries into frames in hand, and junk into dead letters."""

    def __init__(
        self,
        inputs: Mapping[str, tuple[TensorSpec, ...]],
        writer: Writer,
        tally: Tally,
        clock: ServerClock,
    ) -> None:
        """`inputs`: what each model version takes, in order."""
        self._inputs = inputs
        self._writer = writer
        self._tally = tally
        self._clock = clock

    @property
    def model_keys(self) -> list[str]:
        """The model versions served."""
        return list(self._inputs)

    def take(
        self,
        stream: ModelLane,
        entries: Iterable[tuple[bytes, Mapping[bytes, bytes] | None]],
        runs_alone: bool = False,
    ) -> list[TakenFrame]:
        """Return the frames among stream entries; the rest is dead-lettered, once."""
        now_s = time.monotonic()
        taken = []
        for entry_id, fields in entries:
            if fields is None:
                continue  # deleted meanwhile: whoever had it has finished it
            data = fields.get(keys.FRAME_FIELD, b"")
            try:
                taken.append(self._frame(stream, entry_id, data, now_s, runs_alone))
            except WireError as error:
                self.bury(stream, entry_id, data, str(error))
        return taken

    def bury(self, stream: ModelLane, entry_id: bytes, data: bytes, reason: str) -> None:
        """Give an entry up: to the dead letters, then acknowledged."""
        log.warning(
            "dead_letter",
            model=stream.model_key,
            lane=stream.lane,
            entry=entry_id.decode(),
            reason=reason[:200],
        )
        self._tally.add_dead_letter()
        dead = DeadFrame(stream.model_key, entry_id, data, reason[:500])
        self._writer.put(Finished([], [(stream_key(stream), entry_id)], dead))

    def _frame(
        self, stream: ModelLane, entry_id: bytes, data: bytes, now_s: float, runs_alone: bool
    ) -> TakenFrame:
        frame = decode_request(data)
        if frame.lane != stream.lane:
            raise MalformedFrame(f"a frame of the lane {frame.lane}")
        return TakenFrame(
            model_key=stream.model_key,
            entry_id=entry_id,
            frame=frame,
            arrays=self._arrays(stream.model_key, frame),
            taken_us=self._clock.server_us(now_s),
            renewed_s=now_s,
            runs_alone=runs_alone or _is_on_trial(frame.gateway),
        )

    def _arrays(self, model_key: str, frame: RequestFrame) -> dict[str, Any]:
        specs = self._inputs[model_key]
        # Datatypes and shapes too: joined with others of its batch, a block of another datatype
        # would turn all their rows into that datatype.
        if len(frame.tensors) != len(specs) or not all(map(_fits, frame.tensors, specs)):
            raise MalformedFrame("the frame's tensors are not the model's inputs")
        rows = sum(entry.rows for entry in frame.requests)
        return {tensor.name: from_block(tensor, rows) for tensor in frame.tensors}


def _is_on_trial(gateway: str) -> bool:
    """Return whether a job looks for the row that kills workers: no caller's row joins it."""
    address = chunk_address(gateway)
    return address is not None and address.is_trial


def _fits(tensor: Tensor, spec: TensorSpec) -> bool:
    """Whether a block is of the kind that the model takes: name, datatype, shape of a row."""
    if (tensor.name, tensor.datatype) != (spec.name, spec.datatype):
        return False
    wanted = spec.row_shape
    return len(wanted) == len(tensor.row_shape) and all(
        size in (-1, given) for size, given in zip(wanted, tensor.row_shape, strict=True)
    )
