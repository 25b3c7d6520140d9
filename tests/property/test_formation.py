"""The longest waits that batch formation promises, under any arrivals."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.scheduling.forecast import shared_frame_rows
from bridge.scheduling.formation import Formation
from bridge.scheduling.forming import Formed, Pace
from bridge.scheduling.lanes import Lane, LaneShares
from tests.unit.scheduling.waiting import FAR_US, Ask, put

FLOOR = 0.2
TARGETS_US = {"quick@1": 4_000, "slow@1": 40_000}
PACES = {
    "quick@1": Pace(8, lambda rows: 100.0 + 10 * rows, TARGETS_US["quick@1"]),
    "slow@1": Pace(4, lambda rows: 1_000.0 + 500 * rows, TARGETS_US["slow@1"]),
}
STEP = st.lists(
    st.tuples(
        st.sampled_from(sorted(PACES)), st.sampled_from(["online", "batch"]), st.integers(1, 6)
    ),
    max_size=6,
)


def most_rows(batch_rows: int) -> int:
    """A batch, with what the frame that filled it brought beyond it."""
    return batch_rows + shared_frame_rows(batch_rows) - 1


class Worker:
    """A formation that is asked for one batch after the other, with what still waits in it."""

    def __init__(self) -> None:
        self.formation: Formation[Ask] = Formation(PACES, LaneShares(floor=FLOOR))
        self.now_us = 0
        self.waiting: dict[Ask, tuple[str, Lane]] = {}
        self._count = 0

    def arrive(self, model: str, lane: Lane, rows: int) -> None:
        """Each a microsecond after the one before it."""
        self.now_us += 1
        self._count += 1
        ask = Ask(f"{model} {lane} {self._count}", rows, self.now_us, self.now_us + FAR_US)
        self.waiting[ask] = (model, lane)
        put(self.formation, ask, model=model, lane=lane)

    def of(self, lane: Lane, model: str | None = None) -> list[Ask]:
        """What waits in a lane, oldest first."""
        return [ask for ask, at in self.waiting.items() if at[1] == lane and model in (None, at[0])]

    def run(self) -> Formed[Ask] | None:
        """Take a batch and let the time of its run pass."""
        formed = self.formation.take(self.now_us, lambda _: False)
        if formed is not None:
            assert formed.expired == []
            self.now_us += int(PACES[formed.model_key].batch_us(formed.rows))
            for ask in formed.run:
                del self.waiting[ask]
        return formed


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(STEP, max_size=60))
def test_no_batch_passes_a_request_by_the_latency_target_of_its_model(
    steps: list[list[tuple[str, Lane, int]]],
) -> None:
    worker = Worker()
    for arrivals in steps:
        for arrival in arrivals:
            worker.arrive(*arrival)
        before = worker.of("online")
        due_us = {ask: ask.enqueued_us + TARGETS_US[worker.waiting[ask][0]] for ask in before}
        formed = worker.run()
        if formed is not None and formed.online_rows:
            first = formed.run[0]
            left = worker.of("online")
            assert [ask.name for ask in left if due_us[ask] <= first.enqueued_us] == []


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(STEP, max_size=60))
def test_the_oldest_job_runs_once_its_cost_is_earned_and_its_models_batch_comes(
    steps: list[list[tuple[str, Lane, int]]],
) -> None:
    worker = Worker()
    oldest, waited_us = None, 0.0
    for arrivals in steps:
        for arrival in arrivals:
            worker.arrive(*arrival)
        jobs = worker.of("batch")
        if not jobs or jobs[0] is not oldest:
            oldest, waited_us = (jobs[0] if jobs else None), 0.0
        if oldest is None:
            worker.run()
            continue
        model = worker.waiting[oldest][0]
        has_mates = bool(worker.of("online", model))
        formed = worker.run()
        assert formed is not None
        is_earned = FLOOR * waited_us >= PACES[model].batch_us(oldest.rows)
        if is_earned and (not has_mates or formed.model_key == model):
            assert oldest in formed.run
        waited_us += PACES[formed.model_key].batch_us(formed.rows)


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(STEP, max_size=60))
def test_everything_that_waits_runs_once_and_no_batch_is_too_large(
    steps: list[list[tuple[str, Lane, int]]],
) -> None:
    worker = Worker()
    arrived = 0
    for arrivals in steps:
        for arrival in arrivals:
            worker.arrive(*arrival)
            arrived += arrival[2]
        formed = worker.run()
        if formed is not None:
            arrived -= formed.rows
            assert (
                formed.rows <= most_rows(PACES[formed.model_key].batch_rows) or len(formed.run) == 1
            )
    while (formed := worker.run()) is not None:
        arrived -= formed.rows
    assert (arrived, worker.waiting, bool(worker.formation)) == (0, {}, False)
