"""golden.parquet and threshold.toml of a sample, as `batchbridge record` and `check` write them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bridge.contract.repository import THRESHOLD_FILE, VersionFolder
from bridge.golden.decision_check import DecisionCheck, check_decision
from bridge.golden.golden_check import check_golden
from bridge.golden.record import RecordOptions, record
from workers.loading import open_model

ONE_THREAD = 1


def write_golden(folder: Path, rows: Sequence[Mapping[str, Any]]) -> DecisionCheck | None:
    """Record rows, which must not be among those trained on, and find the threshold if any."""
    (folder / THRESHOLD_FILE).unlink(missing_ok=True)
    version = VersionFolder(folder.parent.name, folder.name, folder)
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "held_out.ndjson"
        data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        options = RecordOptions(
            model=folder,
            data=data,
            outputs_from="",
            label_column="",
            force=True,
            threads=ONE_THREAD,
        )
        record(version, options)
    model = open_model(version, ONE_THREAD)
    left_out = "just built"
    found, recomputed = check_golden(
        version, model, threads=ONE_THREAD, left_out=left_out, environment={}
    )
    return check_decision(version, model.contract, found.golden, recomputed, writes=True)
