"""`batchbridge record` and `check`: golden rows through a real queue, worker and gateway."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.command import Ended, run_to_end
from tests.system import SAMPLE_MODELS
from tests.tiny_models import PATIENT, tensors, write_version

pytestmark = pytest.mark.asyncio(loop_scope="module")

WAYS = [
    "in this process, all rows at once",
    *(
        f"{form}, {how}"
        for form in ("JSON", "binary", "MessagePack", "named rows", "stream")
        for how in ("one row at a time", "among strangers")
    ),
    "job",
]
# Each row's answer follows from the row alone, but for what it remembers of the batch.
CENTRED = 'def predict(inputs):\n    x = inputs["x"]\n    return {"y": x - x.mean()}\n'


async def command(*words: str | Path) -> Ended:
    return await run_to_end(*map(str, words))


def report(path: Path) -> dict[str, Any]:
    (model,) = json.loads(path.read_text())["models"]
    found: dict[str, Any] = model
    return found


async def test_the_sample_gives_its_golden_answers_and_decisions_on_every_way(
    tmp_path: Path,
) -> None:
    path = tmp_path / "report.json"
    ended = await command("check", SAMPLE_MODELS / "breast_cancer", "--json", path)
    assert (ended.code, ended.err) == (0, "")
    found = report(path)
    ways = {way["way"]: way["agreement"] for way in found["golden"]["ways"]}
    assert (list(ways), set(ways.values())) == (WAYS, {"exact"})
    assert (found["golden"]["rows"], found["decision"]["threshold_version"]) == (143, "1")


async def test_a_row_that_is_other_on_the_way_than_in_the_nightly_batch_is_found(
    tmp_path: Path,
) -> None:
    contract = f'{PATIENT}on_row_dependence = "allow"\n{tensors()}'
    folder = write_version(tmp_path, "m", pipeline=CENTRED, contract=contract)
    rows, path = tmp_path / "rows.csv", tmp_path / "report.json"
    rows.write_text("x\n1\n2\n6\n", "utf-8")
    recorded = await command("record", folder, "--data", rows)
    assert (recorded.code, recorded.out) == (0, f"{folder / 'golden.parquet'}: 3 rows recorded\n")
    ended = await command("check", folder, "--json", path)
    assert (ended.code, ended.err) == (1, "")
    golden = report(path)["golden"]
    passed = {way["way"]: way["passed"] for way in golden["ways"]}
    assert (passed[WAYS[0]], passed["JSON, one row at a time"]) == (True, False)
    assert (golden["first"]["stage"], golden["first"]["when"]) == (
        "predict",
        "when the row is alone, not with all rows in one batch",
    )
    assert golden["first"]["difference"]["got"] == "0.0"


async def test_rows_of_several_lengths_take_every_way(tmp_path: Path) -> None:
    folder = tmp_path / "soil_water" / "1"
    shutil.copytree(SAMPLE_MODELS / "soil_water" / "1", folder)
    rows = tmp_path / "rows.ndjson"
    days = [[[0.5, 3.0]] * length for length in (3, 3, 40, 17, 3)]
    rows.write_text("".join(json.dumps({"weather": one}) + "\n" for one in days), "utf-8")
    assert (await command("record", folder, "--data", rows)).code == 0
    ended = await command("check", folder)
    assert (ended.code, ended.out.count("DIFFERENT"), ended.out.count(": 5 rows, ")) == (
        0,
        0,
        len(WAYS),
    )


async def test_a_second_recording_needs_a_word(tmp_path: Path) -> None:
    folder = write_version(tmp_path, "m", pipeline=CENTRED, contract=tensors())
    rows = tmp_path / "rows.csv"
    rows.write_text("x\n1\n", "utf-8")
    await command("record", folder, "--data", rows)
    ended = await command("record", folder, "--data", rows)
    assert (ended.code, ended.said) == (
        2,
        [f"batchbridge: {folder / 'golden.parquet'} is there already: --force writes it anew"],
    )
