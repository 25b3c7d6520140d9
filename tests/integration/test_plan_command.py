"""`batchbridge plan`: a question on the command line, an answer as text and JSON."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.command import Ended, free_port, run_to_end
from tests.system import SAMPLE_MODELS, System, running_system

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODEL = "breast_cancer"


async def plan(*words: str) -> Ended:
    return await run_to_end("plan", *words)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system() -> AsyncIterator[System]:
    async with running_system(SAMPLE_MODELS) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def planned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ended, Path]:
    path = tmp_path_factory.mktemp("plan") / "plan.json"
    words = [MODEL, "--models", str(SAMPLE_MODELS), "--rate", "100"]
    return await plan(*words, "--latency-target-ms", "50", "--json", str(path)), path


async def test_a_model_is_profiled_and_planned(planned: tuple[Ended, Path]) -> None:
    ended, _ = planned
    assert (ended.code, ended.said) == (0, [])


async def test_the_page_begins_with_what_was_asked(planned: tuple[Ended, Path]) -> None:
    ended, _ = planned
    assert ended.out.splitlines()[0] == (
        "breast_cancer@1: 100 single-row requests/s (Poisson), p99 within 50 ms"
    )


async def test_the_json_file_holds_the_plan(planned: tuple[Ended, Path]) -> None:
    _, path = planned
    document = json.loads(path.read_text())
    assert (document["is_possible"], document["formation"]["workers"]) == (True, 1)


async def test_a_running_system_tells_what_it_measured(system: System) -> None:
    ended = await plan(MODEL, "--url", system.url, "--rate", "100")
    assert f"measured by the running system at {system.url}" in ended.out


async def test_a_model_that_the_running_system_does_not_know_is_refused(system: System) -> None:
    ended = await plan("nothing", "--url", system.url, "--rate", "100")
    assert (ended.code, ended.said) == (
        2,
        [f"batchbridge: MODEL: {system.url} serves no model 'nothing'"],
    )


async def test_a_target_that_cannot_be_kept_is_said_with_exit_code_1() -> None:
    words = [MODEL, "--models", str(SAMPLE_MODELS), "--rate", "100"]
    ended = await plan(*words, "--latency-target-ms", "0.5")
    assert (ended.code, "CANNOT BE KEPT" in ended.out) == (1, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--rate", "0"], "rate: 0 is not above 0 and at most 1e+07, requests per second"),
        (["--rate", "-5"], "rate: -5 is not above 0 and at most 1e+07, requests per second"),
        (
            ["--rate", "1", "--latency-target-ms", "0"],
            "latency-target-ms: 0 is not above 0 and at most 3.6e+06, milliseconds",
        ),
        (
            ["--rate", "1", "--latency-target-ms", "soon"],
            "latency-target-ms: 'soon' is not a number",
        ),
        (["--rate", "1", "--seconds", "0"], "seconds: 0 is not above 0 and at most 600"),
    ],
)
async def test_a_value_that_cannot_be_is_refused(words: list[str], said: str) -> None:
    ended = await plan(MODEL, "--models", str(SAMPLE_MODELS), *words)
    assert (ended.code, ended.said) == (2, [f"batchbridge: {said}"])


async def test_an_unknown_model_is_refused_with_the_known_ones() -> None:
    ended = await plan("nothing", "--models", str(SAMPLE_MODELS), "--rate", "1")
    assert (ended.code, "it holds: breast_cancer" in ended.said[0]) == (2, True)


async def test_a_system_that_cannot_be_reached_is_named() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    ended = await plan(MODEL, "--url", url, "--rate", "1")
    assert (ended.code, f"{url} cannot be reached" in ended.said[0]) == (2, True)


async def test_verifying_a_running_system_is_refused(system: System) -> None:
    ended = await plan(MODEL, "--url", system.url, "--rate", "1", "--verify")
    assert ended.code == 2
