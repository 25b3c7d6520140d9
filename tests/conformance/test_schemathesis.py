"""Schemathesis, which knows nothing but /openapi.json, against the running server."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from bridge.embedded_queue import EmbeddedQueueSettings
from tests.conformance.served_models import copy_samples, write_simple
from tests.sample_models import ROOT, read_example
from tests.system import System, post, running_system

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

PHASES = ("examples", "coverage", "fuzzing", "stateful")
EXAMPLES_PER_OPERATION = 60
SEED = 20_260_101

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
)
# The checks left out, and why:
#   positive_data_acceptance: which names, shapes and datatypes a model takes is in its metadata,
#       not in the document, so most bodies that the document allows are rightly refused with 400;
#       test_openapi.py sends the document's examples, which must be accepted.
#   missing_required_header: no header is required.
#   ignored_auth, object_level_authorization: there is no authentication.
#   use_after_free, ensure_resource_availability: a job that is deleted was cancelled first and is
#       still there, and one that was accepted may have ended.


@dataclass(frozen=True)
class Run:
    """What Schemathesis printed, and its own report of the run."""

    text: str
    report: dict[str, Any]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """The sample models and Triton's `simple`, with a queue that can keep jobs."""
    root = tmp_path_factory.mktemp("models")
    copy_samples(root)
    write_simple(root)
    durable = EmbeddedQueueSettings(is_durable=True)
    async with running_system(root, queue_settings=durable) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def run(system: System, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run of all phases; its output is shown where a test fails."""
    folder = tmp_path_factory.mktemp("schemathesis")
    report = folder / "report.json"
    words = [
        *("run", f"{system.url}/openapi.json", "--no-color"),
        *("--seed", str(SEED), "--generation-database", "none"),
        *("--max-examples", str(EXAMPLES_PER_OPERATION), "--phases", ",".join(PHASES)),
        *("--checks", ",".join(CHECKS), "--continue-on-failure"),
        *("--report", "json", "--report-json-path", str(report)),
    ]
    child = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).with_name("schemathesis")), *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "SCHEMATHESIS_HOOKS": "tests.conformance.schemathesis_hooks",
        },
    )
    output, _ = await child.communicate()
    text = output.decode()
    print(text)
    assert report.exists(), text
    return Run(text, json.loads(report.read_text()))


async def test_no_check_fails(run: Run) -> None:
    assert run.report["failures"] == [], run.text


async def test_no_case_ends_in_an_error(run: Run) -> None:
    assert run.report["errors"] == [], run.text


async def test_every_phase_runs_to_its_end(run: Run) -> None:
    phases = {name: run.report["phases"][name]["status"] for name in PHASES}
    assert phases == dict.fromkeys(PHASES, "success"), run.text


async def test_every_operation_is_tested(
    run: Run, system: System, http: aiohttp.ClientSession
) -> None:
    async with http.get(f"{system.url}/openapi.json") as response:
        paths = (await response.json())["paths"]
    # All but the document itself, which Schemathesis leaves out.
    operations = sum(len(item) for item in paths.values())
    assert run.report["operations"]["tested"] == operations - 1, run.text


async def test_predictions_are_among_the_cases(run: Run) -> None:
    phases = run.report["valid_rates"]["POST /v2/models/{model}/infer"]
    assert phases["examples"]["accepted"] > 0, run.text


async def test_the_server_neither_failed_nor_logged_a_failure(run: Run, system: System) -> None:
    logs = system.gateways[0].logs
    failures = [
        logs.events(name) for name in ("handler_failed", "request_failed", "connection_failed")
    ]
    assert failures == [[], [], []]


async def test_the_server_still_answers_rightly(
    run: Run, system: System, http: aiohttp.ClientSession
) -> None:
    status, answer, _ = await post(
        http, f"{system.url}/v2/models/digits/infer", read_example("digits")
    )
    assert (status, answer["model_name"]) == (200, "digits")
