"""What each server is asked: the same rows, in the form that the server takes."""

from __future__ import annotations

import json
import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from loadtest.bare_loop import BareLoop
from loadtest.bench_peers.servers import BATCHBRIDGE, FASTAPI, MODEL, MOSEC, RAW, ROOT, UNBATCHED
from loadtest.bulk_model import bulk_model

BULK = "bulk"
BULK_ROWS = 64
JSON = ("Content-Type", "application/json")
# All but a lone request are refused.
_REFUSING_SERVING = "[serving]\nlatency_target_ms = 0.001\ntimeout_ms = 1000"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: POST `path` with `headers` and `body`."""

    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def request(self, port: int) -> bytes:
        """Return the complete HTTP/1.1 request to a port of this machine."""
        lines = [
            f"POST {self.path} HTTP/1.1",
            f"Host: 127.0.0.1:{port}",
            f"Content-Length: {len(self.body)}",
            *(f"{name}: {value}" for name, value in self.headers),
        ]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body


def make_models(root: Path) -> None:
    """Put the models that Batchbridge serves into the repository `root`.

    Without the decision that the sample's contract asks for: the peers answer label and
    probabilities only.
    """
    shutil.copytree(ROOT / "models" / MODEL, root / MODEL)
    _remove_decision(root / MODEL / "1")
    bulk = root / BULK / "1"
    bulk.mkdir(parents=True)
    (bulk / "model.onnx").write_bytes(bulk_model())
    # A target that full batches keep, so that throughput and not admission is measured.
    (bulk / "contract.toml").write_text("[serving]\nlatency_target_ms = 1000\n")


def _remove_decision(version: Path) -> None:
    contract = version / "contract.toml"
    before, _, after = contract.read_text().partition("[decision]\n")
    contract.write_text(before + after[after.index("\n[") + 1 :])
    for name in ("threshold.toml", "golden.parquet"):
        (version / name).unlink()


def make_refusing_model(root: Path) -> None:
    """Put the model whose target no answer can keep into the repository `root`.

    Alone: the tightest target on a worker bounds the batches of all its models, to one row here.
    """
    shutil.copytree(ROOT / "models" / MODEL, root / MODEL)
    _remove_decision(root / MODEL / "1")
    contract = root / MODEL / "1" / "contract.toml"
    before, _, after = contract.read_text().partition("[serving]\n")
    rest = after.partition("\n\n")[2]
    contract.write_text(f"{before}{_REFUSING_SERVING}\n\n{rest}")


def example_row() -> list[float]:
    """Return the model's own example, one row."""
    example = json.loads((ROOT / "models" / MODEL / "1" / "example.json").read_text())
    return list(example["inputs"][0]["data"])


def single_rows(input_name: str) -> dict[str, Asked]:
    """Return the request with the example row, by server."""
    row = example_row()
    contract = tomllib.loads((ROOT / "models" / MODEL / "1" / "contract.toml").read_text())
    names = contract["inputs"][input_name]["columns"]
    plain = json.dumps(row).encode()
    named = json.dumps(dict(zip(names, row, strict=True))).encode()
    return {
        BATCHBRIDGE: v2_json(MODEL, input_name, row),
        MOSEC: Asked("/inference", (JSON,), plain),
        UNBATCHED: Asked("/inference", (JSON,), plain),
        FASTAPI: Asked("/predict", (JSON,), named),
        RAW: Asked("/predict", (JSON,), plain),
    }


def v2_json(model: str, input_name: str, row: list[float]) -> Asked:
    """Return a V2 request with one row of numbers in JSON."""
    tensor = {"name": input_name, "shape": [1, len(row)], "datatype": "FP32", "data": row}
    return Asked(f"/v2/models/{model}/infer", (JSON,), json.dumps({"inputs": [tensor]}).encode())


def v2_binary(model: str, loop: BareLoop, row: list[float], rows: int) -> Asked:
    """Return a V2 request with `rows` times the row, as binary tensors both ways."""
    block = np.tile(np.array(row, dtype=np.float32), rows).tobytes()
    tensor = {
        "name": loop.input_name,
        "shape": [rows, loop.width],
        "datatype": "FP32",
        "parameters": {"binary_data_size": len(block)},
    }
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    headers = (
        ("Content-Type", "application/octet-stream"),
        ("Inference-Header-Content-Length", str(len(head))),
    )
    return Asked(f"/v2/models/{model}/infer", headers, head + block)


@dataclass(frozen=True, slots=True)
class Scored:
    """What a server says of one row."""

    label: int
    probabilities: tuple[float, ...]


def scored(server: str, body: bytes) -> Scored:
    """Return what a server's answer to a single row says."""
    answer = json.loads(body)
    if server == BATCHBRIDGE:
        data = {output["name"]: output["data"] for output in answer["outputs"]}
        return Scored(data["label"][0], tuple(data["probabilities"]))
    return Scored(answer["label"], tuple(answer["probabilities"]))
