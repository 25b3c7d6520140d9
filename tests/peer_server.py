"""Other people's model servers, from `.venv-peers`, each in a process of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.command import Lines, environment, free_port

ROOT = Path(__file__).parents[1]
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"


@asynccontextmanager
async def peer_server(folder: Path, words: tuple[str, ...], ready: str) -> AsyncIterator[str]:
    """The server's URL, when it has said `ready`; it is ended with the block.

    `words`: what Python runs in `folder`, without the port, which is added.
    """
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        str(PEERS_PYTHON), *words, "--port", str(port), cwd=folder,
        env=environment(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    lines = Lines()
    reader = asyncio.create_task(lines.read(process.stdout))
    try:
        await lines.line_with(ready)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()
        await reader
