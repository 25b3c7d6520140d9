"""One request on an express connection: from its body to the bytes of its answer."""

from __future__ import annotations

from typing import Any, Protocol

import structlog

from bridge.contract.invalid import InvalidInput
from bridge.gateway.catalog import ModelVersion
from bridge.gateway.dialects.call import InferCall
from bridge.gateway.dialects.plain import Plain
from bridge.gateway.express.head import ExpressHead
from bridge.gateway.express.reply_bytes import ReplyBytes
from bridge.gateway.gateway import Gateway
from bridge.gateway.inference import Inference, InferHead, Opened
from bridge.gateway.launch import Flight, Outcome
from bridge.gateway.problem import Problem, ProblemCode, overloaded
from bridge.gateway.reply import Reply, problem_reply, request_id

log = structlog.get_logger(__name__)


class Owner(Protocol):
    """The connection that the answer is written to."""

    def on_answered(self) -> None:
        """An exchange has its answer; not necessarily the one that is due next."""


class Exchanges:
    """What all exchanges of a gateway need."""

    __slots__ = ("gateway", "inference", "reply_bytes")

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.inference = Inference(gateway)
        self.reply_bytes = ReplyBytes()


class Exchange:
    """A request whose answer, once there, is `answer`; `closes` says that it is the last.

    `said` is what the body of a plain request says beside its rows; see `PlainCalls`.
    """

    __slots__ = (
        "_call",
        "_flight",
        "_owner",
        "_plain",
        "_shared",
        "_version",
        "answer",
        "closes",
        "is_abandoned",
        "request_id",
        "said",
    )

    def __init__(self, shared: Exchanges, owner: Owner, head: ExpressHead) -> None:
        self._shared = shared
        self._owner = owner
        self.request_id = request_id(head.request_id)
        self._version: ModelVersion | None = None
        self._call: InferCall | None = None
        self._flight: Flight | None = None
        self._plain: Plain | None = None
        self.said: Any = None
        self.answer: bytes | None = None
        self.closes = False
        self.is_abandoned = False

    def begin(self, head: InferHead, opened: Opened | None, body: bytes, received_s: float) -> None:
        """Admit the request and send it on its way, or answer it with why not.

        `opened` is None where the head has not been looked at yet.
        """
        shared = self._shared
        try:
            if opened is None:
                opened = shared.inference.open(head)
            retry_after_s = shared.inference.refused_unread(opened, body, received_s)
            if retry_after_s is not None:
                self.refuse_overload(retry_after_s)
                return
            admitted = shared.inference.admit(head, opened, body, received_s)
            self._version, self._call = admitted.version, admitted.call
            self._flight = shared.gateway.launch(admitted, self.settle)
        except (InvalidInput, Problem) as error:
            self.refuse(error)
        except Exception:
            self._fail()

    def launched(self, version: ModelVersion, flight: Flight, plain: Plain, said: Any) -> None:
        """Note that the request, a plain one, is on its way."""
        self._version = version
        self._flight = flight
        self._plain = plain
        self.said = said

    def refuse(self, error: Problem | InvalidInput) -> None:
        """Answer with a refusal."""
        if (
            isinstance(error, Problem)
            and error.code is ProblemCode.OVERLOADED
            and error.retry_after_s is not None
        ):
            self.refuse_overload(error.retry_after_s)
        else:
            self._reply(self._shared.inference.refusal(error, self.request_id))

    def refuse_overload(self, retry_after_s: float) -> None:
        """The most frequent answer of a gateway that is asked too much: it must cost little."""
        shared = self._shared
        if shared.gateway.is_draining:
            problem = overloaded(retry_after_s)
            self._reply(shared.inference.refusal(problem, self.request_id))
            return
        shared.inference.count_refusal(ProblemCode.OVERLOADED)
        self.end(shared.reply_bytes.overloaded(retry_after_s, self.request_id))

    def abandon(self) -> None:
        """The caller has gone: what has not started need not be run."""
        self.is_abandoned = True
        flight, self._flight = self._flight, None
        if flight is not None:
            self._shared.gateway.abandon(flight)

    def settle(self, outcome: Outcome) -> None:
        """Answer with the outcome of the flight; see `Caller`."""
        try:
            self._reply(self._reply_to(outcome))
        except Exception:
            self._fail()

    def end(self, answer: bytes) -> None:
        """Answer with these bytes."""
        self.answer = answer
        # The flight holds this exchange: a cycle, whose rows only the collector would free.
        self._flight = None
        self._owner.on_answered()

    def fail_unless_begun(self) -> None:
        """Answer that something unexpected was raised, if nothing was launched or answered."""
        if self._flight is None:
            self.fail_unless_answered()

    def fail_unless_answered(self) -> None:
        """Answer that something unexpected was raised, unless there is an answer."""
        if self.answer is None:
            self._fail()

    def _reply_to(self, outcome: Outcome) -> Reply:
        shared, version, flight = self._shared, self._version, self._flight
        if version is None or flight is None:
            raise RuntimeError("settled before it was launched")
        shared.gateway.count(flight, version.contract.name, outcome)
        if isinstance(outcome, Problem):
            return shared.inference.refusal(outcome, self.request_id)
        call = self._call
        if self._plain is not None:
            call = self._plain.call(self.said, flight.rows)
        if call is None:
            raise RuntimeError("a call that is neither plain nor its own")
        return shared.inference.reply(version, call, outcome, self.request_id)

    def _fail(self) -> None:
        """Answer as aiohttp's lane does when a handler raises what nobody expected."""
        log.exception("handler_failed", request_id=self.request_id)
        problem = Problem(ProblemCode.INTERNAL, "internal error")
        self.closes = True
        self._reply(problem_reply(problem, self.request_id))

    def _reply(self, reply: Reply) -> None:
        self.closes = self.closes or reply.closes or self._shared.gateway.is_draining
        self.end(self._shared.reply_bytes.write(reply, closes=self.closes))
