"""`batchbridge jobs`, against a real gateway."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import aiohttp
import pytest

from bridge.job_client.command import run_jobs
from bridge.job_store.manifest import JobState
from bridge.job_store.store import JobStore
from tests.http_jobs import (
    PROGRESS,
    ROWS,
    claimed,
    finished,
    submitted,
)
from tests.system import System

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = await asyncio.to_thread(run_jobs, words, {})
    out, err = capsys.readouterr()
    return code, out, err


async def test_a_file_is_submitted_and_its_results_are_fetched(
    capsys: pytest.CaptureFixture[str], system: System, store: JobStore, tmp_path: Path
) -> None:
    rows, output = tmp_path / "rows.csv", tmp_path / "out.ndjson"
    rows.write_bytes(ROWS)
    url = ("--url", system.url)
    words = ("submit", "double", str(rows), "--columns", "x=a", "--json", *url)
    code, out, _ = await said(capsys, *words)
    job = json.loads(out)["id"]
    assert (code, store.manifest(job).columns) == (0, {"x": "a"})
    finished(store, job, b"results")
    assert (await said(capsys, "results", job, str(output), *url))[0] == 0
    assert output.read_bytes() == b"results"


async def test_a_download_that_was_cut_off_goes_on_where_it_was(
    capsys: pytest.CaptureFixture[str],
    http: aiohttp.ClientSession,
    jobs: str,
    system: System,
    store: JobStore,
    tmp_path: Path,
) -> None:
    job = (await submitted(http, jobs))["id"]
    finished(store, job, b"0123456789")
    async with http.get(f"{jobs}/{job}/results") as response:
        etag = response.headers["ETag"]
    (tmp_path / "out.partial").write_bytes(b"abcd")
    (tmp_path / "out.partial.etag").write_text(etag)
    await said(capsys, "results", job, str(tmp_path / "out"), "--url", system.url)
    assert (tmp_path / "out").read_bytes() == b"abcd456789"
    left = await asyncio.to_thread(lambda: [path.name for path in tmp_path.iterdir()])
    assert left == ["out"]


async def test_a_download_of_other_results_begins_anew(
    capsys: pytest.CaptureFixture[str],
    http: aiohttp.ClientSession,
    jobs: str,
    system: System,
    store: JobStore,
    tmp_path: Path,
) -> None:
    job = (await submitted(http, jobs))["id"]
    finished(store, job, b"0123456789")
    (tmp_path / "out.partial").write_bytes(b"abcd")
    (tmp_path / "out.partial.etag").write_text('"of-other-results"')
    await said(capsys, "results", job, str(tmp_path / "out"), "--url", system.url)
    assert (tmp_path / "out").read_bytes() == b"0123456789"


async def test_jobs_are_listed_and_shown(
    capsys: pytest.CaptureFixture[str],
    http: aiohttp.ClientSession,
    jobs: str,
    system: System,
    store: JobStore,
) -> None:
    job = (await submitted(http, jobs))["id"]
    store.claims.append_progress(claimed(store, job), 0, b"record", PROGRESS)
    url = ("--url", system.url)
    _, table, _ = await said(capsys, "list", *url)
    assert [line.split()[:2] for line in table.splitlines()] == [["ID", "STATE"], [job, "running"]]
    _, shown, _ = await said(capsys, "show", job, *url)
    assert "rows done      50" in shown.splitlines()


async def test_a_job_is_cancelled_once(
    capsys: pytest.CaptureFixture[str],
    http: aiohttp.ClientSession,
    jobs: str,
    system: System,
    store: JobStore,
) -> None:
    job = (await submitted(http, jobs))["id"]
    words = ("cancel", job, "--url", system.url)
    codes = [(await said(capsys, *words))[0] for _ in range(2)]
    assert (codes, store.manifest(job).state) == ([0, 1], JobState.CANCELLED)


async def test_dead_rows_are_sent_again_where_there_are_any(
    capsys: pytest.CaptureFixture[str],
    http: aiohttp.ClientSession,
    jobs: str,
    system: System,
    store: JobStore,
) -> None:
    made = [(await submitted(http, jobs))["id"] for _ in range(2)]
    for job, dead_rows in zip(made, (0, 1), strict=True):
        store.claims.finish(claimed(store, job), JobState.FINISHED, dead_rows=dead_rows)
    codes = [(await said(capsys, "retry-dead", job, "--url", system.url))[0] for job in made]
    assert (codes, store.manifest(made[1]).state) == ([1, 0], JobState.WAITING)


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (("show", "0" * 44), 1, "no such job"),
        (("show", "../v2"), 1, "not the id"),
        (("results", "0" * 44, "/nowhere/out"), 1, "no such job"),
        (("submit", "double", "/nowhere/rows.csv"), 1, "No such file"),
        (("submit", "double", "rows.txt"), 1, "its name ends in none of"),
    ],
)
async def test_what_cannot_be_done_is_said_in_words_and_by_the_exit_code(
    capsys: pytest.CaptureFixture[str],
    system: System,
    words: tuple[str, ...],
    code: int,
    reason: str,
) -> None:
    found, _, err = await said(capsys, *words, "--url", system.url)
    assert (found, reason in err) == (code, True)


async def test_no_server_is_a_reason_to_come_back(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = await said(capsys, "list", "--url", "http://127.0.0.1:1")
    assert (code, "does not answer" in err) == (os.EX_TEMPFAIL, True)
