"""Requests that came at the same time and are alike: begun as one, each with its own answer.

Their bodies are read into one array, admission judges them as one request with all rows, and they
are launched as one. What is unusual or wrong among them is left to whoever brought them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from bridge.gateway.catalog import ModelVersion
from bridge.gateway.dialects.call import BATCH_PRIORITY, TIMEOUT_MAX_S
from bridge.gateway.dialects.plain import Plain
from bridge.gateway.gateway import Gateway
from bridge.gateway.inference import Inference, Opened, judged_by_head
from bridge.gateway.launch import Destination, Flight, Outcome
from bridge.gateway.problem import Problem


class TogetherCaller(Protocol):
    """Who waits for one of the requests."""

    def refuse(self, error: Problem) -> None:
        """Hear that the request was refused, and why."""

    def refuse_overload(self, retry_after_s: float) -> None:
        """Hear that there is no room for the request now."""

    def launched(self, version: ModelVersion, flight: Flight, plain: Plain, said: Any) -> None:
        """Hear that the request is on its way; `said`: see `PlainCalls`."""

    def settle(self, outcome: Outcome) -> None:
        """Hear the outcome, where it is no answer of the destination; see `Caller`."""


class Alike(NamedTuple):
    """What requests that are begun together have in common.

    `header_bytes` is the value of Inference-Header-Content-Length, 0 without. `received_s`, in
    monotonic seconds, is when they arrived.
    """

    opened: Opened
    plain: Plain
    header_bytes: int
    received_s: float


class Together:
    """Begins requests that are alike, of one gateway."""

    def __init__(self, gateway: Gateway, inference: Inference) -> None:
        self._gateway = gateway
        self._inference = inference

    def begin(
        self,
        alike: Alike,
        bodies: Sequence[bytes],
        callers: Sequence[TogetherCaller],
        destination: Destination,
    ) -> list[int]:
        """Begin or refuse the plain ones of these requests; return the places of the others.

        Answers go to `destination`, everything else to the callers.
        """
        opened = alike.opened
        # A cap has to be told; and batch-lane requests are judged by their size, each on its own.
        if (opened.timeout_s or 0.0) > TIMEOUT_MAX_S or opened.priority == BATCH_PRIORITY:
            return list(range(len(bodies)))
        places = self._refuse_early(alike, bodies, callers)
        if not places:
            return []
        calls = alike.plain.read([bodies[place] for place in places], alike.header_bytes)
        if calls.places:
            plain_callers = [callers[places[place]] for place in calls.places]
            self._launch(alike, calls.array, calls.sizes, calls.said, plain_callers, destination)
        return [places[place] for place in calls.others]

    def _refuse_early(
        self, alike: Alike, bodies: Sequence[bytes], callers: Sequence[TogetherCaller]
    ) -> list[int]:
        """Refuse those who cannot come in, before their bodies are read; return the others."""
        everyone = list(range(len(bodies)))
        inference, opened = self._inference, alike.opened
        if not inference.is_pressed(opened, alike.received_s):
            return everyone
        judged = [place for place in everyone if judged_by_head(opened, bodies[place])]
        hints = inference.refused_early(opened, len(judged), alike.received_s) if judged else []
        if not hints:
            return everyone
        refused = judged[-len(hints) :]
        for place, retry_after_s in zip(refused, hints, strict=True):
            callers[place].refuse_overload(retry_after_s)
        gone = set(refused)
        return [place for place in everyone if place not in gone]

    def _launch(
        self,
        alike: Alike,
        array: Any,
        sizes: list[int],
        said: list[Any],
        callers: list[TogetherCaller],
        destination: Destination,
    ) -> None:
        opened, plain, _, received_s = alike
        try:
            permit, hints = self._inference.admit_together(opened, sizes, received_s)
        except Problem as problem:
            for caller in callers:
                caller.refuse(problem)
            return
        count = len(callers) - len(hints)
        if permit is not None:
            flights = self._gateway.launch_together(
                opened.version,
                {plain.input_name: array[: permit.rows]},
                permit,
                opened.timeout_s,
                received_s,
                destination,
                sizes[:count],
                callers[:count],
            )
            for caller, flight, own in zip(callers, flights, said, strict=False):
                caller.launched(opened.version, flight, plain, own)
        for caller, retry_after_s in zip(callers[count:], hints, strict=True):
            caller.refuse_overload(retry_after_s)
