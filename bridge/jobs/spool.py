"""A private folder for the inputs and outputs of the jobs that a runner works on.

What a runner that was killed has left there is removed when the next one starts: each folder is
locked as long as its process lives.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = "batchbridge-jobs-"
LOCK_NAME = "lock"


@contextmanager
def spool_folder(root: Path | None) -> Iterator[Path]:
    """Make a folder, mode 0700, for the length of the block; remove those of the dead.

    `root`: where it is made; None is the system's place for temporary files.
    """
    parent = Path(tempfile.gettempdir()) if root is None else root
    parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(parent)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    lock = _locked(folder)
    assert lock is not None, "nobody else knows the folder"
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _remove_abandoned(parent: Path) -> None:
    for folder in parent.glob(f"{PREFIX}*"):
        if (folder / LOCK_NAME).is_file() and (lock := _locked(folder)) is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _locked(folder: Path) -> int | None:
    """The lock of a folder; None when a living process has it, or it is somebody else's."""
    try:
        lock = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock
