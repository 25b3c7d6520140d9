"""A model repository of one version with another latency target, in a folder of its own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bridge.contract.declaration import DeclarationError, parse_declaration
from bridge.contract.repository import CONTRACT_FILE, RepositoryError, VersionFolder, scan
from bridge.plan.errors import PlanError

SERVING = "[serving]"
TARGET_KEY = "latency_target_ms"
TIMEOUT_KEY = "timeout_ms"


def find_version(models: Path, model: str) -> VersionFolder:
    """Return the folder of `model`, a name (its highest version) or `name@version`.

    Raises:
        PlanError: no such repository or model.
    """
    try:
        folders = scan(models)
    except RepositoryError as error:
        raise PlanError(f"models: {error}") from error
    found = [folder for folder in folders if model in (folder.model, folder.key)]
    if not found:
        known = ", ".join(sorted({folder.model for folder in folders})) or "none"
        raise PlanError(f"MODEL: {models} holds no model {model!r}; it holds: {known}")
    return found[-1]


def declared_target_s(folder: VersionFolder) -> float:
    """Return the latency target of a version's contract, in seconds.

    Raises:
        PlanError: the contract cannot be read.
    """
    try:
        content = folder.read(CONTRACT_FILE)
        return parse_declaration(content or b"").serving().latency_target_s
    except (RepositoryError, DeclarationError) as error:
        raise PlanError(f"MODEL: {folder.path}: {error}") from error


@contextmanager
def copied_model(folder: VersionFolder, target_s: float) -> Iterator[Path]:
    """Give a repository that holds a copy of `folder` with the target `target_s`; removed after."""
    with tempfile.TemporaryDirectory(prefix="batchbridge-plan-") as temporary:
        root = Path(temporary)
        copy = root / folder.model / folder.version
        shutil.copytree(folder.path, copy)
        contract = copy / CONTRACT_FILE
        text = contract.read_text() if contract.is_file() else ""
        contract.write_text(with_target(text, target_s))
        yield root


def with_target(contract: str, target_s: float) -> str:
    """Return a contract file's text with another latency target.

    Its timeout goes: the target may be above it, and the default follows from the target.
    """
    lines = [
        line
        for line in contract.splitlines()
        if line.split("=")[0].strip() not in (TARGET_KEY, TIMEOUT_KEY)
    ]
    if SERVING not in lines:
        lines.append(SERVING)
    lines.insert(lines.index(SERVING) + 1, f"{TARGET_KEY} = {target_s * 1e3!r}")
    return "\n".join(lines) + "\n"
