"""The arrival rate: an exponentially weighted mean."""

from __future__ import annotations

import math

import pytest

from bridge.scheduling.arrival_rate import ArrivalRate


def test_it_is_zero_before_anything_arrives() -> None:
    assert ArrivalRate().per_s(100.0) == 0.0


def test_it_fades_while_nothing_arrives() -> None:
    rate = ArrivalRate()
    rate.observe(1.0, 8)
    assert rate.per_s(2.0) == pytest.approx(8 / math.e)


def test_it_is_the_rate_of_steady_arrivals() -> None:
    rate = ArrivalRate()
    for number in range(10_000):
        rate.observe(number / 1000, 2)
    assert rate.per_s(10.0) == pytest.approx(2000, rel=0.01)
