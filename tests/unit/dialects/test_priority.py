"""A caller's own priority, in the header and in the parameters."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest

from bridge.contract.invalid import InvalidCode, InvalidInput
from bridge.gateway.dialects.call import BATCH_PRIORITY, PRIORITY_MAX
from bridge.gateway.dialects.priority import (
    PRIORITY_NAMES,
    parse_priority,
    parse_priority_header,
)
from bridge.gateway.entrance import priority_of
from bridge.scheduling.ask import Priority
from tests.unit.dialects.doors import PAIR, parse, request, tensor

NUMBERS = {"0": 0, "1": 1, "2": 2, "007": 7, str(PRIORITY_MAX): PRIORITY_MAX}
ROW = tensor([1.0, 2.0])


def test_every_priority_has_its_name() -> None:
    online = {name: number for name, number in PRIORITY_NAMES.items() if name != "batch"}
    meant = {name: priority_of(number) for name, number in online.items()}
    assert meant == {priority.name.lower(): priority for priority in Priority}


def test_no_number_that_a_caller_can_give_means_the_batch_lane() -> None:
    assert PRIORITY_NAMES["batch"] == BATCH_PRIORITY > PRIORITY_MAX


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, Priority.DEFAULT),
        (1, Priority.CRITICAL),
        (2, Priority.DEFAULT),
        (3, Priority.SHEDDABLE),
        (PRIORITY_MAX, Priority.SHEDDABLE),
    ],
)
def test_every_number_means_a_priority(number: int, expected: Priority) -> None:
    assert priority_of(number) is expected


@pytest.mark.parametrize(("text", "number"), [*PRIORITY_NAMES.items(), *NUMBERS.items()])
def test_a_header_is_a_name_or_a_number(text: str, number: int) -> None:
    assert parse_priority_header(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "high",
        "Critical",
        "critical ",
        "critical, default",
        "-1",
        "+1",
        "1.0",
        "1e0",
        "65536",
        "000001",
        "9" * 5_000,
        "1_0",
        "0x1",
        "²",
        "١",
        "true",
        "\x00",
    ],
)
def test_a_header_that_is_neither_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_priority_header(text)
    assert refused.value.code is InvalidCode.BAD_PARAMETER


def test_a_refused_header_is_named_with_what_was_expected() -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_priority_header("high")
    assert refused.value.message == (
        "X-Priority: 'high' is neither one of critical, default, sheddable, batch "
        "nor a whole number from 0 to 65535"
    )


@pytest.mark.parametrize(("name", "number"), PRIORITY_NAMES.items())
def test_a_json_body_may_name_a_priority(name: str, number: int) -> None:
    assert parse(request(ROW, parameters={"priority": name})).priority == number


@pytest.mark.parametrize(("name", "number"), PRIORITY_NAMES.items())
def test_a_messagepack_body_may_name_a_priority(name: str, number: int) -> None:
    row = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": bytes(8)}
    body = msgpack.packb({"inputs": [row], "parameters": {"priority": name}})
    assert PAIR.parse("application/msgpack", None, body).priority == number


@pytest.mark.parametrize(
    "value",
    [
        -1,
        PRIORITY_MAX + 1,
        10**400,
        1.0,
        True,
        False,
        None,
        "",
        "1",
        "high",
        "Critical",
        ["default"],
    ],
)
def test_a_parameter_that_is_neither_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_priority(value)
    assert refused.value.code is InvalidCode.BAD_PARAMETER


def test_a_calls_priority_can_be_replaced() -> None:
    assert parse(request(ROW)).with_priority(3).priority == 3
