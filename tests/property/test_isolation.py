"""Any bad rows among any others: exactly their requests fail, within the runs promised."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from bridge.wire.frame import ResultStatus
from tests.unit.workers.taken import Recorded, entry, slices_of, taken
from workers.isolation import run_isolated


@given(
    st.lists(st.integers(1, 3), min_size=1, max_size=40),
    st.sets(st.integers(0, 39)),
    st.integers(1, 4),
)
def test_exactly_the_bad_requests_fail_and_each_other_gets_its_own_rows(
    sizes: list[int], picked: set[int], frames: int
) -> None:
    # The requests lie in several frames, as they do in a real batch.
    asked = [entry(rows) for rows in sizes]
    step = math.ceil(len(asked) / frames)
    groups = [asked[start : start + step] for start in range(0, len(asked), step)]
    slices = [
        piece
        for number, group in enumerate(groups)
        for piece in slices_of(taken(*group, first=number * 1000.0))
    ]
    first_rows = [float(piece.taken.arrays["x"][piece.start, 0]) for piece in slices]
    bad = {first_rows[index] for index in picked if index < len(slices)}
    recorded = Recorded(frozenset(bad))
    runs = list(run_isolated(recorded.model(), slices, lambda _: False))

    ended = [piece for run in runs for piece in run.slices]
    assert [id(piece) for piece in ended] == [id(piece) for piece in slices]
    for run in runs:
        start = 0
        for piece in run.slices:
            rows = piece.taken.arrays["x"][piece.start : piece.end, 0]
            if rows[0] in bad:
                assert run.status is ResultStatus.ROWS_FAILED
                continue
            assert run.status is ResultStatus.OK
            got = run.outputs["y"][start : start + len(rows), 0]
            assert got.tolist() == (rows * 2 + 1).tolist()
            start += len(rows)
    more = len(recorded.runs) - 1
    assert more <= 2 * len(bad) * math.ceil(math.log2(max(2, len(slices))))


@given(st.integers(1, 30), st.sets(st.integers(0, 29)), st.sets(st.integers(0, 200)))
def test_every_slice_ends_once_whenever_deadlines_pass(
    count: int, picked: set[int], late_at: set[int]
) -> None:
    slices = slices_of(taken(*[entry() for _ in range(count)]))
    recorded = Recorded(frozenset(float(index) for index in picked))
    questions = iter(range(10**6))
    runs = run_isolated(recorded.model(), slices, lambda _: next(questions) in late_at)
    ended = [piece.start for run in runs for piece in run.slices]
    assert sorted(ended) == list(range(count))
