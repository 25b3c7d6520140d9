"""The real MLPerf LoadGen against a server that answers in 2 ms."""

from __future__ import annotations

import asyncio
import importlib.util
import os
from pathlib import Path
from typing import get_args

import pytest

from loadtest.bodies import Body, BodyPool
from loadtest.dialects.v2_json import V2Json
from loadtest.mlperf import MlperfError, MlperfPlan, MlperfResult, Scenario, run_mlperf
from loadtest.subject import Portion, Subject, subject_of
from tests.known_server import OK, REFUSED, KnownServer, known_server

IS_CI = bool(os.environ.get("CI"))
needs_loadgen = pytest.mark.skipif(
    importlib.util.find_spec("mlperf_loadgen") is None and not IS_CI,
    reason="mlcommons-loadgen is not installed",
)


def subject_at(url: str) -> Subject:
    bodies = [b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n%d" % n for n in range(10)]
    pool = BodyPool(V2Json(), "x", "/x", tuple(Body(body) for body in bodies), {})
    return subject_of(url, {}, [Portion("m", 1.0, pool)])


def plan_of(scenario: Scenario, logs: Path) -> MlperfPlan:
    # LoadGen's early stopping needs 662 queries for a 99th percentile (Server); Offline must expect
    # more than the server's 4,000/s (8 callers, 2 ms), or it ends before its least duration.
    rate = 6_000 if scenario == "Offline" else 800
    return MlperfPlan(
        scenario=scenario, rate=rate, seconds=1, queries=100, connections=8, target_ms=500, seed=1,
        logs=logs,
    ).checked()  # fmt: skip


async def measured(server: KnownServer, scenario: Scenario, logs: Path) -> MlperfResult:
    async with known_server(server):
        subject = subject_at(f"http://127.0.0.1:{server.port}")
        return await asyncio.to_thread(run_mlperf, plan_of(scenario, logs), subject)


@needs_loadgen
@pytest.mark.parametrize("scenario", get_args(Scenario))
async def test_loadgen_finds_a_scenario_valid(scenario: Scenario, tmp_path: Path) -> None:
    result = await measured(KnownServer(delay_s=0.002), scenario, tmp_path)
    assert (result.summary["Scenario"], result.summary["Result is"], result.failed) == (
        scenario,
        "VALID",
        0,
    )


@needs_loadgen
async def test_a_single_streams_latency_is_at_least_the_servers(tmp_path: Path) -> None:
    result = await measured(KnownServer(delay_s=0.002), "SingleStream", tmp_path)
    assert int(result.summary["Min latency (ns)"]) >= 2_000_000


@needs_loadgen
async def test_the_result_says_that_it_is_not_official(tmp_path: Path) -> None:
    result = await measured(KnownServer(delay_s=0.002), "SingleStream", tmp_path)
    assert result.note.startswith("not an official MLPerf result")


@needs_loadgen
async def test_refusals_make_a_result_invalid_whatever_loadgen_thinks(tmp_path: Path) -> None:
    # The first request is asked before LoadGen starts.
    server = KnownServer(answer=lambda number: REFUSED if number == 5 else OK, delay_s=0.002)
    result = await measured(server, "SingleStream", tmp_path)
    assert (result.is_valid, result.failed) == (False, 1)


def test_a_plan_out_of_bounds_is_named(tmp_path: Path) -> None:
    plan = MlperfPlan("Server", 0.0, 1, 1, 1, 1, 0, tmp_path)
    with pytest.raises(MlperfError, match=r"rate: 0\.0 is not between"):
        plan.checked()
