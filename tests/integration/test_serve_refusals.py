"""What `batchbridge serve` refuses: by name, with exit code 2, quickly and without a traceback."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.command import Ended, environment, free_port, run_to_end
from tests.system import SAMPLE_MODELS
from tests.tiny_models import affine, write_version

# A mistake is said before a person wonders: Python, numpy and ONNX Runtime are loaded by then.
QUICK_S_MAX = 15.0


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A repository that could be served."""
    write_version(tmp_path / "good", "mine", graph=affine(1, 0))
    return tmp_path / "good"


def broken(folder: Path, name: str, content: str) -> Path:
    """A repository with a good model whose file `name` is replaced."""
    version = write_version(folder, "mine", graph=affine(1, 0))
    if name == "pipeline.py":
        (version / "model.onnx").unlink()
    (version / name).write_text(content)
    return version / name


async def refused(*words: str, env: dict[str, str] | None = None) -> Ended:
    """Serve what cannot be served: it ends with 2, without a traceback, quickly."""
    ended = await run_to_end("serve", *words, env=env)
    assert (ended.code, "Traceback" in ended.err) == (2, False), ended.err
    assert ended.taken_s < QUICK_S_MAX
    return ended


def port_words() -> list[str]:
    return ["--port", str(free_port())]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--models", "/nowhere/at/all"], "batchbridge: models: /nowhere/at/all is not a folder"),
        (["--models", __file__], f"batchbridge: models: {__file__} is not a folder"),
        (["--port", "eighty"], "argument --port: invalid int value: 'eighty'"),
        (["--port", "70000"], "batchbridge: port: 70000 is not between 1 and 65535"),
        (["--workers", "0"], "batchbridge: workers: 0 is not between 1 and 256"),
        (["--gateways", "-1"], "batchbridge: gateways: -1 is not between 1 and 64"),
        (["--threads", "few"], "argument --threads: invalid int value: 'few'"),
        (["--gateway", "1"], "unrecognized arguments: --gateway 1"),
    ],
)
async def test_a_setting_that_cannot_be_used_is_named(words: list[str], message: str) -> None:
    ended = await refused("--models", str(SAMPLE_MODELS), *words)
    assert ended.said[-1].endswith(message)


@pytest.mark.parametrize(
    ("name", "text"), [("PORT", "eighty"), ("WORKERS", "0"), ("MODELS", "/nowhere/at/all")]
)
async def test_a_wrong_environment_variable_is_refused_like_the_option(
    name: str, text: str
) -> None:
    by_option = await refused(f"--{name.lower()}", text)
    by_environment = await refused(env=environment(**{f"BATCHBRIDGE_{name}": text}))
    assert by_environment.said[-1] == by_option.said[-1]


async def test_a_port_that_is_taken_is_named(models: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = await refused("--models", str(models), "--port", str(port))
    assert ended.said == [
        f"batchbridge: 127.0.0.1:{port} cannot be listened on: Address already in use"
    ]


async def test_a_folder_without_models_is_named(tmp_path: Path) -> None:
    ended = await refused("--models", str(tmp_path), *port_words())
    assert ended.said == [
        f"batchbridge: {tmp_path}: holds no model, expected <model>/<version>/model.onnx"
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.onnx", "not a graph", "not an ONNX model"),
        ("contract.toml", "[serving\n", "not TOML"),
        ("contract.toml", "[serving]\nlatency_ms = 5\n", "latency_ms"),
        ("contract.toml", "[serving]\nlatency_target_ms = 0\n", "serving.latency_target_ms: 0"),
        ("contract.toml", "[inputs.z]\nunit = 'mm'\n", "inputs.z: the graph has no such tensor"),
        ("contract.toml", "[inputs.x]\ndatatype = 'FP32'\n", "inputs.x.datatype: FP32"),
        ("pipeline.py", "def predict(inputs)\n", "SyntaxError"),
        ("pipeline.py", "import a_module_that_nobody_has\n", "a_module_that_nobody_has"),
        ("pipeline.py", "x = 1\n", "defines none of preprocess, postprocess, predict"),
    ],
)
async def test_a_version_that_cannot_be_served_is_named_by_its_folder_and_file(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    path = broken(tmp_path, name, content)
    ended = await refused("--models", str(tmp_path), *port_words())
    (said,) = ended.said
    assert message in said
    assert said.startswith(f"batchbridge: {path.parent}: ")
    assert name == "model.onnx" or name in said


async def test_an_empty_version_is_named(tmp_path: Path) -> None:
    folder = write_version(tmp_path, "mine")
    ended = await refused("--models", str(tmp_path), *port_words())
    assert ended.said == [f"batchbridge: {folder}: holds neither model.onnx nor pipeline.py"]


async def test_a_queue_that_cannot_be_used_is_named(models: Path) -> None:
    ended = await refused("--models", str(models), "--redis", "localhost:6379", *port_words())
    assert any("redis: not a URL that can be used" in line for line in ended.said)
