"""The server's histograms, read from Prometheus's text format."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Histogram, generate_latest

from loadtest.result import ServerSide
from loadtest.server_metrics import difference, parse_server_side


def exposition(rows: dict[str, list[int]]) -> str:
    """What a server writes after batches of so many rows, by model."""
    registry = CollectorRegistry()
    batch_rows = Histogram(
        "batchbridge_batch_rows", "-", ["model"], buckets=(1, 2, 4), registry=registry
    )
    delay = Histogram(
        "batchbridge_queue_delay_seconds", "-", ["model"], buckets=(0.0005, 0.01),
        registry=registry,
    )  # fmt: skip
    for model, batches in rows.items():
        for count in batches:
            batch_rows.labels(model).observe(count)
            delay.labels(model).observe(0.002)
    return generate_latest(registry).decode()


def test_counts_are_per_bucket_and_not_cumulative() -> None:
    found = parse_server_side(exposition({"a": [1, 3, 3, 9]}), ["a"])
    assert found == ServerSide(
        batch_rows={"1": 1, "2": 0, "4": 2, "+Inf": 1},
        queue_delay_s={"0.0005": 0, "0.01": 4, "+Inf": 0},
    )


def test_other_models_are_not_counted() -> None:
    text = exposition({"a": [1], "b": [1, 1], "ab": [1]})
    found = parse_server_side(text, ["a"])
    assert found is not None and found.batch_rows["1"] == 1


def test_several_models_are_added_up() -> None:
    text = exposition({"a": [1], "b": [1, 1], "c": [1]})
    found = parse_server_side(text, ["a", "b"])
    assert found is not None and found.batch_rows["1"] == 3


def test_a_model_that_was_not_asked_yet_has_empty_counts() -> None:
    assert parse_server_side(exposition({}), ["a"]) == ServerSide(batch_rows={}, queue_delay_s={})


def test_a_server_without_such_histograms_has_nothing_to_say() -> None:
    assert parse_server_side("# TYPE up gauge\nup 1\n", ["a"]) is None


def test_a_run_is_the_difference_of_two_readings() -> None:
    before = ServerSide(batch_rows={}, queue_delay_s={"0.01": 3})
    after = ServerSide(batch_rows={"1": 2}, queue_delay_s={"0.01": 5})
    wanted = ServerSide(batch_rows={"1": 2}, queue_delay_s={"0.01": 2})
    assert difference(before, after) == wanted


def test_nothing_is_said_of_a_server_that_was_started_anew() -> None:
    before = ServerSide(batch_rows={"1": 5}, queue_delay_s={})
    after = ServerSide(batch_rows={"1": 2}, queue_delay_s={})
    assert difference(before, after) is None
