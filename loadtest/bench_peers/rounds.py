"""The rounds of a comparison: in each, every part is measured once on every server it is for."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection
from pathlib import Path

from loadtest.bare_loop import BareLoop, open_bare_loop
from loadtest.bench_peers import wrk
from loadtest.bench_peers.figures import (
    BARE,
    BINARY,
    ONE,
    OPEN,
    REFUSED,
    ROWS,
    ROWS_BULK,
    STREAMED,
    THROUGHPUT,
    Found,
    Round,
)
from loadtest.bench_peers.load import (
    TIMEOUT_S,
    Load,
    Measured,
    bare,
    closed,
    closed_ours,
    closed_wrk,
    offered,
)
from loadtest.bench_peers.requests import (
    BULK,
    BULK_ROWS,
    Asked,
    example_row,
    make_refusing_model,
    scored,
    single_rows,
    v2_binary,
)
from loadtest.bench_peers.servers import (
    BATCHBRIDGE,
    FASTAPI,
    MODEL,
    MOSEC,
    REFUSING,
    REFUSING_PORT,
    Server,
    running_batchbridge,
)
from loadtest.bench_peers.stream import streamed
from loadtest.errors import ECHO_CHARS_MAX
from loadtest.traffic import OK

WARM_S = 1.0
CONNECTIONS = 64
BULK_CONNECTIONS = 16
# What is offered in the open loop, as a share of the most that mosec answers.
OPEN_SHARE = 0.7
PROBABILITY_ERROR_MAX = 1e-4
Trials = dict[str, Callable[[], Measured]]


@dataclass(slots=True)
class _Idle:
    """What a server used while another one was asked."""

    cpu_s: float = 0.0
    seconds: float = 0.0


@dataclass
class Bench:
    """The servers, what they are asked, and how long a measurement takes."""

    models: Path
    servers: Mapping[str, Server]
    seconds: float
    idle: dict[str, _Idle] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.loop = self._open_loop(MODEL)
        self.bulk_loop = self._open_loop(BULK)
        self.row = example_row()
        self.singles = single_rows(self.loop.input_name)

    def _open_loop(self, model: str) -> BareLoop:
        return open_bare_loop(self.models / model / "1" / "model.onnx")

    def check_answers(self) -> None:
        """Check that all servers say the same of the row.

        Raises:
            SystemExit: one of them does not, or does not answer 200.
        """
        said = {name: scored(name, self._ask(name)) for name in self.servers}
        known = said[BATCHBRIDGE]
        for name, one in said.items():
            pairs = zip(one.probabilities, known.probabilities, strict=True)
            error = max(abs(own - other) for own, other in pairs)
            if one.label != known.label or error > PROBABILITY_ERROR_MAX:
                raise SystemExit(f"{name} says {one}, {BATCHBRIDGE} says {known}")

    def _ask(self, name: str) -> bytes:
        asked = self.singles[name]
        connection = HTTPConnection("127.0.0.1", self.servers[name].port, timeout=TIMEOUT_S)
        with closing(connection):
            connection.request("POST", asked.path, asked.body, dict(asked.headers))
            answer = connection.getresponse()
            body = answer.read()
        if answer.status != OK:
            raise SystemExit(f"{name} answers {answer.status}: {body[:ECHO_CHARS_MAX]!r}")
        return body

    def warm_up(self) -> None:
        """Ask every server for a moment; what is found is not used."""
        for name in self.servers:
            closed(self._single(name, CONNECTIONS), WARM_S)

    def round(self, number: int, parts: list[str]) -> Round:
        """Measure each part once; within a part the order changes from round to round."""
        found: Round = {}
        for part in parts:
            found.update(PARTS[part](self, number, found))
        return found

    def throughput(self, connections: int, number: int, _: Round) -> Round:
        """Single-row JSON requests in a closed loop."""
        names = (BATCHBRIDGE, MOSEC, FASTAPI)
        return {THROUGHPUT[connections]: self._each(names, connections, number)}

    def one(self, number: int, _: Round) -> Round:
        """One connection, one request at a time."""
        return {ONE: self._each(tuple(self.servers), 1, number)}

    def open_loop(self, number: int, found: Round) -> Round:
        """The same offered rate, by as many connections."""
        part = found.get(THROUGHPUT[CONNECTIONS]) or self._each((MOSEC,), CONNECTIONS, number)
        rate = OPEN_SHARE * part[MOSEC].per_s

        def trial(name: str) -> Callable[[], Measured]:
            load = self._single(name, CONNECTIONS)
            return partial(offered, load, rate, self.seconds, number + 1)

        return {OPEN: self._run({name: trial(name) for name in (BATCHBRIDGE, MOSEC)}, number)}

    def rows(self, number: int, _: Round) -> Round:
        """Requests of 64 rows in binary beside a bare loop that runs 64 rows at a time."""
        found: Round = {}
        for part, model, loop in ((ROWS, MODEL, self.loop), (ROWS_BULK, BULK, self.bulk_loop)):
            row = self.row if model == MODEL else [0.5] * loop.width
            load = self._batchbridge(v2_binary(model, loop, row, BULK_ROWS), BULK_CONNECTIONS)
            trials: Trials = {
                BATCHBRIDGE: partial(closed, load, self.seconds),
                BARE: partial(bare, loop, BULK_ROWS, self.seconds / 2),
            }
            found[part] = self._run(trials, number)
        return found

    def binary(self, number: int, _: Round) -> Round:
        """Single rows in binary, for the gateway's CPU time."""
        load = self._batchbridge(v2_binary(MODEL, self.loop, self.row, 1), max(THROUGHPUT))
        return {BINARY: self._run({BATCHBRIDGE: partial(closed, load, self.seconds)}, number)}

    def streamed(self, number: int, _: Round) -> Round:
        """Single rows over WebSockets, with many and with few requests in a message."""
        server, name = self.servers[BATCHBRIDGE], self.loop.input_name
        return {
            part: self._run(
                {BATCHBRIDGE: partial(streamed, server, name, self.row, count, self.seconds)},
                number,
            )
            for count, part in STREAMED.items()
        }

    def refused(self, number: int, _: Round) -> Round:
        """The same requests to a server whose model's target nobody can keep, and to the other."""
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            models = Path(folder) / "models"
            make_refusing_model(models)
            with running_batchbridge(REFUSING, Path(folder), models, REFUSING_PORT) as server:
                load = Load(server, self.singles[BATCHBRIDGE], CONNECTIONS)
                closed(load, WARM_S)
                trials: Trials = {
                    REFUSING: partial(closed, load, self.seconds),
                    BATCHBRIDGE: partial(
                        closed, self._single(BATCHBRIDGE, CONNECTIONS), self.seconds
                    ),
                }
                return {REFUSED: self._run(trials, number)}

    def testers(self) -> Found:
        """The closed loops beside each other, once."""
        found: Found = {}
        for name in (BATCHBRIDGE, MOSEC, FASTAPI):
            load = self._single(name, CONNECTIONS)
            found[f"{name}: our closed loop"] = closed_ours(load, self.seconds)
            if wrk.is_there():
                found[f"{name}: wrk"] = closed_wrk(load, self.seconds)
        return found

    def _single(self, name: str, connections: int) -> Load:
        return Load(self.servers[name], self.singles[name], connections)

    def _batchbridge(self, asked: Asked, connections: int) -> Load:
        return Load(self.servers[BATCHBRIDGE], asked, connections)

    def _each(self, names: tuple[str, ...], connections: int, number: int) -> Found:
        trials: Trials = {
            name: partial(closed, self._single(name, connections), self.seconds) for name in names
        }
        return self._run(trials, number)

    def _run(self, trials: Trials, number: int) -> Found:
        """Run all, beginning with another one each round; return them in their own order."""
        names = list(trials)
        first = number % len(names)
        found = {
            name: self._watch_idle(name, trials[name]) for name in names[first:] + names[:first]
        }
        return {name: found[name] for name in names}

    def _watch_idle(self, asked: str, trial: Callable[[], Measured]) -> Measured:
        idle = {name: one for name, one in self.servers.items() if name != asked}
        before = {name: sum(server.cpu_s().values()) for name, server in idle.items()}
        began_s = time.monotonic()
        found = trial()
        seconds = time.monotonic() - began_s
        for name, server in idle.items():
            seen = self.idle.setdefault(name, _Idle())
            seen.cpu_s += sum(server.cpu_s().values()) - before[name]
            seen.seconds += seconds
        return found

    def print_idle(self) -> None:
        """Print what the servers used that were not asked."""
        cores = ", ".join(
            f"{name} {one.cpu_s / one.seconds:.3f}" for name, one in self.idle.items()
        )
        print(f"\nCores used by each server while another one was asked: {cores}")


PARTS: dict[str, Callable[[Bench, int, Round], Round]] = {
    "256": lambda bench, number, found: bench.throughput(256, number, found),
    "64": lambda bench, number, found: bench.throughput(64, number, found),
    "one": Bench.one,
    "open": Bench.open_loop,
    "rows": Bench.rows,
    "binary": Bench.binary,
    "streamed": Bench.streamed,
    "refused": Bench.refused,
}
