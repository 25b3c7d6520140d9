"""Why a request is not answered with a prediction, and what HTTP says about it.

Problem
└── carries a `ProblemCode`; `STATUS` is the one table from codes to HTTP statuses

InvalidInput (bridge.contract) and ResultStatus (bridge.wire) are translated here, once.
"""

from __future__ import annotations

from enum import StrEnum

from bridge.contract.invalid import InvalidCode, InvalidInput
from bridge.wire.frame import ResultStatus

RETRY_SOON_S = 1.0


class ProblemCode(StrEnum):
    """The `code` of an error body that does not come from the caller's input."""

    UNKNOWN_MODEL = "unknown_model"
    UNKNOWN_PATH = "unknown_path"
    UNKNOWN_JOB = "unknown_job"
    JOBS_OFF = "jobs_off"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    MEDIA_TYPE = "media_type"
    ENCODING = "encoding"
    TOO_LARGE = "too_large"
    BODY_TIMEOUT = "timeout"
    BAD_FRAMING = "bad_framing"
    HEADER = "header"
    EXPECTATION = "expectation_failed"
    OVERLOADED = "overloaded"
    BATCH_LANE_FULL = "batch_lane_full"
    TOO_MANY_JOBS = "too_many_jobs"
    TOO_MANY_UPLOADS = "too_many_uploads"
    STORAGE_FULL = "storage_full"
    NOT_FINISHED = "not_finished"
    JOB_FAILED = "job_failed"
    JOB_CANCELLED = "job_cancelled"
    JOB_STATE = "job_state"
    KEY_IN_USE = "idempotency_key_in_use"
    KEY_REUSED = "idempotency_key_reused"
    RANGE = "range"
    NO_WORKER = "no_worker"
    QUEUE_UNAVAILABLE = "queue_unavailable"
    EXPIRED = "deadline_exceeded"
    ROWS_FAILED = "rows_failed"
    MODEL_FAILED = "model_failed"
    BAD_OUTPUT = "bad_output"
    BAD_RESULT = "bad_result"
    INTERNAL = "internal"


STATUS: dict[ProblemCode, int] = {
    ProblemCode.UNKNOWN_MODEL: 404,
    ProblemCode.UNKNOWN_PATH: 404,
    ProblemCode.UNKNOWN_JOB: 404,
    ProblemCode.JOBS_OFF: 404,
    ProblemCode.METHOD_NOT_ALLOWED: 405,
    ProblemCode.MEDIA_TYPE: 415,
    ProblemCode.ENCODING: 415,
    ProblemCode.TOO_LARGE: 413,
    ProblemCode.BODY_TIMEOUT: 408,
    ProblemCode.BAD_FRAMING: 400,
    ProblemCode.HEADER: 400,
    ProblemCode.EXPECTATION: 417,
    ProblemCode.OVERLOADED: 429,
    ProblemCode.BATCH_LANE_FULL: 429,
    ProblemCode.TOO_MANY_JOBS: 429,
    ProblemCode.TOO_MANY_UPLOADS: 429,
    ProblemCode.STORAGE_FULL: 507,
    ProblemCode.NOT_FINISHED: 409,
    ProblemCode.JOB_FAILED: 409,
    ProblemCode.JOB_CANCELLED: 409,
    ProblemCode.JOB_STATE: 409,
    ProblemCode.KEY_IN_USE: 409,
    ProblemCode.KEY_REUSED: 422,
    ProblemCode.RANGE: 416,
    ProblemCode.NO_WORKER: 503,
    ProblemCode.QUEUE_UNAVAILABLE: 503,
    ProblemCode.EXPIRED: 504,
    ProblemCode.ROWS_FAILED: 422,
    ProblemCode.MODEL_FAILED: 500,
    ProblemCode.BAD_OUTPUT: 500,
    ProblemCode.BAD_RESULT: 500,
    ProblemCode.INTERNAL: 500,
}

_INVALID_STATUS = {
    InvalidCode.TOO_LARGE: 413,
    InvalidCode.TOO_MANY_ROWS: 413,
    InvalidCode.MEDIA_TYPE: 415,
}
_INVALID_STATUS_OTHERWISE = 400


class Problem(Exception):
    """A request that ends without a prediction; safe to show to the caller as it is."""

    def __init__(
        self,
        code: ProblemCode,
        message: str,
        *,
        retry_after_s: float | None = None,
        allow: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s
        self.allow = allow

    @property
    def status(self) -> int:
        """The HTTP status."""
        return STATUS[self.code]


def invalid_status(error: InvalidInput) -> int:
    """Return the HTTP status of an input that the contract does not accept."""
    return _INVALID_STATUS.get(error.code, _INVALID_STATUS_OTHERWISE)


def overloaded(retry_after_s: float) -> Problem:
    """Return the refusal of a request that could not be answered in time."""
    return Problem(
        ProblemCode.OVERLOADED,
        "the request could not be answered in time; nothing was started, come back later",
        retry_after_s=retry_after_s,
    )


def batch_lane_full(retry_after_s: float) -> Problem:
    """Return the refusal of a batch-lane request while too many rows of that lane are in flight."""
    return Problem(
        ProblemCode.BATCH_LANE_FULL,
        "the batch lane is full; nothing was started, come back later",
        retry_after_s=retry_after_s,
    )


def queue_unavailable() -> Problem:
    """Return the refusal of a request while the queue cannot be reached or written."""
    return Problem(
        ProblemCode.QUEUE_UNAVAILABLE, "the queue is not available", retry_after_s=RETRY_SOON_S
    )


def no_worker() -> Problem:
    """Return the refusal of a request for a model that no live worker serves."""
    return Problem(
        ProblemCode.NO_WORKER, "no worker serves this model now", retry_after_s=RETRY_SOON_S
    )


def expired() -> Problem:
    """Return the answer to an accepted request whose deadline has passed."""
    return Problem(ProblemCode.EXPIRED, "the request was not answered before its deadline")


def bad_result() -> Problem:
    """Return the answer to a request whose result does not fit it."""
    return Problem(ProblemCode.BAD_RESULT, "the result that came back does not fit the request")


_OF_RESULT: dict[ResultStatus, tuple[ProblemCode, str]] = {
    ResultStatus.EXPIRED: (
        ProblemCode.EXPIRED,
        "the request was not answered before its deadline",
    ),
    ResultStatus.ROWS_FAILED: (
        ProblemCode.ROWS_FAILED,
        "the model failed on the rows of this request, while it answers others",
    ),
    ResultStatus.MODEL_FAILED: (ProblemCode.MODEL_FAILED, "the model failed"),
    ResultStatus.BAD_OUTPUT: (
        ProblemCode.BAD_OUTPUT,
        "the model's output does not fit its input: another number of rows, or a datatype that "
        "cannot be sent",
    ),
    ResultStatus.UNSERVED: (ProblemCode.NO_WORKER, "the worker no longer serves this model"),
}


def of_result(status: ResultStatus) -> Problem:
    """Return the problem that a worker's result status stands for; OK is none.

    Raises:
        KeyError: `status` is OK.
    """
    code, message = _OF_RESULT[status]
    retry_after_s = RETRY_SOON_S if code is ProblemCode.NO_WORKER else None
    return Problem(code, message, retry_after_s=retry_after_s)
