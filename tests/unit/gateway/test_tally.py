"""The tally hands Prometheus exactly what counting each request on its own would have."""

from __future__ import annotations

import pytest
from prometheus_client import generate_latest

from bridge.gateway.metrics import SECONDS_BUCKETS, GatewayMetrics
from bridge.gateway.tally import OBSERVATIONS_MAX, RequestTally

# On bucket bounds, between them, below the first and above the last.
SECONDS = [0.0, 0.0001, *SECONDS_BUCKETS, 0.3, 11.0]


def shown(metrics: GatewayMetrics) -> list[str]:
    text = generate_latest(metrics.registry).decode()
    return [line for line in text.splitlines() if "_created" not in line and line[0] != "#"]


@pytest.mark.parametrize("count", [1, len(SECONDS)])
def test_answers_are_the_same_series_as_when_each_is_observed(count: int) -> None:
    tallied, observed = GatewayMetrics(None), GatewayMetrics(None)
    tally = RequestTally(tallied)
    for seconds in SECONDS[:count]:
        tally.answered("m", seconds, [seconds / 2])
        observed.requests.labels("m", "ok").inc()
        observed.latency.labels("m").observe(seconds)
        observed.queue_delay.labels("m").observe(seconds / 2)
    tally.flush()
    assert shown(tallied) == shown(observed)


def test_failures_and_refusals_are_counted_by_their_reason() -> None:
    tallied, observed = GatewayMetrics(None), GatewayMetrics(None)
    tally = RequestTally(tallied)
    for _ in range(3):
        tally.failed("m", "deadline_exceeded")
        tally.refused("overloaded")
    tally.flush()
    observed.requests.labels("m", "deadline_exceeded").inc(3)
    observed.refused.labels("overloaded").inc(3)
    assert shown(tallied) == shown(observed)


def test_nothing_is_handed_on_twice() -> None:
    metrics = GatewayMetrics(None)
    tally = RequestTally(metrics)
    tally.answered("m", 0.1, [0.1])
    tally.flush()
    once = shown(metrics)
    tally.flush()
    assert shown(metrics) == once


def test_it_does_not_wait_for_more_than_its_bound() -> None:
    metrics = GatewayMetrics(None)
    tally = RequestTally(metrics)
    for _ in range(OBSERVATIONS_MAX):
        tally.answered("m", 0.1, [0.1])
    assert f'batchbridge_requests_total{{model="m",outcome="ok"}} {OBSERVATIONS_MAX}.0' in shown(
        metrics
    )
