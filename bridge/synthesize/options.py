"""The options of `batchbridge synthesize`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from bridge.synthesize.command import SynthesizeOptions


def parsed_options(words: Sequence[str]) -> SynthesizeOptions:
    """Return what the words after `batchbridge synthesize` say; end the process if wrong."""
    parser = argparse.ArgumentParser(
        prog="batchbridge synthesize",
        description="Make up rows for a model: like its reference data, within its contract.",
        allow_abbrev=False,
    )
    text = "folder of a version, or of a model with one version"
    parser.add_argument("model", metavar="MODEL_DIR", type=Path, help=text)
    parser.add_argument("--rows", type=int, required=True, help="how many ordinary rows")
    text = ".parquet, .csv, .ndjson or .arrow"
    parser.add_argument("--output", type=Path, required=True, help=text)
    text = "also rows at the ends of ranges, at zero, null, and extreme together"
    parser.add_argument("--edge-cases", action="store_true", help=text)
    text = "also rows that the data lack, with the error that the contract has for each"
    parser.add_argument("--unseen", action="store_true", help=text)
    parser.add_argument("--seed", type=int, default=0, help="the same seed, the same rows")
    text = "in place of the output that is there"
    parser.add_argument("--force", action="store_true", help=text)
    return SynthesizeOptions(**vars(parser.parse_args(words)))
