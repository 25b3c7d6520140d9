"""`batchbridge check`: the step between trained and deployed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.command import Ended, free_port, run_to_end
from tests.dependent_models import DEPENDENT
from tests.system import SAMPLE_MODELS, running_system
from tests.tiny_models import PATIENT, affine, infer_body, write_version

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def check(*words: str | Path) -> Ended:
    return await run_to_end("check", *map(str, words))


@pytest.fixture
def rank(tmp_path: Path) -> Path:
    return DEPENDENT["rank within the batch"].write(tmp_path, "rank")


async def test_the_sample_models_pass(tmp_path: Path) -> None:
    ended = await check(SAMPLE_MODELS, "--quick")
    verdicts = [
        line for line in ended.out.splitlines() if not line.startswith((" ", "\n")) and line
    ]
    samples = {f"{folder.parent.name}@1" for folder in SAMPLE_MODELS.glob("*/1")}
    assert (ended.code, ended.err, {line.split(":")[0] for line in verdicts}) == (0, "", samples)
    assert all(": passed: " in line for line in verdicts)


async def test_a_dependent_model_fails_with_an_example(rank: Path) -> None:
    ended = await check(rank)
    lines = ended.out.splitlines()
    assert ended.code == 1
    assert lines[0] == "rank@1: FAILED: an answer depends on the other rows of its batch."
    assert any("> row 0 of the batch, made-up row 0: x = [" in line for line in lines)
    assert any(line.startswith("  pipeline.py: predict ") for line in lines)


async def test_rows_of_text_are_shown(tmp_path: Path) -> None:
    ended = await check(DEPENDENT["padding to the longest"].write(tmp_path, "m"))
    assert (ended.code, ended.err) == (1, "")
    assert any(
        line.startswith("  > row 0 of the batch, made-up row") for line in ended.out.splitlines()
    )


async def test_the_node_responsible_is_named(tmp_path: Path) -> None:
    ended = await check(DEPENDENT["mean over axis 0"].write(tmp_path, "m"))
    assert "  model.onnx: ReduceMean mean reduces over the rows (axis 0)" in ended.out.splitlines()


async def test_the_report_is_written_as_json(rank: Path, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    await check(rank, "--json", path)
    document: dict[str, Any] = json.loads(path.read_text())
    (model,) = document["models"]
    (output,) = model["outputs"]
    assert (document["passed"], model["model"], model["verdict"], output["agreement"]) == (
        False,
        "rank@1",
        "dependent",
        "different",
    )
    assert len(output["finding"]["batch"]) == 2


async def test_a_model_is_found_by_its_own_folder_too(rank: Path) -> None:
    ended = await check(rank.parent)
    assert ended.out.startswith("rank@1: FAILED")


async def test_a_dependence_that_the_contract_provides_for_passes(tmp_path: Path) -> None:
    more = '[serving]\non_row_dependence = "serve-alone"\n'
    ended = await check(DEPENDENT["rank within the batch"].write(tmp_path, "m", more))
    assert ended.code == 0
    assert "each row runs by itself" in ended.out


async def test_rows_of_a_file_are_used(tmp_path: Path) -> None:
    folder = write_version(tmp_path, "m", graph=affine(2, 1))
    data = tmp_path / "rows.ndjson"
    data.write_text("".join(f'{{"x": {row}.5}}\n' for row in range(9)))
    ended = await check(folder, "--data", data)
    assert f"  9 of 9 rows ({data}) compared" in ended.out


async def test_rows_of_csv_are_used(tmp_path: Path) -> None:
    folder = DEPENDENT["rank within the batch"].write(tmp_path, "m")
    data = tmp_path / "rows.csv"
    data.write_text("x.0,x.1,x.2,x.3\n1,2,3,4\n4,3,2,1\n")
    ended = await check(folder, "--data", data)
    assert "reference row 0" in ended.out


async def test_a_file_without_the_columns_is_refused(rank: Path, tmp_path: Path) -> None:
    data = tmp_path / "rows.csv"
    data.write_text("a\n1\n")
    ended = await check(rank, "--data", data)
    assert (ended.code, len(ended.said)) == (2, 1)
    assert ended.said[0].startswith("batchbridge: data: ")


@pytest.mark.parametrize(
    "words",
    [("--batch-rows", "1"), ("--seconds", "0"), ("--threads", "0"), ("--json", "/none/x.json")],
)
async def test_a_wrong_option_is_named(rank: Path, words: tuple[str, str]) -> None:
    ended = await check(rank, *words)
    assert (ended.code, ended.said[0].split(":")[1].strip()) == (2, words[0].strip("-"))


async def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    ended = await check(tmp_path)
    assert (ended.code, ended.said) == (
        2,
        [f"batchbridge: MODEL_DIR: {tmp_path} holds neither model.onnx nor pipeline.py"],
    )


async def test_a_worker_refuses_to_serve_a_dependent_model(rank: Path, tmp_path: Path) -> None:
    ended = await run_to_end("serve", "--models", str(tmp_path), "--port", str(free_port()))
    assert ended.code != 0
    assert "output y depends on the other rows of the batch" in ended.err


async def test_the_rows_of_one_request_are_run_alone_if_the_contract_says_so(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    more = f'{PATIENT}on_row_dependence = "serve-alone"\n'
    DEPENDENT["rank within the batch"].write(tmp_path, "m", more)
    body = infer_body([4, 3, 2, 1, 1, 2, 3, 4, 5, 6, 7, 8], width=4)
    async with (
        running_system(tmp_path) as system,
        http.post(f"{system.url}/v2/models/m/infer", json=body) as response,
    ):
        answer = await response.json()
    assert answer["outputs"][0]["data"] == [0.0] * 12
