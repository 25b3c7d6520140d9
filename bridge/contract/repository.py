"""The model repository on disk: `<model>/<version>/{model.onnx, pipeline.py, contract.toml, …}`."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

MODEL_NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
VERSION_PATTERN = re.compile(r"[1-9][0-9]{0,8}|0")
MODEL_FILE = "model.onnx"
PIPELINE_FILE = "pipeline.py"
CONTRACT_FILE = "contract.toml"
THRESHOLD_FILE = "threshold.toml"
GOLDEN_FILE = "golden.parquet"
FILE_BYTES_MAX = 2**31


class RepositoryError(Exception):
    """The repository, or one of its files, cannot be used; the message names the path."""


@dataclass(frozen=True, slots=True)
class VersionFolder:
    """One version of one model on disk."""

    model: str
    version: str
    path: Path

    @property
    def key(self) -> str:
        """`model@version`."""
        return f"{self.model}@{self.version}"

    def read(self, name: str) -> bytes | None:
        """Return the bytes of the file `name` in the folder, None where there is none.

        Raises:
            RepositoryError: a symbolic link, a hard link, not a regular file, or too large.
                Links are refused because they are how a model reaches files outside its folder
                (CVE-2026-34446 and the three incomplete fixes before it).
        """
        path = self.path / name
        try:
            # Non-blocking, or the open of a FIFO would wait for its writer for ever.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
            descriptor = os.open(path, flags)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RepositoryError(f"{path}: {error.strerror}") from error
        try:
            return _content(path, descriptor)
        finally:
            os.close(descriptor)


def _content(path: Path, descriptor: int) -> bytes:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        raise RepositoryError(f"{path}: must be a regular file with a single link")
    if status.st_size > FILE_BYTES_MAX:
        raise RepositoryError(f"{path}: {status.st_size} bytes, more than {FILE_BYTES_MAX} allowed")
    with os.fdopen(descriptor, "rb", closefd=False) as file:
        return file.read()


def scan(root: Path) -> list[VersionFolder]:
    """Return every model version under `root`, by model name, then version, lowest first.

    A sub-folder counts as a model if it holds at least one folder with an integer name; other
    folders and files are passed over.

    Raises:
        RepositoryError: `root` is not a folder, a model's name cannot be used in a URL and a key,
            a model or version is a symbolic link, or a version holds neither model.onnx nor
            pipeline.py.
    """
    if not root.is_dir():
        raise RepositoryError(f"{root}: not a folder")
    models = sorted(path for path in root.iterdir() if path.is_dir())
    return [version for model in models for version in versions_of(model)]


def versions_of(model: Path) -> list[VersionFolder]:
    """Return the versions in one model's folder, lowest first; none where it holds none.

    Raises:
        RepositoryError: as `scan`, of this model.
    """
    folders = [path for path in model.iterdir() if path.is_dir()]
    versions = [path for path in folders if VERSION_PATTERN.fullmatch(path.name)]
    if versions and not MODEL_NAME_PATTERN.fullmatch(model.name):
        raise RepositoryError(f"{model}: a model's name must match {MODEL_NAME_PATTERN.pattern}")
    found = []
    for version in sorted(versions, key=lambda path: int(path.name)):
        _refuse_link(model)
        _refuse_link(version)
        if not any((version / name).exists() for name in (MODEL_FILE, PIPELINE_FILE)):
            raise RepositoryError(f"{version}: holds neither {MODEL_FILE} nor {PIPELINE_FILE}")
        found.append(VersionFolder(model.name, version.name, version))
    return found


def _refuse_link(path: Path) -> None:
    if path.is_symlink():
        raise RepositoryError(f"{path}: must be a folder, not a symbolic link")


def digest(folder: VersionFolder) -> str:
    """Return the SHA-256 over the files that decide a version's answers, in hexadecimal."""
    return _digest(folder, (MODEL_FILE, PIPELINE_FILE, CONTRACT_FILE, THRESHOLD_FILE))


def model_digest(folder: VersionFolder) -> str:
    """Return the SHA-256 over model and pipeline alone: what computes, whatever is promised."""
    return _digest(folder, (MODEL_FILE, PIPELINE_FILE))


def _digest(folder: VersionFolder, names: tuple[str, ...]) -> str:
    total = hashlib.sha256()
    for name in names:
        content = folder.read(name)
        if content is not None:
            total.update(f"{name}\0{len(content)}\0".encode())
            total.update(content)
    return total.hexdigest()
