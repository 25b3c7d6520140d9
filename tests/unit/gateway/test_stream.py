"""One stream without its socket: what begins, what is answered, what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import structlog

from bridge.gateway.launch import Landed, Timings
from bridge.gateway.problem import expired, no_worker, overloaded, queue_unavailable
from bridge.gateway.stream.limits import StreamLimits
from bridge.gateway.stream.message import CloseCode, Violation
from tests.unit.gateway.stream_rig import HINT_S, VERSION, Rig, answered, request, too_much


def refusal(rig: Rig) -> tuple[Any, ...]:
    """The id, code, status and `refused` of the only answer."""
    answer = rig.sent()
    return answer["id"], answer["code"], answer["status"], answer.get("refused", False)


def test_a_request_is_answered_by_its_id() -> None:
    rig = Rig()
    rig.take(request("a"))
    rig.answer(0, 3.0)
    assert rig.sent() == answered("a", 3.0)


def test_answers_that_are_ready_together_travel_in_one_message() -> None:
    rig = Rig()
    rig.take([request("a"), request("b"), request("c")])
    rig.answer(2, 3.0)
    rig.answer(0, 1.0)
    assert (rig.sent(), rig.due) == ([answered("c", 3.0), answered("a", 1.0)], 1)


def test_a_message_of_answers_is_bounded() -> None:
    rig = Rig(StreamLimits(answers_bytes=1))
    rig.take([request("a"), request("b")])
    rig.answer(0, 1.0)
    rig.answer(1, 2.0)
    sent = [rig.sent(), rig.sent(), rig.sent()]
    assert (sent, rig.stream.due_bytes) == ([answered("a", 1.0), answered("b", 2.0), None], 0)


def test_a_bad_request_among_good_ones_is_refused_alone() -> None:
    rig = Rig()
    rig.take([request("a"), {"id": "b"}, request("c")])
    assert (refusal(rig), rig.stream.in_flight) == (("b", "schema", 400, True), 2)


def test_an_id_in_flight_is_refused_until_it_is_answered() -> None:
    rig = Rig()
    rig.take([request("a"), request("a")])
    assert refusal(rig) == ("a", "bad_id", 400, True)
    rig.answer(0, 1.0)
    rig.take(request("a"))
    rig.answer(1, 2.0)
    assert rig.sent() == [answered("a", 1.0), answered("a", 2.0)]


@pytest.mark.parametrize("limits", [{"in_flight_max": 1}, {"in_flight_bytes_max": 100}])
def test_more_than_a_connection_may_have_in_flight_is_refused_as_overload(
    limits: dict[str, int],
) -> None:
    rig = Rig(StreamLimits(**limits))
    rig.take([request("a"), request("b")])
    assert rig.sent() == too_much("b", VERSION.contract.serving.latency_target_s)
    rig.answer(0, 1.0)
    rig.take(request("b"))
    assert len(rig.backend.settles) == 2


def test_under_pressure_requests_are_refused_undecoded() -> None:
    rig = Rig(is_pressed=True)
    rig.take({"id": "a", "unknown": 1})
    assert (rig.sent(), rig.backend.refused) == (too_much("a", HINT_S), ["overloaded"])


def test_what_is_refused_after_decoding_is_refused_in_the_same_words() -> None:
    rig = Rig(refuses=overloaded(HINT_S))
    rig.take(request("a"))
    assert (rig.sent(), rig.backend.refused) == (too_much("a", HINT_S), ["overloaded"])


def test_without_a_worker_every_request_of_a_message_is_refused() -> None:
    rig = Rig(refuses_all=no_worker())
    rig.take([request("a"), request("b")])
    assert [(one["id"], one["code"], one["retry_after_ms"]) for one in rig.sent()] == [
        ("a", "no_worker", 1000),
        ("b", "no_worker", 1000),
    ]


@pytest.mark.parametrize("problem", [queue_unavailable(), expired()])
def test_what_fails_on_its_way_does_not_count_as_refused(problem: Any) -> None:
    rig = Rig()
    rig.take(request("a"))
    rig.settle(0, problem)
    assert refusal(rig) == ("a", problem.code.value, problem.status, False)


def test_outcomes_are_counted_as_over_http() -> None:
    rig = Rig()
    rig.take([request("a"), request("b")])
    problem = expired()
    rig.settle(0, problem)
    rig.answer(1, 1.0)
    assert (rig.backend.counted[0], type(rig.backend.counted[1])) == (problem, Landed)


def test_a_timeout_that_was_capped_is_said() -> None:
    rig = Rig()
    rig.take(request("a", parameters={"timeout": 7_200_000_000}))
    rig.answer(0, 1.0)
    assert rig.sent() == {**answered("a", 1.0), "timeout_ms": 3_600_000}


def test_an_output_that_does_not_fit_the_contract_is_an_internal_error() -> None:
    rig = Rig()
    rig.take(request("a"))
    with structlog.testing.capture_logs() as logs:
        rig.settle(0, Landed({}, Timings(0.0, 0.0, 0.0)))
    assert refusal(rig) == ("a", "internal", 500, False)
    assert [log["request_id"] for log in logs] == ["connection-1"]


def test_a_fault_of_ours_is_answered_and_the_stream_goes_on() -> None:
    rig = Rig(is_broken=True)
    with structlog.testing.capture_logs():
        rig.take([request("a"), request("b")])
    assert [one["code"] for one in rig.sent()] == ["internal", "internal"]


def test_what_came_before_a_violation_has_begun() -> None:
    rig = Rig()
    with pytest.raises(Violation) as ended:
        rig.take([request("a"), {"inputs": []}, request("c")])
    assert (ended.value.code, rig.stream.in_flight) == (CloseCode.MALFORMED, 1)


def test_what_is_in_flight_is_abandoned_with_its_caller() -> None:
    rig = Rig()
    rig.take([request("a"), request("b"), request("c")])
    rig.answer(1, 1.0)
    rig.stream.abandon()
    assert (rig.backend.abandoned, rig.stream.is_empty) == ([0, 2], True)


def test_while_draining_requests_are_served_and_the_client_is_told_once() -> None:
    rig = Rig(is_draining=True)
    rig.take(request("a"))
    rig.take(request("b"))
    rig.answer(0, 1.0)
    assert rig.sent() == [{"going_away": True}, answered("a", 1.0)]


def test_a_stream_is_empty_when_all_is_answered_and_handed_out() -> None:
    rig = Rig()
    rig.take(request("a"))
    states = [rig.stream.is_empty]
    rig.answer(0, 1.0)
    states.append(rig.stream.is_empty)
    rig.sent()
    states.append(rig.stream.is_empty)
    assert states == [False, False, True]
