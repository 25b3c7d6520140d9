"""Files that jobs name instead of uploading them: under the operator's folder, and nowhere else."""

from __future__ import annotations

import os
import stat
from pathlib import Path

REFERENCE_CHARS_MAX = 1024
DEPTH_MAX = 32


class BadReference(ValueError):
    """Not a file under the folder. The text is the same whatever is wrong, so nothing is told."""

    def __init__(self) -> None:
        super().__init__("it is not the name of a file under the folder for jobs")


def referenced_file(folder: Path, reference: str) -> Path:
    """Return the file that a job names, by its path below `folder`.

    No way leads out of the folder: absolute paths, `..`, empty names and symbolic links are
    refused. Whoever may write in the folder is trusted not to exchange one for the other meanwhile.

    Raises:
        BadReference: it is no regular file there.
    """
    names = reference.split("/")
    is_plain = len(reference) <= REFERENCE_CHARS_MAX and len(names) <= DEPTH_MAX
    if not is_plain or any(name in ("", ".", "..") or "\0" in name for name in names):
        raise BadReference
    path, mode = folder, 0
    try:
        for name in names:
            path = path / name
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode):
                raise BadReference
    except (OSError, UnicodeError):
        raise BadReference from None
    if not stat.S_ISREG(mode):
        raise BadReference
    return path
