"""FastAPI with an ONNX model in the handler, for the dialect `fastapi`: how many serve a model.

In the repository's root, with the packages of `make install-peers`:

    .venv-peers/bin/python -m loadtest.peers.fastapi_server models/breast_cancer/1/model.onnx \
        --port 8000 [--raw]

A body is one row as an object of the columns that the contract.toml beside the model names; the
answer has one value per output. One process, nothing gathered. With `--raw` a body is a list of
numbers that nobody checks, and a fast JSON library reads and writes in place of pydantic: what is
left of FastAPI is its routing.
"""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import uvicorn
from fastapi import FastAPI, Request, Response
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


def raw_scorer(path: Path) -> FastAPI:
    """Return the application that answers POST /predict with as little as possible."""
    model = open_bare_loop(path)
    outputs = [output.name for output in model.session.get_outputs()]
    app = FastAPI()

    async def predict(request: Request) -> Response:
        row = msgspec.json.decode(await request.body())
        columns = model.session.run(None, {model.input_name: np.array([row], dtype=np.float32)})
        answer = {name: column.tolist()[0] for name, column in zip(outputs, columns, strict=True)}
        return Response(msgspec.json.encode(answer), media_type="application/json")

    predict.__annotations__ = {"request": Request, "return": Response}
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
    parser.add_argument("--raw", action="store_true", help="take a list, check nothing")
    options = parser.parse_args()
    app = raw_scorer(options.model) if options.raw else scorer(options.model)
    uvicorn.run(app, host=options.host, port=options.port, access_log=False)


if __name__ == "__main__":
    main()
