"""`batchbridge serve`: one command from a folder of models to answers, and back to nothing."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.command import (
    Running,
    children,
    environment,
    free_port,
    listening,
    mapped_files,
    running,
)
from tests.conftest import required_in_ci
from tests.gate import HELD, Gate, held_run
from tests.system import SAMPLE_MODELS, post
from tests.tiny_models import PATIENT, infer_body
from tests.waiting import elapse

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Served:
    """A running `batchbridge serve` that has said that it is ready."""

    def __init__(self, command: Running, port: int) -> None:
        self.command = command
        self.url = f"http://127.0.0.1:{port}"
        self.port = port

    def children(self, word: str) -> list[int]:
        """The process ids of the children whose command line holds this word."""
        return [pid for pid, line in children(self.command.pid).items() if word in line]


@asynccontextmanager
async def serving(models: Path, *options: str) -> AsyncIterator[Served]:
    port = free_port()
    words = ["serve", "--models", str(models), "--port", str(port), *options]
    async with running(*words) as command:
        await command.out.line_with("curl")
        yield Served(command, port)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def samples() -> AsyncIterator[Served]:
    """The sample models, served; not changed by the tests that share it."""
    async with serving(SAMPLE_MODELS) as served:
        yield served


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate() -> AsyncIterator[Gate]:
    async with Gate.open() as opened:
        yield opened


@pytest.fixture(scope="module")
def models(gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    gate.write_model(root, "gated", PATIENT)
    return root


async def test_it_says_where_it_is_ready_and_what_it_serves(samples: Served) -> None:
    assert samples.command.out.lines[0] == (
        f"Batchbridge is ready at {samples.url}, serving breast_cancer, crop_yield, digits, "
        "evapotranspiration, fixed_batch, soil_water. Try:"
    )


async def test_the_curl_line_that_it_prints_gets_a_prediction(samples: Served) -> None:
    if shutil.which("curl") is None:
        required_in_ci("curl is not on the PATH")
    line = await samples.command.out.line_with("curl")
    process = await asyncio.create_subprocess_shell(line, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert json.loads(out)["outputs"][0]["data"]


async def test_the_curl_line_works_for_models_without_an_example(models: Path) -> None:
    if shutil.which("curl") is None:
        required_in_ci("curl is not on the PATH")
    async with serving(models) as served:
        line = await served.command.out.line_with("curl")
        process = await asyncio.create_subprocess_shell(line, stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate()
    assert json.loads(out)["name"] == "gated"


async def test_it_listens_on_loopback_only(samples: Served) -> None:
    pids = [samples.command.pid, *children(samples.command.pid)]
    assert {address for pid in pids for address in listening(pid)} == {
        f"0100007F:{samples.port:04X}"
    }


async def test_its_queue_is_in_a_directory_of_this_user_alone(samples: Served) -> None:
    directory = queue_directory(samples)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def queue_directory(served: Served) -> Path:
    """From the title of the queue's process, which names its socket."""
    (line,) = [line for line in children(served.command.pid).values() if "queue.sock" in line]
    (word,) = [word for word in line.split() if word.endswith("queue.sock")]
    return Path(word.removeprefix("unixsocket:")).parent


async def test_its_gateway_loads_no_model_runtime(samples: Served) -> None:
    (gateway,) = samples.children("bridge.cli gateway")
    assert "onnxruntime" not in mapped_files(gateway)


@pytest.mark.parametrize("stop", ["SIGTERM", "Ctrl-C"])
async def test_a_stop_answers_what_was_accepted_and_ends_with_zero(
    gate: Gate, models: Path, http: aiohttp.ClientSession, stop: str
) -> None:
    async with serving(models) as served:
        url = f"{served.url}/v2/models/gated/infer"
        accepted = asyncio.create_task(post(http, url, infer_body([HELD])))
        async with held_run(gate):
            if stop == "SIGTERM":
                served.command.signal(signal.SIGTERM)
            else:
                served.command.ctrl_c()
            await served.command.err.event("draining", in_flight=1)
        status, answer, _ = await accepted
        assert (status, answer["outputs"][0]["data"]) == (200, [2 * HELD + 1])
        assert await served.command.exit_code() == 0


async def test_nothing_is_left_after_a_stop(models: Path) -> None:
    async with serving(models) as served:
        directory, pids = queue_directory(served), list(children(served.command.pid))
        was_there = directory.exists()
        served.command.signal(signal.SIGTERM)
        await served.command.exit_code()
    assert (was_there, directory.exists(), [pid for pid in pids if is_alive(pid)]) == (
        True,
        False,
        [],
    )


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_worker_that_is_killed_comes_back(
    models: Path, http: aiohttp.ClientSession
) -> None:
    async with serving(models) as served:
        (worker,) = served.children("bridge.cli worker")
        os.kill(worker, signal.SIGKILL)
        await served.command.err.event("child_ready", count=2, child="worker-0")
        assert await answered(served, http)


async def test_a_gateway_that_is_killed_comes_back(
    models: Path, http: aiohttp.ClientSession
) -> None:
    async with serving(models) as served:
        (gateway,) = served.children("bridge.cli gateway")
        os.kill(gateway, signal.SIGKILL)
        await served.command.err.event("child_ready", count=2, child="gateway-0")
        assert await answered(served, http)


async def test_a_queue_that_is_killed_comes_back(models: Path, http: aiohttp.ClientSession) -> None:
    async with serving(models) as served:
        (queue,) = served.children("queue.sock")
        os.kill(queue, signal.SIGKILL)
        await served.command.err.event("child_ready", count=2, child="queue")
        await served.command.err.event("queue_connected", count=2)
        assert await answered(served, http)


async def answered(served: Served, http: aiohttp.ClientSession) -> bool:
    """Ask until there is an answer: a moment passes before the gateway has heard of a worker.

    Each refusal names its wait, a second at most; the test's own timeout bounds them all.
    """
    url = f"{served.url}/v2/models/gated/infer"
    while True:
        status, answer, headers = await post(http, url, infer_body([4.0]))
        if status == 200:
            return bool(answer["outputs"][0]["data"] == [9.0])
        assert status == 503, answer
        await elapse(int(headers["retry-after-ms"]) / 1000)


async def test_several_gateways_answer_on_one_port(
    models: Path, http: aiohttp.ClientSession
) -> None:
    async with serving(models, "--gateways", "2", "--workers", "2") as served:
        gateways = served.children("bridge.cli gateway")
        assert [listening(pid) for pid in gateways] == [{f"0100007F:{served.port:04X}"}] * 2


async def test_every_setting_can_come_from_the_environment(
    models: Path, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    port = free_port()
    env = environment(
        BATCHBRIDGE_MODELS=str(models),
        BATCHBRIDGE_HOST="127.0.0.1",
        BATCHBRIDGE_PORT=str(port),
        BATCHBRIDGE_GATEWAYS="2",
        BATCHBRIDGE_WORKERS="2",
        BATCHBRIDGE_THREADS="1",
    )
    async with running("serve", cwd=tmp_path, env=env) as command:
        await command.out.line_with(f"ready at http://127.0.0.1:{port}")
        ready = {event["child"] for event in command.err.events("child_ready")}
    assert ready == {"queue", "gateway-0", "gateway-1", "worker-0", "worker-1", "job-runner"}
