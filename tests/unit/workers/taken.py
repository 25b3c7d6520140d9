"""Frames as a worker holds them, and models made of plain functions, for the tests of workers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bridge.contract.model import ModelContract, TensorSpec
from bridge.scheduling.forming import Pace
from bridge.wire.block import from_block, to_block
from bridge.wire.frame import Lane, RequestEntry, RequestFrame
from workers.hand import Slice, TakenFrame
from workers.model import Model
from workers.pipeline import Pipeline

Array = np.ndarray[Any, np.dtype[Any]]
Arrays = Mapping[str, Array]

FAR_US = 3_000_000_000
LEASE_S = 2.0
_ids = itertools.count(1)


def request_id(number: int) -> bytes:
    return number.to_bytes(16, "big")


def entry(
    rows: int = 1, *, deadline_us: int = FAR_US, part: int = 0, enqueued_us: int = 0
) -> RequestEntry:
    """A request with an id of its own."""
    return RequestEntry(request_id(next(_ids)), part, rows, enqueued_us, deadline_us)


def taken(
    *entries: RequestEntry,
    model_key: str = "m@1",
    gateway: str = "gw",
    lane: Lane = "online",
    width: int = 1,
    renewed_s: float = 0.0,
    runs_alone: bool = False,
    first: float = 0.0,
) -> TakenFrame:
    """A frame of FP64 rows `first`, `first + 1`, … repeated over `width`."""
    rows = sum(item.rows for item in entries)
    x = np.repeat(np.arange(first, first + rows).reshape(rows, 1), width, axis=1)
    block = to_block("x", [x])
    frame = RequestFrame(request_id(next(_ids)), gateway, lane, list(entries), [block])
    return TakenFrame(
        model_key=model_key,
        entry_id=b"%d-0" % next(_ids),
        frame=frame,
        arrays={"x": from_block(block, rows)},
        taken_us=0,
        renewed_s=renewed_s,
        runs_alone=runs_alone,
    )


def slices_of(frame: TakenFrame) -> list[Slice]:
    """The frame's requests, each with its first row."""
    starts = itertools.accumulate((item.rows for item in frame.frame.requests), initial=0)
    return [
        Slice(frame, item, start) for item, start in zip(frame.frame.requests, starts, strict=False)
    ]


def pace(batch_rows: int, row_us: float = 0.0, target_us: float = math.inf) -> Pace:
    return Pace(batch_rows, lambda rows: rows * row_us, target_us)


@dataclass
class Recorded:
    """A model y = 2 x + 1 that fails on some rows, with the first column of every run."""

    bad: frozenset[float] = frozenset()
    runs: list[list[float]] = field(default_factory=list)

    def predict(self, inputs: Arrays) -> Arrays:
        x = inputs["x"]
        self.runs.append(x[:, 0].tolist())
        if not self.bad.isdisjoint(self.runs[-1]):
            raise ValueError("a bad row")
        return {"y": x * 2 + 1}

    def model(self) -> Model:
        return predicting(self.predict)


def predicting(predict: Callable[[Arrays], Any], datatype: str = "FP64", *row_shape: int) -> Model:
    """A model of one function, with the output y of a datatype."""
    spec = TensorSpec(name="x", datatype="FP64", shape=(-1, 1))
    output = TensorSpec(name="y", datatype=datatype, shape=(-1, *(row_shape or (1,))))
    contract = ModelContract(
        name="m", version="1", platform="python", inputs=(spec,), outputs=(output,)
    )
    return Model(contract, None, Pipeline(predict=predict))
