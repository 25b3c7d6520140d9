"""Breaks each check on purpose: do its tests fail? `make test-mutations`.

The list is our own. mutmut and cosmic-ray change every operator of a package, here thousands of
runs of a suite of ten seconds, and cosmic-ray does so in the tree itself. What is asked here is
less and sharper: would anybody notice if a check, as a person would name it, did nothing?

Each mutation is made in a copy of the packages in a temporary directory, never in the tree.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPIED = ("bridge", "loadtest", "models", "tests", "workers")
# The tests that must notice, by the folder of what is broken.
TESTS = {
    "bridge/contract": "tests/unit/test_values.py",
    "bridge/golden": "tests/unit/golden",
    "workers/check": "tests/unit/check",
}
RUN_S_MAX = 300.0
LEFT_OUT = shutil.ignore_patterns("__pycache__")


class OutdatedError(Exception):
    """The code has changed: tests/mutations.toml must follow."""


@dataclass(frozen=True)
class Mutation:
    """What is broken, in words, and how: `old`, found once in `file`, becomes `new`."""

    name: str
    file: str
    old: str
    new: str

    @property
    def tests(self) -> str:
        """The tests that must notice."""
        return TESTS[str(Path(self.file).parent)]

    def text(self, source: str) -> str:
        """Return the file with the fault in it; raise OutdatedError where it cannot be."""
        if source.count(self.old) != 1:
            raise OutdatedError(f"{self.file}: {self.name}: found {source.count(self.old)} times")
        return source.replace(self.old, self.new)


def mutations() -> list[Mutation]:
    """Return those that tests/mutations.toml lists."""
    listed = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
    return [Mutation(file=file, **fault) for file, faults in listed.items() for fault in faults]


def main(words: Sequence[str]) -> int:
    """Run the mutations whose names hold one of `words`, or all; return 1 if one survives."""
    chosen = [one for one in mutations() if not words or any(word in one.name for word in words)]
    with tempfile.TemporaryDirectory(prefix="batchbridge-mutations-") as folder:
        copy = Path(folder)
        for name in COPIED:
            shutil.copytree(ROOT / name, copy / name, ignore=LEFT_OUT)
        shutil.copy(ROOT / "pyproject.toml", copy)
        for tests in sorted({one.tests for one in chosen}):
            if (failing := _run(copy, tests)) is not None:
                raise SystemExit(f"without any mutation there fails {failing}")
        survivors = [one.name for one in chosen if not _is_killed(copy, one)]
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} mutations killed")
    return 1 if survivors else 0


def _is_killed(copy: Path, mutation: Mutation) -> bool:
    path = copy / mutation.file
    source = path.read_text("utf-8")
    started_s = time.monotonic()
    path.write_text(mutation.text(source), "utf-8")
    try:
        killer = _run(copy, mutation.tests)
    finally:
        path.write_text(source, "utf-8")
    taken_s = time.monotonic() - started_s
    said = f"killed   by {killer}" if killer else "SURVIVED"
    print(f"{Path(mutation.file).name}: {mutation.name}: {said} ({taken_s:.1f} s)", flush=True)
    return killer is not None


def _run(copy: Path, tests: str) -> str | None:
    """Run the tests on the copy; the first that fails, None if none does."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(copy),
        # Files change twice a second: compiled ones would be taken for those of the one before.
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", tests]
    try:
        ended = subprocess.run(
            command,
            check=False,
            cwd=copy,
            env=environment,
            capture_output=True,
            text=True,
            timeout=RUN_S_MAX,
        )
    except subprocess.TimeoutExpired:
        return f"a test that took longer than {RUN_S_MAX:.0f} s"
    if ended.returncode == 0:
        return None
    failed = [line for line in ended.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return failed[0].split()[1] if failed else ended.stdout[-300:] + ended.stderr[-300:]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
