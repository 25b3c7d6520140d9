"""The options of `batchbridge check`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from workers.check.command import CheckOptions


def parsed_options(words: Sequence[str]) -> CheckOptions:
    """Return what the words after `batchbridge check` say; end the process if they are wrong."""
    parser = argparse.ArgumentParser(
        prog="batchbridge check",
        description="Is a model safe to serve row by row? Exit code 0: yes, 1: no, 2: not checked.",
        allow_abbrev=False,
    )
    text = "folder of a version, of a model, or of a whole repository"
    parser.add_argument("model", metavar="MODEL_DIR", type=Path, help=text)
    text = "rows to try: .parquet, .csv, .ndjson or .arrow; none: made up from the contract"
    parser.add_argument("--data", default="", help=text)
    parser.add_argument("--json", default="", help="also write the report to this file")
    text = "the largest batch that is tried holds one row more (default: 64)"
    parser.add_argument("--batch-rows", type=int, default=64, help=text)
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="for each model version (default: 20)"
    )
    parser.add_argument(
        "--threads", type=int, default=1, help="ONNX Runtime's threads (default: 1)"
    )
    text = "start no queue, worker and gateway for golden.parquet; it is run in this process only"
    parser.add_argument("--quick", action="store_true", help=text)
    text = "write the threshold that costs least on the golden rows to threshold.toml"
    parser.add_argument("--write-threshold", action="store_true", help=text)
    return CheckOptions(**vars(parser.parse_args(words)))
