from __future__ import annotations

import math

import pytest

from bridge.plan.errors import PlanError
from tests.unit.plan.models import question


@pytest.mark.parametrize(
    ("field", "value", "option"),
    [
        ("rate_per_s", 0.0, "rate"),
        ("rate_per_s", -1.0, "rate"),
        ("rate_per_s", math.nan, "rate"),
        ("rate_per_s", math.inf, "rate"),
        ("target_s", 0.0, "latency-target-ms"),
        ("target_s", -0.05, "latency-target-ms"),
        ("cv", 0.0, "cv"),
        ("cv", 100.0, "cv"),
        ("batch_rows_per_hour", -1.0, "batch-rows-per-hour"),
        ("batch_rows_per_hour", math.nan, "batch-rows-per-hour"),
        ("workers_max", 0, "workers-max"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_the_name_of_its_option(
    field: str, value: float, option: str
) -> None:
    with pytest.raises(PlanError) as caught:
        question(**{field: value})
    assert str(caught.value).split(":")[0] == option
