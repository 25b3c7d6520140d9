from __future__ import annotations

import pytest

from bridge.plan.verification import largest_kept
from bridge.plan.verified import Compared


@pytest.mark.parametrize("capacity", [300.0, 900.0, 1000.0, 1090.0, 2500.0])
def test_the_search_finds_the_largest_rate_that_is_kept(capacity: float) -> None:
    found = largest_kept(1000.0, lambda rate: rate <= capacity)
    assert capacity / 1.06 <= found <= capacity


def test_a_server_that_keeps_no_rate_ends_the_search() -> None:
    assert largest_kept(1000.0, lambda _: False) == 0.0


def test_a_prediction_a_tenth_too_high_is_within_a_tenth() -> None:
    compared = Compared(
        name="x", unit="x", predicted=109.0, predicted_under_load=0.0, measured=100.0, within=0.10
    )
    assert compared.is_within


def test_a_prediction_a_fifth_too_low_is_not_within_a_tenth() -> None:
    compared = Compared(
        name="x", unit="x", predicted=80.0, predicted_under_load=0.0, measured=100.0, within=0.10
    )
    assert not compared.is_within
