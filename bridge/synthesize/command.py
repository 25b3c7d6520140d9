"""`batchbridge synthesize`: a file of made-up rows of a model's inputs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bridge.contract.statistics import StatisticsError, read_statistics
from bridge.describe.command import only_version
from bridge.describe.errors import DescribeError
from bridge.jobs.errors import JobError
from bridge.jobs.input_table import Batch, InputTable
from bridge.jobs.output_file import check_output, write_output
from bridge.synthesize.errors import SynthesizeError
from bridge.synthesize.made_rows import MadeRows
from bridge.synthesize.scenario import ScenarioRow
from workers.check.command import CheckError
from workers.loading import LoadError, open_model

Array = np.ndarray[Any, np.dtype[Any]]

EXIT_CONFIGURATION = 2
ROWS_MAX = 100_000_000
SCENARIO_COLUMN = "scenario"
EXPECTED_COLUMN = "expected_error"


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthesizeOptions:
    """The command's options; `force`: in place of the output that is there."""

    model: Path
    rows: int
    output: Path
    edge_cases: bool
    unseen: bool
    seed: int
    force: bool = False


def run_synthesize(options: SynthesizeOptions) -> int:
    """Write the file; return 0, or 2 with the reason why not. The same seed, the same rows."""
    try:
        if not 0 <= options.rows <= ROWS_MAX:
            raise SynthesizeError(f"--rows: {options.rows} is not from 0 to {ROWS_MAX}")
        if options.seed < 0:
            raise SynthesizeError(f"--seed: {options.seed} is below 0")
        if options.output.is_file() and not options.force:
            raise SynthesizeError(f"{options.output} is there already: --force writes it anew")
        folder = only_version(options.model)
        contract = open_model(folder, threads=1).contract
        made = MadeRows(contract.inputs, read_statistics(folder), contract.padding)
        counts = _write(options, made)
    except (CheckError, DescribeError, LoadError, StatisticsError, SynthesizeError) as error:
        sys.stderr.write(f"batchbridge: {error}\n")
        return EXIT_CONFIGURATION
    except JobError as error:
        sys.stderr.write(f"batchbridge: output: {error}\n")
        return EXIT_CONFIGURATION
    print(f"{options.output}: {counts}, {made.source}")
    return 0


def _write(options: SynthesizeOptions, made: MadeRows) -> str:
    generator = np.random.default_rng(options.seed)
    has_scenarios = options.edge_cases or options.unseen
    labels = (SCENARIO_COLUMN, EXPECTED_COLUMN) if has_scenarios else ()
    table = InputTable(made.inputs, labels)
    check_output(options.output, table.schema)
    counts = {"rows": 0, "edge cases": 0, "unseen": 0, "to be refused": 0}

    def batches() -> Iterator[Batch]:
        for tensors in made.likely(options.rows, generator):
            rows = len(next(iter(tensors.values())))
            counts["rows"] += rows
            yield table.batch(tensors, {}, dict.fromkeys(labels, [""] * rows))
        scenarios: list[tuple[str, Iterator[ScenarioRow]]] = []
        if options.edge_cases:
            scenarios.append(("edge cases", made.edge_cases(generator)))
        if options.unseen:
            scenarios.append(("unseen", made.unseen(generator)))
        for kind, rows_of_kind in scenarios:
            for row in rows_of_kind:
                counts[kind] += 1
                counts["to be refused"] += bool(row.expected_error)
                said = {SCENARIO_COLUMN: [row.name], EXPECTED_COLUMN: [row.expected_error]}
                yield table.batch(row.tensors, row.missing, said)

    write_output(options.output, table.schema, batches())
    return ", ".join(f"{count} {kind}" for kind, count in counts.items() if count or kind == "rows")
