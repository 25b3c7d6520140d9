"""The options of `batchbridge describe`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from bridge.describe.command import DescribeOptions


def parsed_options(words: Sequence[str]) -> DescribeOptions:
    """Return what the words after `batchbridge describe` say; end the process if they are wrong."""
    parser = argparse.ArgumentParser(
        prog="batchbridge describe",
        description="Write contract.toml from the model and reference data, for a person to edit.",
        allow_abbrev=False,
    )
    text = "folder of a version, or of a model with one version"
    parser.add_argument("model", metavar="MODEL_DIR", type=Path, help=text)
    text = "reference data: .parquet, .csv, .ndjson or .arrow; adds statistics.json"
    parser.add_argument("--data", default="", help=text)
    text = "columns of the file that are none of the model's inputs"
    parser.add_argument(
        "--ignore", metavar="COLUMN", nargs="+", action="extend", default=[], help=text
    )
    text = "write contract.toml, statistics.json and example.json anew where they are there"
    parser.add_argument("--force", action="store_true", help=text)
    text = "leave contract.toml as it is and write statistics.json"
    parser.add_argument("--statistics-only", action="store_true", help=text)
    return DescribeOptions(**vars(parser.parse_args(words)))
