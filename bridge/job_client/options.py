"""The words of `batchbridge jobs`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

URL_DEFAULT = "http://127.0.0.1:8080"
STATES = ("uploading", "waiting", "running", "finished", "failed", "cancelled")
FORMATS = ("ndjson", "csv", "parquet", "arrow")
LIMIT_MAX = 200


def parsed_options(words: Sequence[str], environment: Mapping[str, str]) -> argparse.Namespace:
    """Return the options; ends the program where they cannot be understood."""
    parser = argparse.ArgumentParser(
        prog="batchbridge jobs", description="Jobs of a running system.", allow_abbrev=False
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="all jobs, youngest first")
    listing.add_argument("--state", choices=STATES, default="", help="only those")
    listing.add_argument("--limit", type=_limit, default=50, help="at most so many (default: 50)")
    show = actions.add_parser("show", help="how far one is")
    cancel = actions.add_parser("cancel", help="end one that has not ended")
    retry = actions.add_parser("retry-dead", help="send the rows again that the model failed on")
    results = actions.add_parser("results", help="fetch what one has brought")
    rejected = actions.add_parser("rejected", help="fetch the rows that were not scored, and why")
    for command in (show, cancel, retry, results, rejected):
        command.add_argument("job", metavar="ID")
    for command in (results, rejected):
        command.add_argument("output", metavar="FILE", type=Path)
    submit = actions.add_parser("submit", help="upload a file of rows as a new one")
    _add_submit(submit)
    for command in (listing, show, cancel, retry, results, rejected, submit):
        command.add_argument(
            "--url",
            default=environment.get("BATCHBRIDGE_URL", URL_DEFAULT),
            help=f"the system's (default: {URL_DEFAULT})",
        )
        command.add_argument("--tenant", default="", help="whose jobs (default: everybody's)")
        command.add_argument("--json", action="store_true", help="print JSON, for programs")
    return parser.parse_args(list(words))


def _add_submit(submit: argparse.ArgumentParser) -> None:
    submit.add_argument("model", metavar="MODEL", help="a model, or model@version")
    submit.add_argument("input", metavar="INPUT", type=Path, help="the rows")
    submit.add_argument("--key", default="", help="the column that stands beside the outputs")
    submit.add_argument("--output-format", choices=FORMATS, default="ndjson")
    submit.add_argument("--max-rejected", type=int, help="fail when more rows are rejected")
    submit.add_argument("--idempotency-key", default="", help="the same key is the same job")
    submit.add_argument("--webhook", default="", help="URL that hears of the end")
    submit.add_argument(
        "--columns", metavar="NAME=COLUMN", nargs="+", action="extend", default=[],
        help="the file's own names for the model's inputs and columns",
    )  # fmt: skip


def _limit(text: str) -> int:
    limit = int(text)
    if not 1 <= limit <= LIMIT_MAX:
        raise argparse.ArgumentTypeError(f"is not between 1 and {LIMIT_MAX}")
    return limit
