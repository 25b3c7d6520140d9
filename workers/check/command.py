"""`batchbridge check`: is a model safe to serve row by row? Between trained and deployed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from bridge.contract.model import TensorSpec
from bridge.contract.repository import (
    MODEL_FILE,
    PIPELINE_FILE,
    RepositoryError,
    VersionFolder,
    scan,
    versions_of,
)
from bridge.contract.statistics import STATISTICS_FILE, StatisticsError
from workers.check.finding import Kind
from workers.check.likely_probes import likely_rows
from workers.check.made_values import BOLD
from workers.check.padding_suspects import padding_suspects
from workers.check.page import report_text
from workers.check.probe_rows import ProbeRows, from_reference
from workers.check.report import Part, Report
from workers.check.row_independence import Effort
from workers.check.suspect import Suspect
from workers.check.suspects import suspects
from workers.check.version_check import check_version, fitting, made_up_rows
from workers.loading import LoadError, open_model
from workers.model import Array, Model

EXIT_FAILED = 1
EXIT_CONFIGURATION = 2
ROWS = 24
BATCH_ROWS_MAX = 4096

# Gives up to so many rows of the model's inputs from a file, in groups of one shape each.
ReadRows = Callable[[Path, tuple[TensorSpec, ...], int], list[Mapping[str, Array]]]

# Gives more parts for the report on a version, from what is beside it; told whether a worker would
# serve it.
Further = Callable[[VersionFolder, Model, bool], tuple[Part, ...]]


class CheckError(Exception):
    """The check cannot begin; the message names the option and the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """The command's options; `data` and `json` are empty if not given.

    `batch_rows`: the largest batch is one row more. `seconds`: for each model. `quick`: without
    starting a system. `write_threshold`: put the best threshold into the version's folder.
    """

    model: Path
    data: str
    json: str
    batch_rows: int
    seconds: float
    threads: int
    quick: bool = False
    write_threshold: bool = False


def run_check(
    options: CheckOptions, read_rows: ReadRows | None, further: Further | None = None
) -> int:
    """Print a report on each model version found; return 0, 1 if one fails, 2 for a bad option.

    `read_rows` is asked for the rows of `data`, if that is given, `further` for more parts.
    """
    try:
        _refuse_bad(options)
        folders = version_folders(options.model)
        reports = [_report(folder, options, read_rows, further) for folder in folders]
        _write_json(options, reports)
    except (CheckError, LoadError) as error:
        sys.stderr.write(f"batchbridge: {error}\n")
        return EXIT_CONFIGURATION
    print("\n".join(report_text(report) for report in reports), end="")
    return 0 if all(report.is_passed_in_all for report in reports) else EXIT_FAILED


def version_folders(path: Path) -> list[VersionFolder]:
    """Return the versions in `path`: itself, those of a model, or those of a whole repository.

    Raises:
        CheckError: there is none.
    """
    if any((path / name).exists() for name in (MODEL_FILE, PIPELINE_FILE)):
        resolved = path.resolve()
        return [VersionFolder(resolved.parent.name, resolved.name, path)]
    try:
        found = scan(path)
        if not found and path.is_dir():
            found = versions_of(path.resolve())
    except RepositoryError as error:
        raise CheckError(f"MODEL_DIR: {error}") from error
    if not found:
        raise CheckError(f"MODEL_DIR: {path} holds neither {MODEL_FILE} nor {PIPELINE_FILE}")
    return found


def _refuse_bad(options: CheckOptions) -> None:
    if not 2 <= options.batch_rows <= BATCH_ROWS_MAX:
        raise CheckError(f"batch-rows: {options.batch_rows} is not from 2 to {BATCH_ROWS_MAX}")
    if options.seconds <= 0:
        raise CheckError(f"seconds: {options.seconds:g} is not above 0")
    if options.threads < 1:
        raise CheckError(f"threads: {options.threads} is below 1")
    if options.json and not Path(options.json).parent.is_dir():
        raise CheckError(f"json: {Path(options.json).parent} is not a folder")


def _report(
    folder: VersionFolder,
    options: CheckOptions,
    read_rows: ReadRows | None,
    further: Further | None,
) -> Report:
    model = open_model(folder, options.threads)
    probes, source = _probes(folder, model, options, read_rows)
    found = check_version(model, probes, Effort(options.seconds, options.batch_rows))
    blamed: tuple[Suspect, ...] = ()
    if found.findings:
        first = found.findings[0]
        is_padding = first.kind is Kind.PADDING
        blamed = (
            padding_suspects(model, first)
            if is_padding
            else suspects(folder, first, options.threads)
        )
    report = Report(
        contract=model.contract,
        folder=str(folder.path),
        independence=found,
        source=source,
        suspects=blamed,
    )
    if further is None:
        return report
    return replace(report, parts=further(folder, model, report.is_passed))


def _probes(
    folder: VersionFolder, model: Model, options: CheckOptions, read_rows: ReadRows | None
) -> tuple[list[ProbeRows], str]:
    """The rows to try, and where they are from."""
    inputs = model.contract.inputs
    if read_rows is not None:
        groups = fitting(model.contract, read_rows(Path(options.data), inputs, ROWS))
        if not groups:
            raise CheckError(f"data: {options.data} holds no row that the contract allows")
        return [from_reference(inputs, group, BOLD) for group in groups], options.data
    try:
        likely = fitting(model.contract, likely_rows(folder, model.contract, ROWS))
    except StatisticsError as error:
        raise CheckError(str(error)) from error
    if likely:
        probes = [from_reference(inputs, group, BOLD, "likely row") for group in likely]
        return probes, f"made up like those of {STATISTICS_FILE}"
    return made_up_rows(model.contract, ROWS, BOLD), "made up from the contract"


def _write_json(options: CheckOptions, reports: list[Report]) -> None:
    if not options.json:
        return
    document: dict[str, Any] = {
        "passed": all(report.is_passed_in_all for report in reports),
        "models": [report.document() for report in reports],
    }
    text = msgspec.json.format(msgspec.json.encode(document), indent=2)
    try:
        _write_whole(Path(options.json), text + b"\n")
    except OSError as error:
        raise CheckError(f"json: {options.json}: {error.strerror}") from error


def _write_whole(path: Path, content: bytes) -> None:
    """All of it or nothing: a pipeline shall not read half a report."""
    if path.exists() and not path.is_file():
        path.write_bytes(content)  # /dev/stdout, say, which nothing may replace
        return
    beside = path.with_name(f".{path.name}.unfinished")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
