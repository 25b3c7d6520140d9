"""How the end of a job is told to its owner."""

from __future__ import annotations

from bridge.jobs.errors import JobError, Stopped
from bridge.jobs.running_job import CODES


def kinds(kind: type[JobError]) -> set[type[JobError]]:
    """An error's kind and those that are special cases of it."""
    return {kind}.union(*(kinds(special) for special in kind.__subclasses__()))


def test_every_reason_why_a_job_fails_has_a_code_of_its_own() -> None:
    assert set(CODES) == kinds(JobError) - {JobError, Stopped}
    assert len(set(CODES.values())) == len(CODES)
