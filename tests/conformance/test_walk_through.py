"""docs/walk-through.md, step by step: from a pickle and a pandas script to a certified endpoint."""

from __future__ import annotations

import asyncio
import csv
import json
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.command import run_to_end
from tests.conftest import required_in_ci
from tests.peer_server import PEERS_PYTHON, peer_server
from tests.system import running_system

with_the_system = pytest.mark.asyncio(loop_scope="module")

ROOT = Path(__file__).parents[2]
STEPS = ROOT / "docs" / "walk-through"
NEW_FILES = ("to_onnx.py", "pipeline.py")
VERSION = Path("models") / "wine" / "1"
ASKED = 8


@dataclass(frozen=True)
class Walked:
    """The folder in which everything up to `check` was done, and what the commands said."""

    folder: Path
    certificate: str
    labels: dict[str, int]

    def bottles(self) -> list[dict[str, float | None]]:
        """The first rows of the file, as a caller states them; two of them lack a value."""
        with (self.folder / "bottles.csv").open() as file:
            rows = list(csv.DictReader(file))[:ASKED]
        return [
            {name: json.loads(text or "null") for name, text in row.items() if name != "bottle"}
            for row in rows
        ]

    def expected(self) -> list[int]:
        """What the nightly script says about them."""
        return list(self.labels.values())[:ASKED]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def walked(tmp_path_factory: pytest.TempPathFactory) -> Walked:
    folder = tmp_path_factory.mktemp("walk")
    (folder / VERSION).mkdir(parents=True)
    for name in ("train.py", "nightly.py", "to_onnx.py"):
        shutil.copy(STEPS / name, folder)
    shutil.copy(STEPS / "pipeline.py", folder / VERSION)
    await script(folder, "train.py")
    await script(folder, "nightly.py", "bottles.csv", "scores.csv")
    await script(folder, "to_onnx.py", "bottles.csv", "scores.csv")
    said = ""
    for command in commands("describe", "record", "check"):
        ended = await run_to_end(*command, cwd=folder)
        assert ended.code == 0, (command, ended)
        said = ended.out
    with (folder / "scores.csv").open() as file:
        labels = {row["bottle"]: int(row["label"]) for row in csv.DictReader(file)}
    return Walked(folder, said, labels)


def commands(*names: str) -> list[list[str]]:
    """The `batchbridge` commands of these names, as the document writes them."""
    text = (ROOT / "docs" / "walk-through.md").read_text()
    written = re.findall(r"^batchbridge (.+)$", text, re.MULTILINE)
    return [line.split() for line in written if line.split()[0] in names]


async def script(folder: Path, *words: str) -> None:
    child = await asyncio.create_subprocess_exec(sys.executable, *words, cwd=folder)
    assert await child.wait() == 0


def test_fewer_than_ten_lines_are_new() -> None:
    lines = [line for name in NEW_FILES for line in (STEPS / name).read_text().splitlines()]
    assert len([line for line in lines if line.strip()]) == 9


def test_the_lines_in_the_document_are_those_of_the_files() -> None:
    text = (ROOT / "docs" / "walk-through.md").read_text()
    assert all((STEPS / name).read_text() in text for name in NEW_FILES)


def test_the_peers_have_as_many_files_and_lines_as_the_table_says() -> None:
    text = (ROOT / "docs" / "walk-through.md").read_text()
    table = re.findall(r"^\| [^|]+ \| (\d+) \| (\d+) \| ", text, re.MULTILINE)
    entries = sorted((STEPS / "peers").iterdir())
    assert sorted(table[1:]) == sorted(counted(entry) for entry in entries)


def counted(entry: Path) -> tuple[str, str]:
    files = [entry] if entry.is_file() else [one for one in entry.rglob("*") if one.is_file()]
    lines = [line for one in files for line in one.read_text().splitlines() if line.strip()]
    return str(len(files)), str(len(lines))


@with_the_system
async def test_the_certificate_names_the_golden_rows(walked: Walked) -> None:
    assert "178 golden rows" in walked.certificate


@with_the_system
async def test_a_named_row_gets_the_nightly_answer(walked: Walked) -> None:
    async with (
        running_system(walked.folder / "models") as system,
        aiohttp.ClientSession() as http,
        http.post(f"{system.url}/v1/models/wine/predict", json={"rows": walked.bottles()}) as got,
    ):
        answer = await got.json()
    assert "rows" in answer, answer
    assert [row["label"] for row in answer["rows"]] == walked.expected()


@with_the_system
async def test_the_nightly_file_is_scored_by_the_same_workers(walked: Walked) -> None:
    words = ["score", "wine", "bottles.csv", "again.csv", "--key", "bottle", "--models", "models"]
    ended = await run_to_end(*words, cwd=walked.folder)
    with (walked.folder / "again.csv").open() as file:
        again = {row["bottle"]: int(row["label"]) for row in csv.DictReader(file)}
    assert (ended.code, again) == (0, walked.labels)


@with_the_system
@pytest.mark.parametrize(
    ("name", "words", "path", "ready"),
    [
        ("mosec_server.py", ("mosec_server.py",), "/inference", "service is running"),
        ("fastapi_server.py", ("-m", "uvicorn", "fastapi_server:app"), "/predict", "running on"),
    ],
)
async def test_the_peers_that_are_said_to_be_tried_answer_the_same(
    walked: Walked, name: str, words: tuple[str, ...], path: str, ready: str
) -> None:
    if not PEERS_PYTHON.exists():
        required_in_ci(".venv-peers is not there: make install-peers")
    shutil.copy(STEPS / "peers" / name, walked.folder)
    shutil.copy(walked.folder / VERSION / "model.onnx", walked.folder)
    async with peer_server(walked.folder, words, ready) as url, aiohttp.ClientSession() as http:
        answers = [await asked(http, url + path, row) for row in walked.bottles()]
    assert [answer["label"] for answer in answers] == walked.expected()


async def asked(http: aiohttp.ClientSession, url: str, row: dict[str, Any]) -> Any:
    async with http.post(url, json=row) as answer:
        return json.loads(await answer.read())
