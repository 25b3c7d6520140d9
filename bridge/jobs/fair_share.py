"""Who may send next, when several jobs share the batch lane of a model: a pure policy.

Rows in flight are what is shared. While there is room everybody may send; otherwise jobs ask for
their next chunk, and room that becomes free goes to the tenant that has had the fewest rows, and
within it to the job that has. That is start-time fair queueing (Goyal, Vin and Cheng 1996), twice.
A job asks for one chunk at a time, and others may be given room between its chunk and its next
question; so it may lag behind by up to a window and catches up, but no more: who was silent for
long has no claim on the past.

Bounds, with L the rows of the largest chunk and W the window: over any time in which two tenants
(or two jobs of one tenant) always ask for chunks of equal size, what one has had beyond the other
is at most 2 L rows; whose chunks are smaller may get less. From when a job asks for its first
chunk, among T tenants of which its own has J jobs, at most T (J + 2) L + (T J - 1) W rows are sent
before it, besides those that are in flight already.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass(slots=True)
class _Turns(Generic[K]):
    """Start-time fair queueing among some: whoever has the smallest start tag is next."""

    lag_max: int
    now: int = 0
    _had: dict[K, int] = field(default_factory=dict)

    def first(self, wanting: list[K]) -> K:
        """Return who is next: the one that was given least; the first in the list among equals."""
        return min(wanting, key=self._start)

    def give(self, who: K, rows: int) -> None:
        """Count rows that somebody was given."""
        start = self._start(who)
        self.now = max(self.now, start)
        self._had[who] = start + rows

    def join(self, who: K) -> None:
        """Know somebody who wants something from now on."""
        self._had[who] = self.now

    def forget(self, who: K) -> None:
        """Somebody has left."""
        self._had.pop(who, None)

    def _start(self, who: K) -> int:
        return max(self.now - self.lag_max, self._had[who])


@dataclass(slots=True)
class _Tenant:
    jobs: _Turns[str]
    members: set[str] = field(default_factory=set)


class FairShare:
    """The rows in flight of one model's batch lane, shared by jobs of tenants."""

    def __init__(self, rows_max: int) -> None:
        """`rows_max`: how many rows may be in flight together; one chunk always may."""
        self.rows_max = rows_max
        self.rows_in_flight = 0
        self._tenants: _Turns[str] = _Turns(rows_max)
        self._of: dict[str, _Tenant] = {}
        self._tenant_of: dict[str, str] = {}
        self._in_flight: dict[str, int] = {}
        self._asked: dict[str, int] = {}

    def join(self, job: str, tenant: str) -> None:
        """Take in a job."""
        mates = self._of.get(tenant)
        if mates is None:
            mates = self._of[tenant] = _Tenant(_Turns(self.rows_max))
            self._tenants.join(tenant)
        mates.members.add(job)
        mates.jobs.join(job)
        self._tenant_of[job] = tenant
        self._in_flight[job] = 0

    def leave(self, job: str) -> list[str]:
        """Let a job go with all that it has in flight; return the jobs that may send now."""
        tenant = self._tenant_of.pop(job)
        mates = self._of[tenant]
        mates.members.discard(job)
        mates.jobs.forget(job)
        if not mates.members:
            del self._of[tenant]
            self._tenants.forget(tenant)
        self._asked.pop(job, None)
        self.rows_in_flight -= self._in_flight.pop(job)
        return self._grant()

    def ask(self, job: str, rows: int) -> list[str]:
        """Ask to send a chunk; return the jobs that may send now, this one among them or not.

        If not, a later call of anybody returns it, once. Who may send has the rows in flight.
        """
        self._asked[job] = rows
        return self._grant()

    def give_back(self, job: str, rows: int) -> list[str]:
        """Note that so many rows of a job have their results; return the jobs that may send."""
        self._in_flight[job] -= rows
        self.rows_in_flight -= rows
        return self._grant()

    def _grant(self) -> list[str]:
        granted = []
        while self._asked:
            job = self._next()
            rows = self._asked[job]
            if self.rows_in_flight and self.rows_in_flight + rows > self.rows_max:
                break
            del self._asked[job]
            tenant = self._tenant_of[job]
            self._tenants.give(tenant, rows)
            self._of[tenant].jobs.give(job, rows)
            self._in_flight[job] += rows
            self.rows_in_flight += rows
            granted.append(job)
        return granted

    def _next(self) -> str:
        asking = dict.fromkeys(self._tenant_of[job] for job in self._asked)
        tenant = self._tenants.first(list(asking))
        mates = self._of[tenant]
        return mates.jobs.first([job for job in self._asked if job in mates.members])
