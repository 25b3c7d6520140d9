"""Keeps the batch lane of a model full for some seconds: the saturating job of a benchmark.

`python -m bridge.jobs.feeder --redis URL --model m@1 --seconds 5` prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import time

from bridge.contract.example import example_run
from bridge.jobs.lane_client import LaneClient, LaneError
from bridge.wire.frame import ResultStatus

FRAME_ROWS = 256
WINDOW_ROWS = 2_048


def main() -> None:
    """Feed as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--redis", required=True)
    parser.add_argument("--model", required=True, help="model@version")
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    client = LaneClient(options.redis, options.model)
    try:
        done, elapsed_s = feed(client, options.seconds)
    except LaneError as error:
        raise SystemExit(str(error)) from error
    finally:
        client.close()
    print(json.dumps({"rows": done, "seconds": elapsed_s, "rows_per_s": done / elapsed_s}))


def feed(client: LaneClient, seconds: float) -> tuple[int, float]:
    """Keep `WINDOW_ROWS` rows in the lane; return the rows scored within `seconds`, and these.

    What is under way at the end is waited for and not counted.

    Raises:
        LaneError: nothing serves the model, or no result came for long.
    """
    contract = client.contract()
    tensors = example_run(contract, FRAME_ROWS)
    started_s = time.monotonic()
    ends_s = started_s + seconds
    under_way = done = 0
    while True:
        is_over = time.monotonic() >= ends_s
        while not is_over and under_way + FRAME_ROWS <= WINDOW_ROWS:
            client.push(tensors)
            under_way += FRAME_ROWS
        if not under_way:
            return done, seconds
        frame = client.results()
        if frame is None:
            raise LaneError("no results: do the workers still serve the model?")
        under_way -= sum(entry.rows for entry in frame.results)
        if time.monotonic() < ends_s:
            done += sum(e.rows for e in frame.results if e.status is ResultStatus.OK)


if __name__ == "__main__":
    main()
