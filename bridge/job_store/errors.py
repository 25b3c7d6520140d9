"""Why the job store does not do what it is asked.

JobStoreError
├── UnknownJob       there is no such job, or it has expired
├── StorageFull      the stored bytes would pass the cap, or the server's own memory bound
├── TooManyJobs      the tenant has as many unfinished jobs as it may
├── UploadLost       an upload that was abandoned, cancelled, or silent for too long
├── ClaimLost        another runner holds the job now, or it is no longer running
│   └── JobCancelled somebody cancelled it
├── WrongState       the job's state does not allow it
├── NotDurable       the server keeps no append-only file, so nothing it says is a promise
└── StoreAway        the server does not answer; what was asked may or may not have happened
"""

from __future__ import annotations


class JobStoreError(Exception):
    """The message is for a person, and holds nothing of a job's content."""


class UnknownJob(JobStoreError):
    """There is no such job, or it has expired."""


class StorageFull(JobStoreError):
    """The bytes that jobs may occupy are taken; nothing more was stored."""


class TooManyJobs(JobStoreError):
    """The tenant has too many unfinished jobs."""


class UploadLost(JobStoreError):
    """The upload is no longer there to be written to."""


class ClaimLost(JobStoreError):
    """The claim is worth nothing any more: nothing was written."""


class JobCancelled(ClaimLost):
    """The job was cancelled."""


class WrongState(JobStoreError):
    """The job's state does not allow it."""


class NotDurable(JobStoreError):
    """The server cannot promise to keep what it was given; the message names the setting."""


class StoreAway(JobStoreError):
    """The server does not answer, or refuses for a reason of its own."""
