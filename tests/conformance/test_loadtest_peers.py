"""The load tester's dialects on the servers that they are for: real mosec, real FastAPI.

They serve from `.venv-peers`, in processes of their own; see `loadtest/peers/`.
"""

from __future__ import annotations

import asyncio
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadtest.bare_loop import open_bare_loop
from tests.command import run_to_end
from tests.conftest import required_in_ci
from tests.peer_server import PEERS_PYTHON, ROOT, peer_server

MODEL = ROOT / "models" / "breast_cancer" / "1" / "model.onnx"
ROWS = 50
SCENARIO = f"""
seconds = 1.5
warm_seconds = 0.2
arrivals = {{kind = "poisson", rate = 100}}
bodies = {{distinct = {ROWS}}}
"""
# A target that a busy machine keeps too: what is tested is the dialect, not the machine.
TARGET_MS = "10000"


@dataclass(frozen=True)
class Peer:
    dialect: str
    module: str
    options: tuple[str, ...]
    ready: str


MOSEC = "loadtest.peers.mosec_server"
PEERS = (
    Peer("mosec", MOSEC, ("--address", "127.0.0.1"), "http service is running"),
    Peer("mosec-msgpack", MOSEC, ("--msgpack", "--address", "127.0.0.1"), "service is running"),
    Peer("fastapi", "loadtest.peers.fastapi_server", (), "Uvicorn running on"),
)


@dataclass(frozen=True)
class Files:
    """What the load tester is given: V2 metadata, rows, and ONNX Runtime's outputs for them."""

    contract: Path
    rows: Path
    outputs: Path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("peers")
    found = Files(folder / "contract.json", folder / "rows.ndjson", folder / "outputs.ndjson")
    model = open_bare_loop(MODEL)
    columns = tomllib.loads(MODEL.with_name("contract.toml").read_text())["inputs"]["features"]
    features = {
        "name": "features",
        "datatype": "FP32",
        "shape": [-1, model.width],
        "parameters": {"columns": columns["columns"]},
    }
    label = {"name": "label", "datatype": "INT64", "shape": [-1]}
    probabilities = {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]}
    contract = {"name": "m", "inputs": [features], "outputs": [label, probabilities]}
    found.contract.write_text(json.dumps(contract))
    # Around the sample's medians, so that both labels come.
    example = json.loads(MODEL.with_name("example.json").read_text())["inputs"][0]["data"]
    row = np.array(example, dtype=np.float32).reshape(-1, model.width)[0]
    scales = np.random.default_rng(1).uniform(0.5, 1.5, (ROWS, model.width))
    rows = (row * scales).astype(np.float32)
    values = model.session.run(["label", "probabilities"], {"features": rows})
    _write_lines(found.rows, ["features"], [rows])
    _write_lines(found.outputs, ["label", "probabilities"], values)
    return found


def _write_lines(path: Path, names: list[str], columns: list[Any]) -> None:
    rows = zip(*(column.tolist() for column in columns), strict=True)
    path.write_text("".join(f"{json.dumps(dict(zip(names, row, strict=True)))}\n" for row in rows))


@dataclass(frozen=True)
class Runs:
    """Two runs on one peer: answers compared with its own to single rows, and with ours."""

    checked: dict[str, Any]
    expected: dict[str, Any]


async def _runs(peer: Peer, files: Files, folder: Path) -> Runs:
    scenario = folder / "scenario.toml"
    scenario.write_text(SCENARIO)

    async def run(name: str, *words: str) -> dict[str, Any]:
        file = folder / f"{name}.json"
        ended = await run_to_end(
            "loadtest", "run", str(scenario), "--url", url, "--model", "m",
            "--contract", str(files.contract), "--dialect", peer.dialect,
            "--target-ms", TARGET_MS, *words, "--json", str(file),
        )  # fmt: skip
        assert (ended.code, file.exists()) == (0, True), ended.err
        result: dict[str, Any] = json.loads(file.read_text())
        return result

    words = ("-m", peer.module, str(MODEL), *peer.options)
    async with peer_server(ROOT, words, peer.ready) as url:
        checked = await run("checked", "--check-answers")
        words = ("--data", str(files.rows), "--expected", str(files.outputs))
        return Runs(checked, await run("expected", *words))


@pytest.fixture(scope="module", params=PEERS, ids=lambda peer: peer.dialect)
def runs(
    request: pytest.FixtureRequest, files: Files, tmp_path_factory: pytest.TempPathFactory
) -> Runs:
    if not PEERS_PYTHON.exists():
        required_in_ci("there is no .venv-peers; make install-peers creates it")
    return asyncio.run(_runs(request.param, files, tmp_path_factory.mktemp("runs")))


def test_answers_under_load_are_those_to_single_rows(runs: Runs) -> None:
    assert runs.checked["outcomes"] == {"in_time": runs.checked["offered"], "late": 0}


def test_answers_are_those_of_the_model_run_without_a_server(runs: Runs) -> None:
    assert runs.expected["outcomes"] == {"in_time": runs.expected["offered"], "late": 0}


def test_the_rows_have_answers_of_both_labels(files: Files) -> None:
    labels = [json.loads(line)["label"] for line in files.outputs.read_text().splitlines()]
    assert set(labels) == {0, 1}
