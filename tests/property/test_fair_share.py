"""What one job or tenant gets of a shared batch lane beside others, whatever they send."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from itertools import combinations, cycle

from hypothesis import given
from hypothesis import strategies as st

from bridge.jobs.fair_share import FairShare

CHUNK_ROWS_MAX = 16
WINDOW_ROWS = 4 * CHUNK_ROWS_MAX

# The tenants' jobs, each with the sizes of its chunks, over and over.
sizes = st.lists(st.integers(1, CHUNK_ROWS_MAX), min_size=1, max_size=4)
tenants = st.lists(st.lists(sizes, min_size=1, max_size=4), min_size=1, max_size=4)
moments = st.integers(0, 200)
equal = st.just([CHUNK_ROWS_MAX])
equal_tenants = st.lists(st.lists(equal, min_size=1, max_size=4), min_size=1, max_size=4)


class Lane:
    """Jobs that never end and always ask, and workers that score one chunk after the other."""

    def __init__(self, share: FairShare) -> None:
        self.share = share
        self.sent = Counter[str]()
        self._sizes: dict[str, Iterator[int]] = {}
        self._asked: dict[str, int] = {}
        self._in_flight: deque[tuple[str, int]] = deque()

    def join(self, job: str, tenant: str, chunks: list[int]) -> None:
        self.share.join(job, tenant)
        self._sizes[job] = cycle(chunks)
        self._ask(job)

    def score_one(self) -> None:
        job, rows = self._in_flight.popleft()
        self._send(self.share.give_back(job, rows))

    def rows_in_flight(self) -> int:
        return sum(rows for _, rows in self._in_flight)

    def _send(self, jobs: list[str]) -> None:
        waiting = deque(jobs)
        while waiting:
            job = waiting.popleft()
            self.sent[job] += self._asked[job]
            self._in_flight.append((job, self._asked[job]))
            self._asked[job] = next(self._sizes[job])
            waiting += self.share.ask(job, self._asked[job])

    def _ask(self, job: str) -> None:
        self._asked[job] = next(self._sizes[job])
        self._send(self.share.ask(job, self._asked[job]))


def filled(given_tenants: list[list[list[int]]]) -> Lane:
    lane = Lane(FairShare(WINDOW_ROWS))
    for number, jobs in enumerate(given_tenants):
        for place, chunks in enumerate(jobs):
            lane.join(f"{number}/{place}", str(number), chunks)
    return lane


@given(given_tenants=tenants, scored=moments)
def test_never_more_than_the_window_is_in_flight(
    given_tenants: list[list[list[int]]], scored: int
) -> None:
    lane = filled(given_tenants)
    for _ in range(scored):
        lane.score_one()
        assert lane.share.rows_in_flight == lane.rows_in_flight() <= WINDOW_ROWS


@given(given_tenants=equal_tenants, before=moments, during=moments)
def test_tenants_that_want_more_get_the_same_but_for_two_chunks(
    given_tenants: list[list[list[int]]], before: int, during: int
) -> None:
    lane = filled(given_tenants)
    for _ in range(before):
        lane.score_one()
    had = lane.sent.copy()
    for _ in range(during):
        lane.score_one()
    rows = Counter[str]()
    for job, total in lane.sent.items():
        rows[job.partition("/")[0]] += total - had[job]
    names = [str(number) for number in range(len(given_tenants))]
    apart = [abs(rows[one] - rows[other]) for one, other in combinations(names, 2)]
    assert max(apart, default=0) <= 2 * CHUNK_ROWS_MAX


@given(jobs=st.lists(equal, min_size=2, max_size=6), before=moments, during=moments)
def test_jobs_of_one_tenant_that_want_more_get_the_same_but_for_two_chunks(
    jobs: list[list[int]], before: int, during: int
) -> None:
    lane = filled([jobs])
    for _ in range(before):
        lane.score_one()
    had = lane.sent.copy()
    for _ in range(during):
        lane.score_one()
    names = [f"0/{place}" for place in range(len(jobs))]
    rows = [lane.sent[name] - had[name] for name in names]
    assert max(rows) - min(rows) <= 2 * CHUNK_ROWS_MAX


@given(given_tenants=tenants, before=moments, chunks=sizes, is_new_tenant=st.booleans())
def test_a_new_jobs_first_chunk_is_sent_after_a_bounded_number_of_rows(
    given_tenants: list[list[list[int]]], before: int, chunks: list[int], is_new_tenant: bool
) -> None:
    lane = filled(given_tenants)
    for _ in range(before):
        lane.score_one()
    tenant_count = len(given_tenants) + is_new_tenant
    job_count = 1 if is_new_tenant else len(given_tenants[0]) + 1
    sent = lane.sent.total()
    lane.join("new", "new" if is_new_tenant else "0", chunks)
    while not lane.sent["new"]:
        lane.score_one()
    between = lane.sent.total() - lane.sent["new"] - sent
    most = tenant_count * (job_count + 2) * CHUNK_ROWS_MAX
    assert between <= most + (tenant_count * job_count - 1) * WINDOW_ROWS


def test_a_job_that_leaves_makes_room_for_the_next() -> None:
    share = FairShare(WINDOW_ROWS)
    share.join("huge", "a")
    share.join("small", "b")
    asked = [share.ask("huge", CHUNK_ROWS_MAX) for _ in range(5)]
    assert (asked, share.ask("small", 1)) == ([["huge"]] * 4 + [[]], [])
    assert share.leave("huge") == ["small"]


def test_a_chunk_larger_than_the_window_goes_alone() -> None:
    share = FairShare(8)
    share.join("wide", "a")
    share.join("small", "b")
    assert (share.ask("wide", 100), share.ask("small", 1)) == (["wide"], [])
    assert share.give_back("wide", 100) == ["small"]
