"""`batchbridge describe`: writes `contract.toml`, and `statistics.json` of the reference data."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bridge.contract.declaration import DeclarationError, parse_declaration
from bridge.contract.model import TensorSpec
from bridge.contract.repository import CONTRACT_FILE, VersionFolder
from bridge.contract.statistics import STATISTICS_FILE, Statistics, encode_statistics
from bridge.describe.contract_text import contract_text
from bridge.describe.errors import DescribeError
from bridge.describe.example_body import example_body
from bridge.describe.model_parts import ModelParts, open_parts
from bridge.describe.reference_data import summed_up
from bridge.describe.told import told
from bridge.jobs.errors import JobError
from workers.check.command import CheckError, version_folders
from workers.loading import LoadError, open_model

EXIT_CONFIGURATION = 2
EXAMPLE_FILE = "example.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeOptions:
    """The command's options; `data` is empty if not given.

    `statistics_only`: the contract that is there stays. `ignore`: columns of the file that are none
    of the model's.
    """

    model: Path
    data: str
    ignore: list[str]
    force: bool
    statistics_only: bool


def run_describe(options: DescribeOptions) -> int:
    """Write the files into the version's folder; return 0, or 2 with the reason why not."""
    try:
        folder = only_version(options.model)
        files = (
            _statistics_only(folder, options) if options.statistics_only else _all(folder, options)
        )
        for name, content in files.items():
            _write(folder.path / name, content)
    except (CheckError, DescribeError) as error:
        sys.stderr.write(f"batchbridge: {error}\n")
        return EXIT_CONFIGURATION
    except JobError as error:
        sys.stderr.write(f"batchbridge: data: {error}\n")
        return EXIT_CONFIGURATION
    for name in files:
        print(f"{folder.path / name} written")
    if CONTRACT_FILE in files:
        print("Read it and edit it: ranges, categories and nulls are those of the data.")
    return 0


def only_version(path: Path) -> VersionFolder:
    """Return the version at `path`: itself, or the only one of a model.

    Raises:
        CheckError: there is none.
        DescribeError: there are several.
    """
    found = version_folders(path)
    if len(found) > 1:
        names = ", ".join(version.key for version in found[:5])
        raise DescribeError(f"MODEL_DIR: {path} holds {names}: choose the folder of one")
    return found[0]


def _all(folder: VersionFolder, options: DescribeOptions) -> Mapping[str, bytes]:
    existing = folder.path / CONTRACT_FILE
    if existing.exists() and not options.force:
        raise DescribeError(
            f"{existing} is there: --force writes it anew, --statistics-only leaves it"
        )
    if options.data:
        _refuse_statistics(folder, options)
    parts = open_parts(folder)
    data = Path(options.data) if options.data else None
    tensors = told(parts, data, options.ignore)
    statistics = None if data is None else summed_up(data, tensors.inputs)
    text = contract_text(tensors, statistics).encode()
    files = {CONTRACT_FILE: text}
    if statistics is not None:
        files[STATISTICS_FILE] = encode_statistics(_with_rows(statistics))
    if options.force or not (folder.path / EXAMPLE_FILE).exists():
        files[EXAMPLE_FILE] = example_body(_parsed_inputs(text, parts), statistics)
    return files


def _statistics_only(folder: VersionFolder, options: DescribeOptions) -> Mapping[str, bytes]:
    if not options.data:
        raise DescribeError("--statistics-only needs --data")
    _refuse_statistics(folder, options)
    try:
        inputs = open_model(folder, threads=1).contract.inputs
    except LoadError as error:
        raise DescribeError(str(error)) from error
    statistics = summed_up(Path(options.data), inputs)
    return {STATISTICS_FILE: encode_statistics(_with_rows(statistics))}


def _refuse_statistics(folder: VersionFolder, options: DescribeOptions) -> None:
    existing = folder.path / STATISTICS_FILE
    if existing.exists() and not options.force:
        raise DescribeError(f"{existing} is there: --force writes it anew")


def _with_rows(statistics: Statistics) -> Statistics:
    if statistics.rows == statistics.rows_left_out:
        raise DescribeError(f"--data: {statistics.source} holds no row that the model could take")
    return statistics


def _parsed_inputs(text: bytes, parts: ModelParts) -> tuple[TensorSpec, ...]:
    """The inputs as a worker will read them from what is about to be written."""
    try:
        return parse_declaration(text).caller_inputs(
            None if parts.session is None else parts.session.signature.inputs,
            replaced=parts.pipeline.preprocess is not None,
        )
    except DeclarationError as error:
        raise DescribeError(f"the model's tensors cannot be declared: {error}") from error


def _write(path: Path, content: bytes) -> None:
    beside = path.with_name(f".{path.name}.unfinished")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise DescribeError(f"{path}: {error.strerror}") from error
