"""FastAPI with an ONNX model in the handler, for the dialect `fastapi`: how many serve a model.

In the repository's root, with the packages of `make install-peers`:

    .venv-peers/bin/python -m loadtest.peers.fastapi_server models/breast_cancer/1/model.onnx \
        --port 8000

A body is one row as an object of the columns that the contract.toml beside the model names; the
answer has one value per output. One process, nothing gathered.
"""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, create_model

from loadtest.bare_loop import open_bare_loop


def scorer(path: Path) -> FastAPI:
    """Return the application that answers POST /predict."""
    model = open_bare_loop(path)
    outputs = [output.name for output in model.session.get_outputs()]
    row_type = _row_type(path.with_name("contract.toml"), model.input_name)
    app = FastAPI()

    # Not a plain function: FastAPI would hand it to a thread, which takes longer than the run.
    async def predict(row: BaseModel) -> dict[str, Any]:
        rows = np.array([list(row.model_dump().values())], dtype=np.float32)
        columns = model.session.run(None, {model.input_name: rows})
        return {name: column.tolist()[0] for name, column in zip(outputs, columns, strict=True)}

    # FastAPI reads the body's type from here; it exists only now, after the contract was read.
    predict.__annotations__ = {"row": row_type, "return": dict[str, Any]}
    app.post("/predict")(predict)
    return app


def _row_type(contract: Path, input_name: str) -> type[BaseModel]:
    columns = tomllib.loads(contract.read_text())["inputs"][input_name]["columns"]
    fields: dict[str, Any] = dict.fromkeys(columns, (float, ...))
    row_type: type[BaseModel] = create_model("Row", **fields)
    return row_type


def main() -> None:
    parser = argparse.ArgumentParser(description="FastAPI with an ONNX model in the handler")
    parser.add_argument("model", type=Path)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    app = scorer(options.model)
    uvicorn.run(app, host=options.host, port=options.port, access_log=False)


if __name__ == "__main__":
    main()
