"""What a server's own metrics say about a run: Prometheus text at /metrics, where there is some."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Collection, Iterable

from prometheus_client.parser import text_string_to_metric_families

from loadtest.caller import Caller
from loadtest.errors import NoAnswer
from loadtest.result import ServerSide

METRICS_PATH = "/metrics"
BATCH_ROWS = "batchbridge_batch_rows"
QUEUE_DELAY = "batchbridge_queue_delay_seconds"
# After an overload a server may need some time before it answers this too.
ANSWER_S_MAX = 10.0


def read_server_side(base_url: str, models: Collection[str]) -> ServerSide | None:
    """Return the server's histograms of these models so far, None where it has none to read."""
    try:
        with Caller(base_url, timeout_s=ANSWER_S_MAX) as caller:
            answer = caller.get(METRICS_PATH)
    except NoAnswer:
        return None
    if answer.status != 200:
        return None
    try:
        return parse_server_side(answer.body.decode(), models)
    except ValueError:  # not Prometheus's text format, or not UTF-8
        return None


def parse_server_side(text: str, models: Collection[str]) -> ServerSide | None:
    """Return the histograms in Prometheus's text format, None where there are none.

    A model that was not asked yet has no series: its counts are empty, not missing.

    Raises:
        ValueError: not Prometheus's text format.
    """
    found: dict[str, Counter[float]] = {}
    for family in text_string_to_metric_families(text):
        if family.name in (BATCH_ROWS, QUEUE_DELAY):
            cumulative = found.setdefault(family.name, Counter())
            for sample in family.samples:
                if sample.name.endswith("_bucket") and _is_of(sample.labels["model"], models):
                    cumulative[float(sample.labels["le"])] += int(sample.value)
    if not found:
        return None
    return ServerSide(
        batch_rows=_per_bucket(found.get(BATCH_ROWS, Counter())),
        queue_delay_s=_per_bucket(found.get(QUEUE_DELAY, Counter())),
    )


def difference(before: ServerSide, after: ServerSide) -> ServerSide | None:
    """Return what was counted between two readings, None where a server was started anew."""
    batch_rows = _less(after.batch_rows, before.batch_rows)
    queue_delay_s = _less(after.queue_delay_s, before.queue_delay_s)
    if any(count < 0 for count in (*batch_rows.values(), *queue_delay_s.values())):
        return None
    return ServerSide(batch_rows=batch_rows, queue_delay_s=queue_delay_s)


def _is_of(label: str, models: Iterable[str]) -> bool:
    return any(label == model or label.startswith(f"{model}@") for model in models)


def _per_bucket(cumulative: Counter[float]) -> dict[str, int]:
    """Prometheus counts everything up to a bound; we want what lies between two."""
    bounds = sorted(cumulative)
    below = itertools.chain((0,), (cumulative[bound] for bound in bounds))
    return {
        "+Inf" if math.isinf(bound) else f"{bound:g}": cumulative[bound] - lower
        for bound, lower in zip(bounds, below, strict=False)
    }


def _less(new: dict[str, int], old: dict[str, int]) -> dict[str, int]:
    return {bound: count - old.get(bound, 0) for bound, count in new.items()}
