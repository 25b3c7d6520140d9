"""Why a job does not go on.

JobError
├── BadInput         the file, its columns or the settings do not fit the model
│   └── RunnersLost  too many runners have died over the job
├── OtherJob         what is beside the output belongs to another job
├── TooManyRejected  more rows were rejected than the caller accepts
├── QueueAway        the queue has not answered for long; the same job can go on later
│   └── NoWorker     no worker has served the model for long
├── BadResult        a worker's result does not add up
├── OutputFailed     the output cannot be written
└── Stopped          somebody asked it to stop; the same job can go on later
"""

from __future__ import annotations


class JobError(Exception):
    """The job has not finished; the message says why, for a person."""


class BadInput(JobError):
    """The file, its columns or the settings do not fit the model."""


class RunnersLost(BadInput):
    """Whoever works on the job dies, and so would another one."""


class OtherJob(JobError):
    """The progress file beside the output belongs to another job."""


class TooManyRejected(JobError):
    """More rows were rejected than `--max-rejected`."""


class QueueAway(JobError):
    """The queue has been away for too long."""


class NoWorker(QueueAway):
    """Every worker of the model has been away for too long."""


class BadResult(JobError):
    """A result that is not what was asked for."""


class OutputFailed(JobError):
    """The output or the progress file cannot be written."""


class Stopped(JobError):
    """Stopped by the caller."""
