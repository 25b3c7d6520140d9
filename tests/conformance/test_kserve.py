"""KServe's own REST client, unchanged, against our server.

Its protobuf does not go with ours, so it lives in `.venv-kserve` and answers from a child process.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.conftest import required_in_ci
from tests.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-kserve" / "bin" / "python"
SCRIPT = Path(__file__).with_name("kserve_client.py")

SUMS = {"OUTPUT0": [list(range(-1, 15))], "OUTPUT1": [list(range(1, 17))]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def said(system: System) -> dict[str, Any]:
    """What the client said to each question of kserve_client.py."""
    if not PYTHON.exists():
        required_in_ci("there is no .venv-kserve; make install-kserve creates it")
    child = await asyncio.create_subprocess_exec(
        str(PYTHON), str(SCRIPT), system.url, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await child.communicate()
    assert child.returncode == 0
    answers: dict[str, Any] = json.loads(output)
    return answers


@pytest.mark.parametrize("question", ["server_live", "server_ready", "model_ready"])
async def test_health_is_true(said: dict[str, Any], question: str) -> None:
    assert said[question] is True


async def test_an_unknown_model_is_not_ready(said: dict[str, Any]) -> None:
    assert said["unknown_model_ready"] is False


@pytest.mark.parametrize("question", ["infer_json", "infer_binary", "infer_binary_both_ways"])
async def test_a_request_gets_its_own_answer_with_its_id(
    said: dict[str, Any], question: str
) -> None:
    assert said[question] == {"id": "basket-7", "model": "simple", "outputs": SUMS}


async def test_a_plain_document_gets_its_answer(said: dict[str, Any]) -> None:
    assert said["infer_plain_document"]["outputs"] == {"y": [[0.5, -2, 1e300]]}


async def test_only_the_requested_output_comes_back(said: dict[str, Any]) -> None:
    assert said["infer_one_output"]["outputs"] == {"OUTPUT1": SUMS["OUTPUT1"]}


async def test_text_comes_back_as_it_was_sent(said: dict[str, Any]) -> None:
    assert said["infer_text"]["outputs"] == {"y": [["maize", "", "Ähre"]]}


async def test_half_precision_comes_back_as_it_was_sent(said: dict[str, Any]) -> None:
    assert said["infer_half_precision"]["outputs"] == {"y": [[0.5, -2, 65504]]}


async def test_a_wrong_datatype_is_refused_with_our_words(
    said: dict[str, Any], system: System
) -> None:
    expected = (
        "input INPUT0: datatype 'INT64', the model takes INT32, "
        f"'400 Bad Request' for url '{system.url}/v2/models/simple/infer'"
    )
    assert said["infer_wrong_datatype"] == {"error": expected}


async def test_an_unknown_model_is_refused_with_our_words(
    said: dict[str, Any], system: System
) -> None:
    expected = (
        "Request for unknown model or version, "
        f"'404 Not Found' for url '{system.url}/v2/models/nobody/infer'"
    )
    assert said["infer_unknown_model"] == {"error": expected}
