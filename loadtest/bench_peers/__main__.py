"""`make bench-peers`: Batchbridge beside mosec and FastAPI, with the same model and the same row.

All servers run all the time, and in each round they are asked one after another, in another order
each time. Prints Markdown: what was reached, what each server and process did, and what the load
generator itself changes. Needs `make install-peers`; uses `wrk` where it is installed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from loadtest.bench_peers.figures import (
    FIGURES,
    Found,
    Round,
    print_figures,
    print_measured,
    values_of,
)
from loadtest.bench_peers.machine import header
from loadtest.bench_peers.requests import make_models
from loadtest.bench_peers.rounds import PARTS, Bench
from loadtest.bench_peers.servers import running_servers

ROUNDS, SECONDS = 5, 5.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each measurement")
    parser.add_argument("--only", nargs="+", choices=tuple(PARTS), default=list(PARTS))
    parser.add_argument("--json", type=Path, help="also write all that was measured to this file")
    options = parser.parse_args()
    begun = header()
    print(f"{begun}\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        models = Path(folder) / "models"
        make_models(models)
        with running_servers(Path(folder), models) as servers:
            bench = Bench(models, servers, options.seconds)
            bench.check_answers()
            bench.warm_up()
            rounds = []
            for number in range(options.rounds):
                rounds.append(bench.round(number, options.only))
                print(f"round {number + 1} of {options.rounds} done", file=sys.stderr)
            testers = bench.testers()
    print_figures(rounds)
    print_measured(rounds, testers)
    bench.print_idle()
    if options.json:
        document = {"header": begun, **_document(rounds, testers)}
        options.json.write_text(json.dumps(document, indent=2) + "\n")


def _document(rounds: list[Round], testers: Found) -> dict[str, Any]:
    def written(found: Found) -> dict[str, Any]:
        return {name: asdict(one) for name, one in found.items()}

    return {
        "figures": {figure.name: values_of(figure, rounds) for figure in FIGURES},
        "rounds": [{part: written(found) for part, found in one.items()} for one in rounds],
        "testers": written(testers),
    }


if __name__ == "__main__":
    main()
