"""From a model file and a table to a served contract, and rows made up for it: the commands."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.command import Ended, run_to_end
from tests.sample_models import version_folder
from tests.system import System, running_system
from tests.tiny_models import write_version

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def command(*words: str | Path) -> Ended:
    ended = await run_to_end(*map(str, words))
    assert (ended.code, ended.err) == (0, "")
    return ended


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version described from rows like those of the sample model; only its code is given."""
    root = tmp_path_factory.mktemp("described")
    sample = version_folder("crop_yield")
    version = write_version(root, "fields", pipeline=(sample / "pipeline.py").read_text())
    (version / "model.onnx").write_bytes((sample / "model.onnx").read_bytes())
    await command("synthesize", sample, "--rows", "400", "--output", root / "reference.parquet")
    await command("describe", version, "--data", root / "reference.parquet")
    return version


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(folder: Path) -> AsyncIterator[System]:
    async with running_system(folder.parents[1]) as running:
        yield running


def infer_body(record: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """A made-up row as a request like the example."""
    inputs = [{**one, "data": [record[one["name"]]]} for one in document["inputs"]]
    return {"inputs": inputs}


async def test_the_described_model_passes_the_check_with_rows_like_its_data(folder: Path) -> None:
    ended = await command("check", folder)
    assert "fields@1: passed: " in ended.out
    assert "rows (made up like those of statistics.json) compared" in ended.out


async def test_the_described_model_answers_its_example(
    folder: Path, served: System, http: aiohttp.ClientSession
) -> None:
    body = (folder / "example.json").read_bytes()
    async with http.post(f"{served.url}/v2/models/fields/infer", data=body) as response:
        answer = await response.json()
    assert response.status == 200
    assert answer["outputs"][0]["data"][0] > 0


async def test_callers_are_refused_exactly_as_the_made_up_rows_say(
    folder: Path, served: System, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    path = tmp_path / "unseen.ndjson"
    await command("synthesize", folder, "--rows", "3", "--unseen", "--edge-cases", "--output", path)
    records = [json.loads(line) for line in path.read_text().splitlines()]
    document = json.loads((folder / "example.json").read_text())
    found = []
    for record in records:
        body = infer_body(record, document)
        async with http.post(f"{served.url}/v2/models/fields/infer", json=body) as response:
            answer = await response.json()
            code = "" if response.status == 200 else answer["code"]
            # A tensor in JSON has nulls where its datatype has: elsewhere null is another type.
            if record["scenario"].endswith(" missing") and code == "wrong_type":
                code = "null_value"
            found.append((record["scenario"], code))
    assert found == [(record["scenario"], record["expected_error"]) for record in records]


async def test_describing_again_without_force_is_refused(folder: Path) -> None:
    ended = await run_to_end("describe", str(folder))
    assert (ended.code, ended.said) == (
        2,
        [
            f"batchbridge: {folder}/contract.toml is there: --force writes it anew, "
            "--statistics-only leaves it"
        ],
    )
