"""An inference request between HTTP and the gateway: the same steps for both lanes.

`open` what can be said before the body is there, `admit` the body's rows, `reply` with their
outcome, or with the `refusal` of whatever was raised on the way.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import structlog

from bridge.contract.invalid import InvalidCode, InvalidInput
from bridge.gateway.catalog import ModelVersion
from bridge.gateway.dialects.call import BATCH_PRIORITY, TIMEOUT_MAX_S, InferCall
from bridge.gateway.dialects.priority import parse_priority_header
from bridge.gateway.dialects.timeout import parse_timeout_ms
from bridge.gateway.entrance import Admitted
from bridge.gateway.gateway import Gateway
from bridge.gateway.launch import Landed
from bridge.gateway.problem import Problem, ProblemCode
from bridge.gateway.reply import Reply, answer_reply, invalid_reply, problem_reply
from bridge.scheduling.admission import Permit

log = structlog.get_logger(__name__)

BODY_BYTES_MAX = 8 * 2**20
BODY_S_MAX = 10.0
# Bodies are judged unread for so long after one was refused. Otherwise nearly all are let in, and
# would only be judged twice.
PRESSED_S = 0.1
NAMED_PATH_END = "/predict"
INFERENCE_LENGTH_HEADER = "Inference-Header-Content-Length"
_INFERENCE_LENGTH_DIGITS_MAX = 10
# What an operator must hear of; refusals and expiries are counted instead.
_LOGGED_STATUSES = (422, 500)


class InferHead(msgspec.Struct, frozen=True, gc=False):
    """What the path and the headers of an inference request say, as they were sent.

    `is_named`: the path says that the body is named rows, not tensors.
    """

    model: str
    version: str | None
    content_type: str | None
    inference_length: str | None
    timeout_ms: str | None
    priority: str | None
    is_named: bool = False


class Opened(msgspec.Struct, frozen=True):
    """A request whose head was found good: the version that is asked, what the headers say.

    `timeout_s` and `priority`, a whole number as in `InferCall`, are None where they say nothing.
    """

    version: ModelVersion
    timeout_s: float | None
    priority: int | None


class Inference:
    """The steps of every inference request of one gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._entrance = gateway.entrance
        # Until when each model version counts as overloaded; as many as there were versions.
        self._pressed_until_s: dict[str, float] = {}

    def open(self, head: InferHead) -> Opened:
        """Check what does not need the body.

        Raises:
            Problem: `unknown_model`, `queue_unavailable` or `no_worker`.
            InvalidInput: `bad_deadline`, or `bad_parameter` for the priority.
        """
        version = self._gateway.find(head.model, head.version)
        self._entrance.check_open(version)
        timeout_ms, priority = head.timeout_ms, head.priority
        return Opened(
            version,
            None if timeout_ms is None else parse_timeout_ms(timeout_ms),
            None if priority is None else parse_priority_header(priority),
        )

    def admit(self, head: InferHead, opened: Opened, body: bytes, received_s: float) -> Admitted:
        """Return the admitted call that a whole body holds.

        `received_s` is the loop's time at which the head was there.

        Raises:
            InvalidInput: the body is not what its dialect or the contract accepts.
            Problem: as `Entrance.admit`.
        """
        try:
            return self._admit_body(head, opened, body, received_s)
        except Problem as problem:
            if problem.code is ProblemCode.OVERLOADED:
                self._press(opened, received_s)
            raise

    def admit_together(
        self, opened: Opened, sizes: Sequence[int], received_s: float
    ) -> tuple[Permit | None, list[float]]:
        """Let in the first of several requests with equal heads; see `Entrance.admit_together`.

        Raises:
            Problem: `queue_unavailable` or `no_worker`.
        """
        permit, hints = self._entrance.admit_together(
            opened.version, sizes, opened.timeout_s, opened.priority or 0, received_s
        )
        if hints:
            self._press(opened, received_s)
        return permit, hints

    def is_pressed(self, opened: Opened, received_s: float) -> bool:
        """Return whether somebody was refused lately: then `refused_early` should be asked."""
        return received_s < self._pressed_until_s.get(opened.version.contract.key, 0.0)

    def refused_early(self, opened: Opened, requests: int, received_s: float) -> list[float]:
        """Return after how many seconds the last of so many requests are to come back; [] if none.

        For some time after a refusal the next ones are refused before their bodies are decoded,
        if they are `judged_by_head`. Nothing is raised: under overload this is most of what a
        gateway does, and an exception costs more than the decision, above all where a frame that
        holds it makes it a cycle for the garbage collector.
        """
        if opened.priority == BATCH_PRIORITY:
            return []
        own_s = None if opened.timeout_s is None else min(opened.timeout_s, TIMEOUT_MAX_S)
        hints = self._entrance.refused_early(
            opened.version, requests, own_s, opened.priority or 0, received_s
        )
        if hints:
            self._press(opened, received_s)
        return hints

    def refused_unread(self, opened: Opened, body: bytes, received_s: float) -> float | None:
        """Return after how many seconds to come back, None for a request that may be let in."""
        if not self.is_pressed(opened, received_s) or not judged_by_head(opened, body):
            return None
        hints = self.refused_early(opened, 1, received_s)
        return hints[0] if hints else None

    def _press(self, opened: Opened, received_s: float) -> None:
        self._pressed_until_s[opened.version.contract.key] = received_s + PRESSED_S

    def _admit_body(
        self, head: InferHead, opened: Opened, body: bytes, received_s: float
    ) -> Admitted:
        call = parsed_call(opened.version, head, body)
        # What the headers say beats the body.
        if opened.timeout_s is not None:
            call = call.with_timeout(opened.timeout_s)
        if opened.priority is not None:
            call = call.with_priority(opened.priority)
        return self._entrance.admit(opened.version, call, received_s)

    def reply(
        self, version: ModelVersion, call: InferCall, landed: Landed, request_id: str
    ) -> Reply:
        """Return the answer in the caller's dialect.

        Raises:
            OutputMismatch: the outputs are not what the contract says.
        """
        body = version.door.answer(call, landed.outputs)
        capped_s = call.timeout_s if call.timeout_is_capped else None
        return answer_reply(body, landed.timings, request_id, capped_s)

    def refusal(self, error: Problem | InvalidInput, request_id: str) -> Reply:
        """Count or log why a request is not answered and return what its caller gets to see."""
        if isinstance(error, InvalidInput):
            self.count_refusal(error.code)
            return invalid_reply(error, request_id)
        if error.status in _LOGGED_STATUSES:
            log.error("request_failed", code=error.code.value, request_id=request_id)
        elif error.code is not ProblemCode.EXPIRED:
            self.count_refusal(error.code)
        return problem_reply(error, request_id)

    def count_refusal(self, code: ProblemCode | InvalidCode) -> None:
        """Count a request that is refused at the door."""
        self._gateway.tally.refused(code.value)


def parsed_call(version: ModelVersion, head: InferHead, body: bytes) -> InferCall:
    """Return the call that a whole body holds.

    Raises:
        InvalidInput: the body is not what its dialect or the contract accepts.
    """
    if head.is_named:
        return version.door.parse_named(head.content_type, body)
    return version.door.parse(head.content_type, inference_length(head), body)


def judged_by_head(opened: Opened, body: bytes) -> bool:
    """Return whether nothing in the body can change by when, and how urgently, it is wanted."""
    return (opened.timeout_s is not None or b"timeout" not in body) and (
        opened.priority is not None or b"priority" not in body
    )


def may_state_units(body: bytes) -> bool:
    """Return whether a body of named rows can need a conversion of units.

    So may any that spells a letter as an escape of JSON, which stands for any letter of `"unit"`.
    """
    return b'unit"' in body or b'units"' in body or rb"\u" in body


def refuse_too_large(size: int | None) -> None:
    """Refuse a body of more than `BODY_BYTES_MAX` bytes.

    Raises:
        Problem: `too_large`.
    """
    if size is not None and size > BODY_BYTES_MAX:
        raise Problem(
            ProblemCode.TOO_LARGE, f"the body is larger than the {BODY_BYTES_MAX} bytes accepted"
        )


def body_timeout() -> Problem:
    """Return the refusal of a body that did not arrive in time."""
    return Problem(ProblemCode.BODY_TIMEOUT, f"the body did not arrive within {BODY_S_MAX:g} s")


def inference_length(head: InferHead) -> int | None:
    """Return the value of Inference-Header-Content-Length in bytes, None where it is absent.

    Raises:
        InvalidInput: `bad_binary`; not a whole number.
    """
    text = head.inference_length
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > _INFERENCE_LENGTH_DIGITS_MAX:
        raise InvalidInput(
            InvalidCode.BAD_BINARY, f"{INFERENCE_LENGTH_HEADER} is not a whole number"
        )
    return int(text)
