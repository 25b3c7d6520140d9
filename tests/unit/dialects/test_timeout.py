"""Row B28: a caller's own timeout, in the header and in the parameters."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.contract.invalid import InvalidCode, InvalidInput
from bridge.gateway.dialects.call import TIMEOUT_MAX_S
from bridge.gateway.dialects.timeout import parse_timeout_ms, parse_timeout_us
from tests.unit.dialects.doors import parse, request, tensor


@pytest.mark.parametrize(
    ("text", "timeout_s"),
    [("1", 0.001), ("250", 0.25), ("0.5", 0.0005), ("007", 0.007), ("3600001", 3600.001)],
)
def test_a_header_is_in_milliseconds(text: str, timeout_s: float) -> None:
    assert parse_timeout_ms(text) == pytest.approx(timeout_s)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "0",
        "0.0",
        "-1",
        "+1",
        "NaN",
        "nan",
        "inf",
        "Infinity",
        "1e3",
        "1e18",
        "1000000000000000000",
        "9" * 5_000,
        "1_000",
        "1,5",
        "0x10",
        "100ms",
        " 100",
        "100\n",
        "١٠٠",
        "soon",
        "\x00",
    ],
)
def test_a_header_that_is_no_plausible_number_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_timeout_ms(text)
    assert refused.value.code is InvalidCode.BAD_DEADLINE


@pytest.mark.parametrize(("value", "timeout_s"), [(1, 1e-6), (2.5, 2.5e-6), (10**6, 1.0)])
def test_a_parameter_is_in_microseconds(value: float, timeout_s: float) -> None:
    assert parse_timeout_us(value) == timeout_s


@pytest.mark.parametrize(
    "value",
    [0, 0.0, -1, -(10**400), 10**400, 1e18, float("nan"), float("inf"), "1", "", True, None],
)
def test_a_parameter_that_is_no_plausible_number_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_timeout_us(value)
    assert refused.value.code is InvalidCode.BAD_DEADLINE


@pytest.mark.parametrize(
    ("timeout_s", "expected"),
    [
        (1.5, (1.5, False)),
        (TIMEOUT_MAX_S, (TIMEOUT_MAX_S, False)),
        (TIMEOUT_MAX_S + 1, (TIMEOUT_MAX_S, True)),
    ],
)
def test_a_calls_timeout_is_capped_and_said_to_be(
    timeout_s: float, expected: tuple[float, bool]
) -> None:
    call = parse(request(tensor([1.0, 2.0]))).with_timeout(timeout_s)
    assert (call.timeout_s, call.timeout_is_capped) == expected
