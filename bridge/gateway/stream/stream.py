"""The requests in flight on one stream, and the answers that are due on it.

Without a socket: messages come in by `take`, answers go out by `next_message`. A request costs no
task; its answer is put among the others that are ready in the same turn of the event loop.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import structlog

from bridge.contract.invalid import InvalidCode, InvalidInput
from bridge.gateway.dialects.call import TIMEOUT_MAX_S
from bridge.gateway.gateway import Gateway
from bridge.gateway.inference import Inference, InferHead, Opened
from bridge.gateway.launch import Outcome
from bridge.gateway.problem import STATUS, Problem, ProblemCode, overloaded
from bridge.gateway.reply import retry_after
from bridge.gateway.stream.limits import StreamLimits
from bridge.gateway.stream.message import (
    UNSET,
    ErrorAnswer,
    LeavingNote,
    join_answers,
    read_id,
    split_requests,
)
from bridge.gateway.stream.request import StreamAnswers, StreamRequest
from bridge.gateway.together import Alike, Together

log = structlog.get_logger(__name__)

_encode = msgspec.msgpack.Encoder().encode
_OVERLOADED = overloaded(0.0)
# The key and value that HTTP has as X-Request-Timeout-Ms: the timeout that was used.
_CAPPED = _encode("timeout_ms") + _encode(round(TIMEOUT_MAX_S * 1e3))


class Stream:
    """What one caller has asked for and not been sent yet."""

    def __init__(
        self,
        gateway: Gateway,
        inference: Inference,
        together: Together,
        head: InferHead,
        limits: StreamLimits,
        request_id: str,
        on_due: Callable[[], None],
    ) -> None:
        """`head` names the model; `on_due` is called when there is a first answer to be sent."""
        self._gateway = gateway
        self._inference = inference
        self._together = together
        self._head = head
        self._limits = limits
        self._request_id = request_id
        self._on_due = on_due
        self._in_flight: dict[str, StreamRequest] = {}
        self._in_flight_bytes = 0
        self._due: list[bytes] = []
        self.due_bytes = 0
        self._is_leaving_announced = False

    @property
    def in_flight(self) -> int:
        """How many requests were let in and have no answer yet."""
        return len(self._in_flight)

    @property
    def is_empty(self) -> bool:
        """Whether everything that was taken is answered, and every answer was handed out."""
        return not self._in_flight and not self._due

    def take(self, message: bytes, received_s: float) -> None:
        """Begin the requests of a message, each answered on its own if it cannot begin.

        `received_s` is the loop's time at which the message was there.

        Raises:
            Violation: of the message or one of its requests; those before it have begun.
        """
        if self._gateway.is_draining:
            self.announce_leaving()
        bodies = split_requests(message, self._limits.message_requests_max)
        opened = self._open()
        begun: list[tuple[StreamRequest, bytes]] = []
        try:
            for body in bodies:
                name = read_id(body)
                if not isinstance(opened, Opened):
                    self._refuse(name, opened)
                elif (request := self._enter(name, opened, len(body))) is not None:
                    begun.append((request, body))
        finally:
            if isinstance(opened, Opened) and begun:
                self._begin(opened, begun, received_s)

    def next_message(self) -> bytes | None:
        """Return a message of answers that are due, None if none is."""
        due = self._due
        if not due:
            return None
        if self.due_bytes <= self._limits.answers_bytes:
            self._due, self.due_bytes = [], 0
            return join_answers(due)
        count, size = 0, 0
        while count < len(due) and size < self._limits.answers_bytes:
            size += len(due[count])
            count += 1
        self._due, self.due_bytes = due[count:], self.due_bytes - size
        return join_answers(due[:count])

    def announce_leaving(self) -> None:
        """Tell the client, once, that new requests belong on another connection."""
        if not self._is_leaving_announced:
            self._is_leaving_announced = True
            self._put(_encode(LeavingNote()))

    def abandon(self) -> None:
        """The caller has gone: what has not started need not be run."""
        in_flight, self._in_flight = self._in_flight, {}
        self._in_flight_bytes = 0
        self._due, self.due_bytes = [], 0
        for request in in_flight.values():
            flight, request.flight = request.flight, None
            if flight is not None:
                self._gateway.abandon(flight)

    def settle(self, request: StreamRequest, outcome: Outcome) -> None:
        """Put the answer to a request among those that are due."""
        # It is called among the landings of other requests: nothing may be raised here.
        try:
            answer = self._answer(request, outcome)
        except Exception:
            answer = self._failed(request.name, refused=False)
        self.answer(request, answer)

    def answer(self, request: StreamRequest, answer: bytes) -> None:
        """Put the answer to a request among those that are due; once for each request."""
        # The flight holds this request: a cycle, whose rows only the collector would free.
        request.flight = None
        if self._in_flight.pop(request.name, None) is not None:
            self._in_flight_bytes -= request.size
            self._put(answer)

    def fail_unless_answered(self, request: StreamRequest) -> None:
        """Answer that something unexpected was raised, unless there is an answer."""
        if self._in_flight.get(request.name) is request:
            self.answer(request, self._failed(request.name, refused=False))

    def refuse(self, request: StreamRequest, error: InvalidInput | Problem) -> None:
        """Answer a request that has been entered with why it did not begin."""
        self._leave(request)
        self._refuse(request.name, error)

    def refuse_overload(self, request: StreamRequest, retry_after_s: float) -> None:
        """Answer a request that has been entered with when to come back."""
        self._leave(request)
        self._refuse_overload(request.name, retry_after_s)

    def _leave(self, request: StreamRequest) -> None:
        if self._in_flight.pop(request.name, None) is not None:
            self._in_flight_bytes -= request.size

    def _open(self) -> Opened | InvalidInput | Problem:
        # Once for a message: a version may have been added, its workers or the queue be gone.
        try:
            return self._inference.open(self._head)
        except (InvalidInput, Problem) as error:
            return error

    def _enter(self, name: str, opened: Opened, size: int) -> StreamRequest | None:
        """Return a request that may begin; one that may not is answered."""
        if name in self._in_flight:
            text = "id: a request with this id is in flight on this connection"
            self._refuse(name, InvalidInput(InvalidCode.BAD_ID, text))
            return None
        if self._is_full(size):
            # By then as many have been answered as the model's target lets in at once.
            self._refuse_overload(name, opened.version.contract.serving.latency_target_s)
            return None
        request = self._in_flight[name] = StreamRequest(self, name, size)
        self._in_flight_bytes += size
        return request

    def _begin(
        self, opened: Opened, begun: list[tuple[StreamRequest, bytes]], received_s: float
    ) -> None:
        """Begin the plain ones of a message's requests together, the others one by one."""
        requests = [request for request, _ in begun]
        try:
            rest = self._begin_together(opened, requests, [body for _, body in begun], received_s)
        except Exception:
            for request in requests:
                if request.flight is None and request.name in self._in_flight:
                    self.answer(request, self._failed(request.name, refused=True))
            return
        for place in rest:
            self._begin_alone(opened, *begun[place], received_s)

    def _begin_together(
        self,
        opened: Opened,
        requests: list[StreamRequest],
        bodies: list[bytes],
        received_s: float,
    ) -> list[int]:
        plain = opened.version.door.plain(self._head.content_type, None)
        if plain is None:
            return list(range(len(requests)))
        model = opened.version.contract.name
        answers = StreamAnswers(self, self._gateway, model, plain)
        return self._together.begin(Alike(opened, plain, 0, received_s), bodies, requests, answers)

    def _begin_alone(
        self, opened: Opened, request: StreamRequest, body: bytes, received_s: float
    ) -> None:
        inference = self._inference
        try:
            retry_after_s = inference.refused_unread(opened, body, received_s)
            if retry_after_s is not None:
                self.refuse_overload(request, retry_after_s)
                return
            admitted = inference.admit(self._head, opened, body, received_s)
            request.version, request.call = admitted.version, admitted.call
            request.flight = self._gateway.launch(admitted, request.settle)
        except (InvalidInput, Problem) as error:
            self.refuse(request, error)
        except Exception:
            self.answer(request, self._failed(request.name, refused=True))

    def _is_full(self, more_bytes: int) -> bool:
        limits = self._limits
        return (
            len(self._in_flight) >= limits.in_flight_max
            or self._in_flight_bytes + more_bytes > limits.in_flight_bytes_max
        )

    def _answer(self, request: StreamRequest, outcome: Outcome) -> bytes:
        version, flight, call = request.version, request.flight, request.call
        if flight is None or version is None:
            raise RuntimeError("settled before it was launched")
        self._gateway.count(flight, version.contract.name, outcome)
        if isinstance(outcome, Problem):
            return self._error(request.name, outcome, refused=False)
        if call is None:
            raise RuntimeError("an answer to a call that is not known")
        answer = version.door.answer(call, outcome.outputs).data
        return _with_timeout(answer) if call.timeout_is_capped else answer

    def _refuse(self, name: str, error: InvalidInput | Problem) -> None:
        if (
            isinstance(error, Problem)
            and error.code is ProblemCode.OVERLOADED
            and error.retry_after_s is not None
        ):
            self._refuse_overload(name, error.retry_after_s)
        else:
            self._put(self._error(name, error, refused=True))

    def _refuse_overload(self, name: str, retry_after_s: float) -> None:
        """The most frequent answer of a gateway that is asked too much: it must cost little."""
        self._inference.count_refusal(ProblemCode.OVERLOADED)
        _, milliseconds = retry_after(retry_after_s)
        code, text = _OVERLOADED.code, _OVERLOADED.message
        self._put(_encode(ErrorAnswer(name, text, code.value, STATUS[code], milliseconds, True)))

    def _error(self, name: str, error: InvalidInput | Problem, *, refused: bool) -> bytes:
        """Return an answer of the same words as over HTTP, counted or logged like there."""
        status = self._inference.refusal(error, self._request_id).status
        hint_s = error.retry_after_s if isinstance(error, Problem) else None
        hint_ms = UNSET if hint_s is None else retry_after(hint_s)[1]
        return _encode(ErrorAnswer(name, error.message, error.code.value, status, hint_ms, refused))

    def _failed(self, name: str, *, refused: bool) -> bytes:
        """Return the answer to a request that met what nobody expected."""
        log.exception("handler_failed", request_id=self._request_id)
        code = ProblemCode.INTERNAL
        return _encode(
            ErrorAnswer(name, "internal error", code.value, STATUS[code], refused=refused)
        )

    def _put(self, answer: bytes) -> None:
        self._due.append(answer)
        self.due_bytes += len(answer)
        if len(self._due) == 1:
            self._on_due()


def _with_timeout(answer: bytes) -> bytes:
    """Return an answer, a map of few keys, with the timeout that was used at its end."""
    return bytes((answer[0] + 1,)) + answer[1:] + _CAPPED
