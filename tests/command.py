"""The `batchbridge` command as a person starts it: in a folder of theirs, with its output read."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

COMMAND = Path(sys.executable).with_name("batchbridge")
END_S_MAX = 35.0
LISTENING = "0A"  # the state column of /proc/net/tcp


def environment(**more: str) -> dict[str, str]:
    """This process's environment without settings of ours, and `more`."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("BATCHBRIDGE_")}
    return {**own, **more}


def free_port() -> int:
    """A TCP port on loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class Ended:
    """What a command left behind; `taken_s` is its whole life in seconds."""

    code: int
    out: str
    err: str
    taken_s: float

    @property
    def said(self) -> list[str]:
        """What it said to a person: the lines of standard error that are no log."""
        return [line for line in self.err.splitlines() if not line.startswith("{")]


async def run_to_end(
    *words: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> Ended:
    """Run `batchbridge` until it ends by itself."""
    now = asyncio.get_running_loop().time
    started_s = now()
    process = await _spawn(words, cwd, env or environment())
    try:
        out, err = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode(), now() - started_s)


async def _spawn(
    words: tuple[str, ...], cwd: Path | None, env: Mapping[str, str]
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        str(COMMAND),
        *words,
        cwd=cwd,
        env=dict(env),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        # A process group of its own, as a terminal gives to each command.
        process_group=0,
    )


@dataclass
class Lines:
    """The lines of one output, as they come; a test can wait for one."""

    lines: list[str] = field(default_factory=list)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _is_ended: bool = False

    async def read(self, stream: asyncio.StreamReader) -> None:
        """Read to the end."""
        while line := await stream.readline():
            await self._add(line.decode().rstrip("\n"))
        self._is_ended = True
        async with self._changed:
            self._changed.notify_all()

    async def line_with(self, text: str) -> str:
        """Return the first line that contains `text`, when it has come."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._is_ended or self._with(text))
        found = self._with(text)
        assert found, f"ended without {text!r}:\n" + "\n".join(self.lines)
        return found[0]

    async def event(self, name: str, count: int = 1, **fields: Any) -> list[dict[str, Any]]:
        """Return when `count` logged events have this name and these fields."""
        async with self._changed:
            await self._changed.wait_for(
                lambda: self._is_ended or len(self.events(name, **fields)) >= count
            )
        found = self.events(name, **fields)
        assert len(found) >= count, f"ended without {name} {fields}:\n" + "\n".join(self.lines)
        return found

    def events(self, name: str, **fields: Any) -> list[dict[str, Any]]:
        """The logged events of this name with these fields, oldest first."""
        wanted = {"event": name, **fields}
        parsed = [json.loads(line) for line in self.lines if line.startswith("{")]
        return [event for event in parsed if wanted.items() <= event.items()]

    async def _add(self, line: str) -> None:
        async with self._changed:
            self.lines.append(line)
            self._changed.notify_all()

    def _with(self, text: str) -> list[str]:
        return [line for line in self.lines if text in line]


class Running:
    """A command that runs: its output line by line, signals, its end."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.out = Lines()
        self.err = Lines()

    @property
    def pid(self) -> int:
        return self.process.pid

    def signal(self, number: signal.Signals) -> None:
        """Signal the command alone."""
        os.kill(self.pid, number)

    def ctrl_c(self) -> None:
        """SIGINT to its process group, as a terminal sends it."""
        os.killpg(self.pid, signal.SIGINT)

    async def exit_code(self) -> int:
        """Wait for its end."""
        return await self.process.wait()


@asynccontextmanager
async def running(
    *words: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> AsyncIterator[Running]:
    """Start `batchbridge`; it is ended with the block."""
    process = await _spawn(words, cwd, env or environment())
    command = Running(process)
    assert process.stdout is not None
    assert process.stderr is not None
    readers = [
        asyncio.create_task(command.out.read(process.stdout)),
        asyncio.create_task(command.err.read(process.stderr)),
    ]
    try:
        yield command
    finally:
        await _end(process)
        await asyncio.gather(*readers)


async def _end(process: asyncio.subprocess.Process) -> None:
    """SIGTERM, so that `serve` removes its folders; SIGKILL for one that does not obey."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(END_S_MAX):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def children(pid: int) -> dict[int, str]:
    """The command lines of a process's children, by process id (Linux)."""
    found: dict[int, str] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            command_line = Path(f"/proc/{child}/cmdline").read_bytes()
            found[int(child)] = command_line.replace(b"\0", b" ").decode()
    return found


def listening(pid: int) -> set[str]:
    """The TCP addresses on which a process listens, as /proc/net/tcp writes them (Linux)."""
    links = [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    own = {link.removeprefix("socket:[").rstrip("]") for link in links if "socket:[" in link}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            columns = line.split()
            if columns[3] == LISTENING and columns[9] in own:
                found.add(columns[1])
    return found


def mapped_files(pid: int) -> str:
    """The files that a process has mapped, shared libraries among them (Linux)."""
    return Path(f"/proc/{pid}/maps").read_text()
