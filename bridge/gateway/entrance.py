"""Where a gateway lets requests in, or says when to come back."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bridge.gateway.catalog import Catalog, ModelVersion
from bridge.gateway.dialects.call import BATCH_PRIORITY, InferCall
from bridge.gateway.problem import batch_lane_full, no_worker, overloaded, queue_unavailable
from bridge.scheduling.admission import Admission, Permit, Refusal
from bridge.scheduling.ask import Ask, Priority
from bridge.scheduling.batch_room import BatchPermit, BatchRoom
from bridge.wire.block import block_bytes

# By `parameters.priority`; the last stands for all above.
_PRIORITIES = (Priority.DEFAULT, Priority.CRITICAL, Priority.DEFAULT, Priority.SHEDDABLE)
# A batch-lane request without a timeout of its own: the lane may have a fiftieth of the run time
# only, and then some thousand rows of a slow model take minutes.
BATCH_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class Admitted:
    """A call that was let in: only this can be launched."""

    version: ModelVersion
    call: InferCall
    permit: Permit | BatchPermit
    deadline_s: float


class Entrance:
    """Asks admission about each request, with what the catalog knows of those who would run it."""

    def __init__(
        self,
        catalog: Catalog,
        admission: Admission,
        is_queue_up: Callable[[], bool],
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalog = catalog
        self._admission = admission
        self._batch_room = BatchRoom()
        self._is_queue_up = is_queue_up
        self._now_s = now_s

    def check_open(self, version: ModelVersion) -> None:
        """Refuse early, before a body is read, what cannot be taken whatever it holds.

        Raises:
            Problem: `queue_unavailable` or `no_worker`. While draining, what still comes in over
                open connections is served: refusing it would fail a rolling restart's callers.
        """
        if not self._is_queue_up():
            raise queue_unavailable()
        if self._catalog.capacity(version.contract.key, self._now_s()) is None:
            raise no_worker()

    def admit(self, version: ModelVersion, call: InferCall, received_s: float) -> Admitted:
        """Let a call in or refuse it.

        A call without a timeout of its own is judged by the model's latency target and ends at
        the model's timeout; one with its own is judged by it and ends at it. `received_s` is the
        loop's time at which the request arrived. A batch-lane call has no target: see `BatchRoom`.

        Raises:
            Problem: `overloaded` or `batch_lane_full` with an honest Retry-After, or as
                `check_open`.
        """
        now_s = self._asked(version)
        if call.priority == BATCH_PRIORITY:
            return self._admit_batch(version, call, now_s, received_s)
        ask = self._ask(version, call.rows, call.timeout_s, call.priority, received_s)
        decision = self._admission.admit(now_s, ask)
        if isinstance(decision, Refusal):
            raise overloaded(decision.retry_after_s)
        return Admitted(version, call, decision, ends_s(version, call.timeout_s, received_s))

    def _admit_batch(
        self, version: ModelVersion, call: InferCall, now_s: float, received_s: float
    ) -> Admitted:
        size = sum(map(block_bytes, call.tensors.values()))
        decision = self._batch_room.enter(now_s, call.rows, size)
        if isinstance(decision, Refusal):
            raise batch_lane_full(decision.retry_after_s)
        timeout_s = BATCH_TIMEOUT_S if call.timeout_s is None else call.timeout_s
        return Admitted(version, call, decision, received_s + timeout_s)

    def admit_together(
        self,
        version: ModelVersion,
        sizes: Sequence[int],
        timeout_s: float | None,
        priority: int,
        received_s: float,
    ) -> tuple[Permit | None, list[float]]:
        """Let in the first of several requests that arrived at once, as many as fit.

        `sizes` are their rows; `timeout_s`, `priority` and `received_s` are the same for all, as
        in `admit`. Returns the permit of those let in, and after how many seconds each of the
        others may come back.

        Raises:
            Problem: as `check_open`.
        """
        now_s = self._asked(version)
        ask = self._ask(version, sizes[0], timeout_s, priority, received_s)
        permit, refusals = self._admission.admit_together(now_s, ask, sizes)
        return permit, [refusal.retry_after_s for refusal in refusals]

    def refused_early(
        self,
        version: ModelVersion,
        requests: int,
        timeout_s: float | None,
        priority: int,
        received_s: float,
    ) -> list[float]:
        """Return after how many seconds the last of so many requests may come back; [] for none.

        For requests whose body was not read: one row is the least there can be. What is not
        refused here is judged again by `admit`.
        """
        now_s = self._now_s()
        if not self._knows_capacity(version, now_s):
            return []
        ask = self._ask(version, 1, timeout_s, priority, received_s)
        refusals = self._admission.refuse_early(now_s, ask, requests)
        return [refusal.retry_after_s for refusal in refusals]

    def _asked(self, version: ModelVersion) -> float:
        """Return the present time, when a version can be asked."""
        if not self._is_queue_up():
            raise queue_unavailable()
        now_s = self._now_s()
        if not self._knows_capacity(version, now_s):
            raise no_worker()
        return now_s

    def _ask(
        self,
        version: ModelVersion,
        rows: int,
        timeout_s: float | None,
        priority: int,
        received_s: float,
    ) -> Ask:
        target_s = version.contract.serving.latency_target_s if timeout_s is None else timeout_s
        return Ask(version.contract.key, rows, received_s + target_s, priority_of(priority))

    def _knows_capacity(self, version: ModelVersion, now_s: float) -> bool:
        """Tell admission what serves the version; return False if nothing does."""
        capacity = self._catalog.capacity(version.contract.key, now_s)
        if capacity is None:
            return False
        self._admission.set_capacity(version.contract.key, capacity)
        return True


def ends_s(version: ModelVersion, timeout_s: float | None, received_s: float) -> float:
    """Return when a request ends: at its own timeout, at the model's where it has none."""
    return received_s + (version.contract.serving.timeout_s if timeout_s is None else timeout_s)


def priority_of(parameter: int) -> Priority:
    """Return what `parameters.priority` means: 0 is the default, 1 is the highest (Triton).

    2 is the default as well, and everything above is sheddable.
    """
    return _PRIORITIES[min(parameter, len(_PRIORITIES) - 1)]
