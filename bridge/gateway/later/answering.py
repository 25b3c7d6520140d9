"""One stored request through the gateway: the answer that its caller would have got at once.

It travels in the batch lane, which has the capacity that callers who wait leave. What is refused
for the moment is tried again; the caller's own timeout and priority no longer mean anything.
"""

from __future__ import annotations

import time

import msgspec
import structlog

from bridge.contract.invalid import InvalidInput
from bridge.gateway.catalog import ModelVersion
from bridge.gateway.dialects.call import BATCH_PRIORITY, InferCall
from bridge.gateway.dialects.priority import parse_priority_header
from bridge.gateway.dialects.timeout import parse_timeout_ms
from bridge.gateway.gateway import Gateway
from bridge.gateway.inference import Inference, InferHead, may_state_units, parsed_call
from bridge.gateway.problem import RETRY_SOON_S, Problem, ProblemCode
from bridge.gateway.reply import Reply, problem_reply

log = structlog.get_logger(__name__)

# Refused for the moment: it may be let in later. A model that was known when the request came is
# unknown to a gateway that has just begun.
_PASSING = frozenset(
    {
        ProblemCode.OVERLOADED,
        ProblemCode.BATCH_LANE_FULL,
        ProblemCode.NO_WORKER,
        ProblemCode.QUEUE_UNAVAILABLE,
        ProblemCode.UNKNOWN_MODEL,
    }
)
# Let in and not answered: the worker may have died, or these rows kill workers.
_DOUBTFUL = frozenset({ProblemCode.EXPIRED})


class Attempt(msgspec.Struct, frozen=True):
    """What became of one attempt: a reply, which is the answer unless it is worth another try.

    `retry_after_s` is None for an answer. `was_started`: the rows may have been run.
    """

    reply: Reply
    retry_after_s: float | None = None
    was_started: bool = False


class Answering:
    """Checks and answers requests of one gateway whose callers do not wait."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._inference = Inference(gateway)

    async def check(self, head: InferHead, body: bytes) -> None:
        """Check all that does not depend on who could answer it now.

        Raises:
            Problem: `unknown_model`.
            InvalidInput: as when it is answered at once.
        """
        if head.timeout_ms is not None:
            parse_timeout_ms(head.timeout_ms)
        if head.priority is not None:
            parse_priority_header(head.priority)
        await self._parsed(head, body)

    def is_passing(self, problem: Problem) -> bool:
        """Return whether a request that was refused or not answered so may be answered later."""
        return problem.code in _PASSING or problem.code in _DOUBTFUL

    async def answer(self, head: InferHead, body: bytes, request_id: str) -> Attempt:
        """Make one attempt; cancelled, it leaves nothing behind."""
        try:
            return Attempt(await self._reply(head, body, request_id))
        except InvalidInput as error:
            return Attempt(self._inference.refusal(error, request_id))
        except Problem as problem:
            if not self.is_passing(problem):
                return Attempt(self._inference.refusal(problem, request_id))
            # Not counted as a refusal: nobody hears of it.
            reply = problem_reply(problem, request_id)
            hint_s = problem.retry_after_s or RETRY_SOON_S
            return Attempt(reply, hint_s, was_started=problem.code in _DOUBTFUL)
        except Exception:
            # As in both lanes of HTTP: one body that nobody thought of must not end the gateway.
            log.exception("handler_failed", request_id=request_id)
            return Attempt(
                problem_reply(Problem(ProblemCode.INTERNAL, "internal error"), request_id)
            )

    async def _reply(self, head: InferHead, body: bytes, request_id: str) -> Reply:
        version, call = await self._parsed(head, body)
        admitted = self._gateway.entrance.admit(version, call, time.monotonic())
        landed = await self._gateway.answer(admitted)
        return self._inference.reply(version, call, landed, request_id)

    async def _parsed(self, head: InferHead, body: bytes) -> tuple[ModelVersion, InferCall]:
        version = self._gateway.find(head.model, head.version)
        if head.is_named and may_state_units(body):
            await self._gateway.load_units()
        call = parsed_call(version, head, body)
        return version, msgspec.structs.replace(
            call, timeout_s=None, timeout_is_capped=False, priority=BATCH_PRIORITY
        )
