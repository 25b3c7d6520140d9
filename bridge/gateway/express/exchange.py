"""One request on an express connection: from its body to the bytes of its answer."""

from __future__ import annotations

from typing import Protocol

import structlog

from bridge.contract.invalid import InvalidInput
from bridge.gateway.express.head import ExpressHead
from bridge.gateway.express.reply_bytes import ReplyBytes
from bridge.gateway.flight import Flight, Outcome
from bridge.gateway.gateway import Admitted, Gateway
from bridge.gateway.inference import Inference, Opened
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
    """A request whose answer, once there, is `answer`; `closes` says that it is the last."""

    __slots__ = ("_admitted", "_flight", "_owner", "_request_id", "_shared", "answer", "closes")

    def __init__(self, shared: Exchanges, owner: Owner, head: ExpressHead) -> None:
        self._shared = shared
        self._owner = owner
        self._request_id = request_id(head.request_id)
        self._admitted: Admitted | None = None
        self._flight: Flight | None = None
        self.answer: bytes | None = None
        self.closes = False

    def begin(
        self, head: ExpressHead, opened: Opened | None, body: bytes, received_s: float
    ) -> None:
        """Admit the request and send it on its way, or answer it with why not.

        `opened` is None where the head has not been looked at yet.
        """
        shared = self._shared
        try:
            if opened is None:
                opened = shared.inference.open(head.infer)
            retry_after_s = shared.inference.refused_early(opened, body, received_s)
            if retry_after_s is not None:
                self._refuse_overload(retry_after_s)
                return
            self._admitted = shared.inference.admit(head.infer, opened, body, received_s)
            self._flight = shared.gateway.launch(self._admitted, self._settle)
        except (InvalidInput, Problem) as error:
            self.refuse(error)
        except Exception:
            self._fail()

    def refuse(self, error: Problem | InvalidInput) -> None:
        """Answer with a refusal."""
        if (
            isinstance(error, Problem)
            and error.code is ProblemCode.OVERLOADED
            and error.retry_after_s is not None
        ):
            self._refuse_overload(error.retry_after_s)
        else:
            self._end(self._shared.inference.refusal(error, self._request_id))

    def _refuse_overload(self, retry_after_s: float) -> None:
        """The most frequent answer of a gateway that is asked too much: it must cost little."""
        shared = self._shared
        if shared.gateway.is_draining:
            problem = overloaded(retry_after_s)
            self._end(shared.inference.refusal(problem, self._request_id))
            return
        shared.inference.count_refusal(ProblemCode.OVERLOADED)
        self.answer = shared.reply_bytes.overloaded(retry_after_s, self._request_id)
        self._owner.on_answered()

    def abandon(self) -> None:
        """The caller has gone: what has not started need not be run."""
        flight, self._flight = self._flight, None
        if flight is not None:
            self._shared.gateway.abandon(flight)

    def _settle(self, outcome: Outcome) -> None:
        # It is called among the landings of other requests: nothing may be raised here.
        try:
            self._end(self._reply(outcome))
        except Exception:
            self._fail()
        # The flight holds this exchange: a cycle, whose rows only the collector would free.
        self._flight = None

    def _reply(self, outcome: Outcome) -> Reply:
        shared, admitted, flight = self._shared, self._admitted, self._flight
        if admitted is None or flight is None:
            raise RuntimeError("settled before it was launched")
        shared.gateway.count(flight, admitted.version.contract.name, outcome)
        if isinstance(outcome, Problem):
            return shared.inference.refusal(outcome, self._request_id)
        return shared.inference.reply(admitted, outcome, self._request_id)

    def _fail(self) -> None:
        """Answer as aiohttp's lane does when a handler raises what nobody expected."""
        log.exception("handler_failed", request_id=self._request_id)
        problem = Problem(ProblemCode.INTERNAL, "internal error")
        self.closes = True
        self._end(problem_reply(problem, self._request_id))

    def _end(self, reply: Reply) -> None:
        self.closes = self.closes or reply.closes or self._shared.gateway.is_draining
        self.answer = self._shared.reply_bytes.write(reply, closes=self.closes)
        self._owner.on_answered()
