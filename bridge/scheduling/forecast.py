"""When a request that is admitted now will be answered: the queue of one model version.

The gateway sees neither the queue nor the workers. It knows what it has sent and what has come
back, and each result says when its run ended and how many rows the worker runs next; from that
follow the end of the present run and the rows that wait behind it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from bridge.scheduling.overhead import Overhead
from bridge.scheduling.service_time import ServiceTime

# What a worker says of other gateways' rows is believed for so long, and no longer than until they
# are due: then they have been answered.
OTHERS_BELIEVED_S = 1.0
# Weight of the last value in running means.
MEAN_WEIGHT = 0.1
# Where several workers share the frames, a batch consists of so many at least.
FRAMES_PER_BATCH = 8
# Requests due within this share of the latency target of each other are counted together.
GROUPS_PER_TARGET = 16
# A run that should have ended so many full runs ago has ended with its worker, as far as is known.
OVERDUE_RUNS = 2.0


@dataclass(frozen=True, slots=True)
class Capacity:
    """What serves one model version: its workers, their batch size and S(b), its target.

    `batch_rows` is B; `online_rows` of it are for online callers (B less the batch lane's floor
    while that lane has work). `gateways` share it.
    """

    workers: frozenset[str]
    batch_rows: int
    online_rows: int
    service: ServiceTime
    target_s: float
    gateways: int = 1

    @property
    def frame_rows(self) -> int:
        """The most rows that a frame should hold.

        A frame goes to one worker. Of several, each should have a batch in hand and no more, for
        what is beyond it waits there for the run after the next while others have less.
        """
        if len(self.workers) <= 1:
            return self.batch_rows
        return shared_frame_rows(self.batch_rows)

    @property
    def longest_rows(self) -> int:
        """The most rows of a run: a batch, with the rest of the frame that filled it."""
        if len(self.workers) <= 1:
            return self.batch_rows
        return self.batch_rows + self.frame_rows - 1


def shared_frame_rows(batch_rows: int) -> int:
    """Return the rows of a frame where several workers share the frames of a model version."""
    return -(-batch_rows // FRAMES_PER_BATCH)


class DueGroup:
    """Rows in flight that are due from `due_s` to `last_due_s`, wanted by `wanted_by_s` at last."""

    __slots__ = ("due_s", "last_due_s", "rows", "wanted_by_s")

    def __init__(self, due_s: float, wanted_by_s: float) -> None:
        self.due_s = self.last_due_s = due_s
        self.wanted_by_s = wanted_by_s
        self.rows = 0


class _Run:
    """The run that a worker is taken to be in."""

    __slots__ = ("rows", "start_s")

    def __init__(self, start_s: float, rows: int) -> None:
        self.start_s = start_s
        self.rows = rows


class Forecast:
    """One gateway's view of one model version's queue; times are the gateway's monotonic clock."""

    __slots__ = (
        "_all_workers",
        "_groups",
        "_others",
        "_others_at_s",
        "_others_mean",
        "_own_mean",
        "_own_then",
        "_rows_mean",
        "_run_s",
        "_runs",
        "_workers",
        "capacity",
        "own_rows",
    )

    def __init__(self, capacity: Capacity) -> None:
        self.capacity = capacity
        # The longest run; looked up for every request that comes to the door.
        self._run_s = capacity.service.batch_s(capacity.longest_rows)
        # In an order that does not depend on how this process hashes names; and those counted on.
        self._workers = self._all_workers = tuple(sorted(capacity.workers))
        self.own_rows = 0
        self._others = 0
        self._others_at_s = -math.inf
        self._own_then = 0
        self._others_mean = 0.0
        self._own_mean = 0.0
        self._rows_mean = 1.0
        self._runs: dict[str, _Run] = {}
        self._groups: deque[DueGroup] = deque()

    def set_capacity(self, capacity: Capacity) -> None:
        """Say what serves the model version from now on; what gone workers ran, waits again."""
        if capacity.workers != self.capacity.workers:
            for worker in self._runs.keys() - capacity.workers:
                del self._runs[worker]
            self._workers = self._all_workers = tuple(sorted(capacity.workers))
        if capacity is not self.capacity:
            self._run_s = capacity.service.batch_s(capacity.longest_rows)
        self.capacity = capacity

    def rows_in_flight(self, now_s: float) -> int:
        """Return the rows in flight, of all gateways."""
        if now_s - self._others_at_s > min(OTHERS_BELIEVED_S, self.capacity.target_s):
            return self.own_rows * self.capacity.gateways
        grown = self.own_rows - self._own_then
        if grown > 0 and self._others_mean:
            ratio = min(self.capacity.gateways - 1, self._others_mean / max(1.0, self._own_mean))
            return self.own_rows + self._others + math.ceil(grown * ratio)
        return self.own_rows + self._others

    def enter(
        self, now_s: float, rows: int, wanted_by_s: float, half_way_s: float, requests: int = 1
    ) -> DueGroup:
        """Count requests in; return the group to `leave` with. `half_way_s`: the way there."""
        if not self.own_rows:  # so no worker keeps any
            self._workers = self._all_workers
        self.own_rows += rows
        self._rows_mean += MEAN_WEIGHT * (rows / requests - self._rows_mean)
        self._start_idle(now_s, now_s + half_way_s, rows)
        due_s = min(wanted_by_s, now_s + self.capacity.target_s)
        groups = self._groups
        if not groups or due_s - groups[-1].due_s > self.capacity.target_s / GROUPS_PER_TARGET:
            groups.append(DueGroup(due_s, wanted_by_s))
        group = groups[-1]
        group.rows += rows
        group.last_due_s = max(group.last_due_s, due_s)
        group.wanted_by_s = max(group.wanted_by_s, wanted_by_s)
        return group

    def leave(self, group: DueGroup, rows: int) -> None:
        """Count a request out."""
        self.own_rows -= rows
        group.rows -= rows
        while self._groups and not self._groups[0].rows:
            self._groups.popleft()

    def observe_run(self, worker: str, ended_s: float, next_rows: int) -> None:
        """Take in that a worker's run ended, and how many rows it had in hand to run next.

        Call it after the results have left. With nothing in hand it will start with what is on its
        way.
        """
        self._runs.pop(worker, None)
        if worker not in self.capacity.workers:
            return
        if worker not in self._workers:
            self._workers = tuple(sorted((*self._workers, worker)))
        rows = next_rows or max(0, self.own_rows - self.running_rows())
        if rows:
            self._runs[worker] = _Run(ended_s, min(rows, self.capacity.longest_rows))
        if len(self._workers) > 1:
            self._miss_overdue(ended_s)

    def observe_others(self, now_s: float, rows: int) -> None:
        """Take in how many rows other gateways have in flight."""
        self._others_mean += MEAN_WEIGHT * (rows - self._others_mean)
        # Of several workers each has seen some of the others' frames only.
        self._others = max(rows, int(self._others_mean)) if len(self._workers) > 1 else rows
        self._others_at_s = now_s
        self._own_then = self.own_rows
        self._own_mean += MEAN_WEIGHT * (self.own_rows - self._own_mean)

    def forget_runs(self) -> None:
        """Forget what workers do: the queue that said so is gone."""
        self._runs.clear()

    def bound_s(self, now_s: float, rows: int, reserved: int, overhead: Overhead) -> float:
        """Return by when `rows` further rows are answered, `reserved` others going before them.

        Batch j of those that wait starts on the worker that is free j-th, and each takes the
        longest time: later requests may fill the last one.
        """
        ends, run_s, way_s = self._ends(1.0), self._run_s, overhead.typical_s / 2
        behind = -(-(self._waiting(now_s) + rows + reserved) // self._rows_per_run()) - 1
        round_, place = divmod(behind, len(ends))
        start_s = max(ends[place], now_s + way_s) + round_ * run_s
        return start_s + run_s + overhead.worst_s - way_s

    def expected_s(self, now_s: float, rows: int, asked_per_s: float, overhead: Overhead) -> float:
        """Return when `rows` further rows are likely to be answered.

        `asked_per_s` is how many rows a second come to this gateway's door, let in or not.

        Where a worker is free before they arrive, others that wait start without them. Their batch
        holds those who wait then and those who arrive until it starts.
        """
        capacity, service, way_s = self.capacity, self.capacity.service, overhead.typical_s / 2
        waiting, ends, arrives_s = self._waiting(now_s), self._ends(service.typical), now_s + way_s
        while waiting and -math.inf < ends[0] < arrives_s:
            missed = min(waiting, capacity.batch_rows)
            waiting -= missed
            ends[0] += service.typical_s(missed)
            ends.sort()
        behind = -(-(waiting + rows) // capacity.online_rows) - 1
        round_, place = divmod(behind, len(ends))
        start_s = max(ends[place], arrives_s) + round_ * service.typical_s(capacity.batch_rows)
        arriving = asked_per_s * capacity.gateways * max(0.0, start_s - now_s)
        last = waiting + rows - behind * capacity.online_rows + int(arriving)
        # With work in the batch lane every batch is full.
        if last > capacity.batch_rows or capacity.online_rows < capacity.batch_rows:
            last = capacity.batch_rows
        return start_s + service.typical_s(last) + way_s

    def work_s(self, rows: int) -> float:
        """Return the seconds of worker time that so many rows cost, in batches of B."""
        capacity = self.capacity
        full, rest = divmod(rows, capacity.online_rows)
        run_s = full * capacity.service.batch_s(capacity.batch_rows)
        return run_s + (capacity.service.batch_s(rest) if rest else 0.0)

    def load(self, asked_per_s: float, between_s: float) -> float:
        """Return the share of its workers' time that so many rows a second at this door cost.

        They run in batches of what comes within `between_s`, at most B.
        """
        capacity = self.capacity
        per_s = asked_per_s * capacity.gateways
        rows = min(max(1.0, per_s * between_s), float(capacity.batch_rows))
        run_s = capacity.service.fixed_s + capacity.service.per_row_s * rows
        return per_s * run_s / rows / max(1, len(capacity.workers))

    def rest_s(self, now_s: float) -> float:
        """Return how long the run that ends first still lasts; 0 while a worker is free."""
        return max(0.0, self._ends(1.0)[0] - now_s)

    def longest_run_s(self) -> float:
        """Return how long a run of what is in flight can last."""
        rows = min(self.own_rows, self.capacity.batch_rows)
        return self.capacity.service.batch_s(rows) if rows else 0.0

    def groups(self) -> Iterable[DueGroup]:
        """Return the rows in flight by when they are due, in the order of their arrival."""
        return self._groups

    def _rows_per_run(self) -> int:
        """Return how many rows a full batch holds, as it consists of whole requests."""
        online_rows, request_rows = self.capacity.online_rows, round(self._rows_mean)
        if 1 < request_rows <= online_rows:
            return online_rows - online_rows % request_rows
        return online_rows

    def _waiting(self, now_s: float) -> int:
        """Return the rows in flight that no worker runs."""
        return max(0, self.rows_in_flight(now_s) - self.running_rows())

    def running_rows(self) -> int:
        """Return the rows in flight that workers are taken to be running.

        What is beyond `online_rows` came over the batch lane.
        """
        capacity = self.capacity
        spare = capacity.batch_rows - capacity.online_rows
        return sum(max(0, run.rows - spare) for run in self._runs.values())

    def _ends(self, share: float) -> list[float]:
        """Return when each worker is free, the first first; minus infinity for one that is idle.

        `share` of S(b) is how long the present runs are taken to last.
        """
        service, runs = self.capacity.service, self._runs
        if len(self._workers) <= 1:
            return [run.start_s + share * service.batch_s(run.rows) for run in runs.values()] or [
                -math.inf
            ]
        return sorted(
            runs[worker].start_s + share * service.batch_s(runs[worker].rows)
            if worker in runs
            else -math.inf
            for worker in self._workers
        )

    def _miss_overdue(self, now_s: float) -> None:
        """Count no longer on workers that keep rows far beyond the end of their run.

        A dead worker is silent for a second before it is forgotten, and what was let in meanwhile
        for a worker that is not there was late (simulated: up to 74 % of it, now up to 9). It is
        counted on again with its next result, and when nothing is in flight. Where others have
        answered the rows it never had them.
        """
        service, allowed_s = self.capacity.service, OVERDUE_RUNS * self._run_s
        for worker, run in list(self._runs.items()):
            if now_s - run.start_s - service.batch_s(run.rows) > allowed_s:
                has_rows = self.running_rows() <= self.rows_in_flight(now_s)
                del self._runs[worker]
                if has_rows:
                    self._workers = tuple(one for one in self._workers if one != worker)

    def _start_idle(self, now_s: float, arrives_s: float, rows: int) -> None:
        """Note that an idle worker will start with rows sent now; rows of the same turn join."""
        for worker in self._workers:
            run = self._runs.get(worker)
            if run is None:
                self._runs[worker] = _Run(arrives_s, min(rows, self.capacity.batch_rows))
                return
            if run.start_s > now_s:
                run.rows = min(run.rows + rows, self.capacity.batch_rows)
                return
