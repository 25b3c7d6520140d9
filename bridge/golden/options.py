"""The options of `batchbridge record`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from bridge.golden.record import RecordOptions


def parsed_options(words: Sequence[str]) -> RecordOptions:
    """Return what the words after `batchbridge record` say; end the process if they are wrong."""
    parser = argparse.ArgumentParser(
        prog="batchbridge record",
        description="Keep rows, and what a model answers to them, as golden.parquet beside it; "
        "`batchbridge check` replays them. Exit code 0: recorded, 1: recorded, but the outputs "
        "given are not the model's, 2: not recorded.",
        allow_abbrev=False,
    )
    text = "folder of a version, or of a model with one version"
    parser.add_argument("model", metavar="MODEL_DIR", type=Path, help=text)
    text = "the rows, as callers send them: .parquet, .csv, .ndjson or .arrow"
    parser.add_argument("--data", type=Path, required=True, help=text)
    text = "what is expected, row by row; none: what the model answers to all rows at once"
    parser.add_argument("--outputs-from", metavar="FILE", default="", help=text)
    text = "column of --data with the true classes (default: the contract's decision.label_column)"
    parser.add_argument("--label-column", default="", help=text)
    parser.add_argument("--force", action="store_true", help="in place of what is there")
    parser.add_argument(
        "--threads", type=int, default=1, help="ONNX Runtime's threads (default: 1)"
    )
    return RecordOptions(**vars(parser.parse_args(words)))
