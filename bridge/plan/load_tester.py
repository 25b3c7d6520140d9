"""The load tester beside the system that a plan is verified with."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bridge.plan.cpu_time import Spent, cpu_time
from bridge.plan.errors import PlanError
from bridge.plan.verified import Probe

WANTED_SHARE = 0.99
WARM_S = 1.0


class _Latency(msgspec.Struct, frozen=True):
    percentiles_ms: dict[str, float | None]


class _Generator(msgspec.Struct, frozen=True):
    lag_p99_ms: float
    cpu_us_per_request: float


class TesterResult(msgspec.Struct, frozen=True):
    """What is read of the load tester's result."""

    offered: int
    outcomes: dict[str, int]
    latency: _Latency
    generator: _Generator

    @property
    def in_time_share(self) -> float:
        """Return the share of those offered that was answered in time."""
        return self.outcomes.get("in_time", 0) / self.offered

    @property
    def is_kept(self) -> bool:
        """Return whether the offered rate was kept."""
        return self.in_time_share >= WANTED_SHARE


class LoadTester:
    """The load tester as a program: it is a stranger to the bridge.

    Its `find-capacity` takes no run in which it was late itself by 1 % of the target. On the cores
    of the system under test it is: here its runs count, and its lag counts as latency. `probes` are
    the rates tried; `spent` is what the largest that was kept cost, None where that is unknown.
    """

    def __init__(self, url: str, server: int, model: str, target_s: float, seconds: float) -> None:
        """`server`: the process id of the `batchbridge serve` at `url`."""
        self._server = server
        self._seconds = seconds
        self._asked = ["--url", url, "--model", model, "--target-ms", f"{target_s * 1e3:g}"]
        self._asked += ["--seconds", f"{seconds:g}", "--warm-seconds", f"{WARM_S:g}"]
        self.probes: list[Probe] = []
        self.spent: Spent | None = None

    def run(self, rate: float) -> TesterResult:
        """Offer `rate` requests a second.

        Raises:
            PlanError: the load tester ended without a result.
        """
        before = cpu_time(self._server)
        result = self._result(["run", "steady", "--rate", f"{rate:.6g}"])
        after = cpu_time(self._server)
        is_most = self.spent is None or self.spent.rate_per_s < rate
        if before is not None and after is not None and result.is_kept and is_most:
            self.spent = Spent(
                rate_per_s=rate,
                # What is offered while it warms up costs as much, but is not counted as offered.
                requests=result.offered * (1 + WARM_S / self._seconds),
                cpu=after.since(before),
                generator_s=result.generator.cpu_us_per_request / 1e6,
            )
        self.probes.append(
            Probe(
                rate_per_s=rate,
                in_time_share=result.in_time_share,
                refused_share=result.outcomes.get("refused", 0) / result.offered,
                p99_ms=result.latency.percentiles_ms["99"],
            )
        )
        return result

    def _result(self, words: Sequence[str]) -> TesterResult:
        with tempfile.TemporaryDirectory(prefix="batchbridge-plan-") as folder:
            path = Path(folder) / "result.json"
            ended = subprocess.run(
                command(["loadtest", *words, *self._asked, "--json", str(path)]),
                check=False,
                capture_output=True,
                text=True,
                env=environment(),
            )
            if not path.is_file():
                raise PlanError(f"verify: loadtest {words[0]}: {ended.stderr.strip()[-500:]}")
            return msgspec.json.decode(path.read_bytes(), type=TesterResult)


def command(words: Sequence[str]) -> list[str]:
    """Return the `batchbridge` command with these words."""
    return [sys.executable, "-m", "bridge.cli", *words]


def environment() -> dict[str, str]:
    """Return this process's environment without settings: they are all said in words."""
    return {key: text for key, text in os.environ.items() if not key.startswith("BATCHBRIDGE_")}
