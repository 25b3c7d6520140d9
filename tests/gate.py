"""A model that waits for the test: its runs stop at a socket until the test lets them go on."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.tiny_models import tensors, write_version

HELD = -1.0

# Rows that hold `HELD` make the run wait; every run writes down its rows.
_PIPELINE = """
import json
import socket
from pathlib import Path

RECORD = Path(__file__).with_name("batches.jsonl")


def predict(inputs):
    x = inputs["x"]
    with RECORD.open("a") as file:
        file.write(json.dumps({{"shape": x.shape, "first": x[:, 0].tolist()}}) + "\\n")
    if (x == {held}).any():
        with socket.socket(socket.AF_UNIX) as gate:
            gate.connect({path!r})
            gate.recv(1)
    return {{"y": x * 2 + 1}}
"""


class Gate:
    """Where held runs wait."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._held: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator[Gate]:
        """A gate at a path short enough for a Unix socket."""
        with tempfile.TemporaryDirectory(prefix="bb-gate-") as directory:
            gate = cls(f"{directory}/gate.sock")
            server = await asyncio.start_unix_server(gate._arrived, gate._path)
            async with server:
                yield gate
                await gate.let_go()

    def write_model(self, root: Path, model: str, serving: str) -> Path:
        """Write a model y = 2 x + 1 whose runs wait here when a row is `HELD`."""
        pipeline = _PIPELINE.format(path=self._path, held=HELD)
        contract = serving + tensors()
        return write_version(root, model, pipeline=pipeline, contract=contract)

    async def held(self) -> asyncio.StreamWriter:
        """Return when a run waits; closing what is returned lets it go on."""
        return await self._held.get()

    async def let_go(self) -> None:
        """Let every run that waits go on."""
        while not self._held.empty():
            self._held.get_nowait().close()

    async def _arrived(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._held.put(writer)


@asynccontextmanager
async def held_run(gate: Gate) -> AsyncIterator[None]:
    """The block runs while a held run waits; afterwards the run goes on."""
    writer = await gate.held()
    try:
        yield
    finally:
        writer.close()
