"""Whatever comes in any order leaves once: run, expired, cancelled, or with its lease."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bridge.scheduling.lanes import LaneShares, ModelLane
from bridge.wire.frame import Lane, RequestEntry
from tests.unit.workers.taken import LEASE_S, entry, pace, taken
from workers.hand import Hand, Slice, TakenFrame
from workers.stream import streams_of

MODELS = ("a@1", "b@1")
BATCH_ROWS = {"a@1": 4, "b@1": 2}
START_US = 10_000_000


class HandMachine(RuleBasedStateMachine):
    """A hand beside a list of what must still be in it."""

    def __init__(self) -> None:
        super().__init__()
        paces = {key: pace(rows, 1000.0, 20_000) for key, rows in BATCH_ROWS.items()}
        # A floor high enough that the batch lane goes by right within the steps of one run.
        self.hand = Hand(paces, LEASE_S, LaneShares(fill=0.75, floor=0.3))
        self.now_s = 0.0
        self.waiting: list[tuple[TakenFrame, RequestEntry]] = []
        self.running: list[Slice] = []
        self.left_open: dict[TakenFrame, int] = {}
        self.cancelled: set[bytes] = set()

    @property
    def now_us(self) -> int:
        return START_US + int(self.now_s * 1e6)

    @rule(
        model=st.sampled_from(("a@1", "a@1", "b@1")),
        lane=st.sampled_from(("online", "online", "batch")),
        width=st.sampled_from([1, 1, 1, 2]),
        sizes=st.lists(st.sampled_from([1, 1, 2, 6]), min_size=1, max_size=4),
        left_s=st.sampled_from([-1.0, 1.0, 1000.0, 1000.0]),
        runs_alone=st.booleans(),
    )
    def put(
        self,
        model: str,
        lane: Lane,
        width: int,
        sizes: list[int],
        left_s: float,
        runs_alone: bool,
    ) -> None:
        deadline_us = self.now_us + int(left_s * 1e6)
        asked = [entry(rows, deadline_us=deadline_us, enqueued_us=self.now_us) for rows in sizes]
        frame = taken(
            *asked,
            model_key=model,
            lane=lane,
            width=width,
            renewed_s=self.now_s,
            runs_alone=runs_alone,
        )
        self.hand.put([frame])
        self.waiting += [(frame, item) for item in asked]
        self.left_open[frame] = len(asked)

    @rule(gap_s=st.sampled_from([0.001, 0.5, LEASE_S]))
    def wait(self, gap_s: float) -> None:
        self.now_s += gap_s

    @rule()
    def renew(self) -> None:
        expected = {
            frame for frame in self.left_open if self.now_s - frame.renewed_s < LEASE_S
        } - self.dropped()
        assert set(self.hand.frames_to_renew(self.now_s)) == expected

    def dropped(self) -> set[TakenFrame]:
        """Frames whose lease had lapsed when one of their requests came up."""
        held = {frame for frame, _ in self.waiting} | {piece.taken for piece in self.running}
        return {frame for frame in self.left_open if frame not in held}

    @rule(pick=st.integers(0, 100))
    @precondition(lambda self: self.waiting)
    def cancel(self, pick: int) -> None:
        _, item = self.waiting[pick % len(self.waiting)]
        self.hand.cancel([item.request_id])
        self.cancelled.add(item.request_id)

    @rule()
    @precondition(lambda self: self.waiting)
    def take(self) -> None:
        before = list(self.waiting)
        batch = self.hand.take(lambda: (self.now_s, self.now_us))
        assert batch is not None
        ran = [(piece.taken, piece.entry) for piece in batch.slices]
        unrun = [(piece.taken, piece.entry) for piece in batch.expired + batch.cancelled]
        # What it gives out was there, and it gives nothing out twice.
        assert len({id(item) for _, item in ran + unrun}) == len(ran + unrun)
        assert all(pair in before for pair in ran + unrun)
        assert all(frame.model_key == batch.model_key for frame, _ in ran)
        assert len({frame.signature for frame, _ in ran}) <= 1
        assert batch.rows <= BATCH_ROWS[batch.model_key] or len(ran) == 1
        assert len(ran) <= 1 or not any(frame.runs_alone for frame, _ in ran)
        assert all(self.now_s - frame.renewed_s < LEASE_S for frame, _ in ran + unrun)
        online = [(frame, item) for frame, item in ran if frame.frame.lane == "online"]
        guests = [(frame, item) for frame, item in ran if frame.frame.lane == "batch"]
        # Online first, and each lane in the order in which it came.
        assert ran == online + guests
        assert online == [pair for pair in before if pair in online]
        assert guests == [pair for pair in before if pair in guests]
        assert all(item.request_id not in self.cancelled for _, item in ran)
        assert all(item.deadline_us > self.now_us for _, item in online)
        assert all(piece.entry.request_id in self.cancelled for piece in batch.cancelled)
        assert all(piece.taken.frame.lane == "online" for piece in batch.expired)
        self.forget(ran + unrun)
        # The batch lane runs by itself only where no online request is, or one of them by right.
        assert online or len(guests) <= 1 or not self.waits("online")
        self.running += batch.slices + batch.expired + batch.cancelled

    def waits(self, lane: Lane) -> bool:
        return any(frame.frame.lane == lane for frame, _ in self.waiting)

    def forget(self, given: list[tuple[TakenFrame, RequestEntry]]) -> None:
        """Strike out what was given out, and what was before it and had lost its lease."""
        keep = []
        queues = self.remaining()
        for frame, item in self.waiting:
            if (frame, item) in given:
                continue
            if id(item) in queues:
                keep.append((frame, item))
            else:
                assert self.now_s - frame.renewed_s >= LEASE_S, "lost"
        self.waiting = keep

    def remaining(self) -> set[int]:
        kinds = self.hand._formation._kinds.values()
        return {id(piece.entry) for kind in kinds for piece in (*kind.online, *kind.batch)}

    @rule(pick=st.integers(0, 100))
    @precondition(lambda self: self.running)
    def finish(self, pick: int) -> None:
        piece = self.running.pop(pick % len(self.running))
        self.left_open[piece.taken] -= 1
        is_last = not self.left_open[piece.taken]
        assert self.hand.finish([piece]) == ([piece.taken] if is_last else [])
        if is_last:
            del self.left_open[piece.taken]

    @invariant()
    def wants_what_a_batch_lacks(self) -> None:
        lacking = {lane: BATCH_ROWS[lane.model_key] for lane in streams_of(MODELS)}
        for frame, item in self.waiting:
            lacking[frame.stream] -= item.rows
        wanted = {lane: rows for lane, rows in lacking.items() if rows > 0}
        for key in MODELS:
            if ModelLane(key, "online") not in wanted:
                wanted.pop(ModelLane(key, "batch"), None)
        assert self.hand.rows_wanted() == wanted


HandMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=30)
TestHand = HandMachine.TestCase
