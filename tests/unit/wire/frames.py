"""One frame of each kind with every field set, for the tests of the wire."""

from __future__ import annotations

from bridge.wire.frame import (
    BatchReport,
    Heartbeat,
    RequestEntry,
    RequestFrame,
    ResultEntry,
    ResultFrame,
    ResultStatus,
    ServedModel,
    ServiceReport,
    Tensor,
)

SERVICE = ServiceReport(fixed_s=0.25, per_row_s=0.5, jitter=0.125, batch_rows=32, online_rows=31)

REQUEST = RequestFrame(
    frame_id=bytes(range(16)),
    gateway="gw",
    lane="online",
    requests=[
        RequestEntry(b"A" * 16, part=0, rows=2, enqueued_us=1_000, deadline_us=2_000),
        RequestEntry(b"B" * 16, part=1, rows=1, enqueued_us=1_001, deadline_us=70_000),
    ],
    tensors=[
        Tensor("x", "INT16", (2,), memoryview(bytes((1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0)))),
        Tensor("word", "BYTES", (), ["a", "é", ""]),
    ],
    in_flight_rows=4,
    overhead_us=2_500,
)

RESULT = ResultFrame(
    worker="w1",
    model_key="m@3",
    results=[
        ResultEntry(b"A" * 16, part=0, status=ResultStatus.OK, rows=2, queue_us=10, batch_us=20),
        ResultEntry(
            b"B" * 16, part=1, status=ResultStatus.ROWS_FAILED, rows=1, queue_us=0, batch_us=300
        ),
    ],
    tensors=[Tensor("y", "FP32", (1,), memoryview(bytes.fromhex("0000803f00000040")))],
    batch=BatchReport(rows=3, run_us=1_500, counted_here=True, ended_us=8_000, waiting_rows=5),
    service=SERVICE,
    others_rows=6,
)

HEARTBEAT = Heartbeat(
    worker="w1",
    leaving=False,
    progress=12,
    stalled_s=0.5,
    reclaimed=2,
    dead_lettered=1,
    models=[ServedModel("m@3", "0123456789abcdef", SERVICE)],
    busy_us=9_000,
    gap_us=70,
)
