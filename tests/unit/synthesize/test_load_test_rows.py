"""The load tester, which imports nothing of ours, reads the files that are made up for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.contract.repository import VersionFolder, scan
from bridge.synthesize.command import SynthesizeOptions, run_synthesize
from loadtest.row_file import read_rows
from loadtest.server_model import Tensor
from tests.sample_models import MODELS
from workers.loading import open_model

SAMPLES = scan(MODELS)


@pytest.mark.parametrize("folder", SAMPLES, ids=[folder.model for folder in SAMPLES])
def test_rows_for_every_sample_are_read(tmp_path: Path, folder: VersionFolder) -> None:
    output = tmp_path / "rows.parquet"
    inputs = open_model(folder, threads=1).contract.inputs
    # A row each: the load tester takes rows of one length from a file.
    rows = 1 if any(-1 in spec.row_shape for spec in inputs) else 6
    run_synthesize(
        SynthesizeOptions(
            model=folder.path, rows=rows, output=output, edge_cases=False, unseen=False, seed=0
        )
    )
    tensors = [
        Tensor(
            name=spec.name,
            datatype=spec.datatype,
            shape=spec.shape,
            columns=spec.columns,
        )
        for spec in inputs
    ]
    read, _ = read_rows(output, tensors, {})
    assert {len(array) for array in read.values()} == {rows}
