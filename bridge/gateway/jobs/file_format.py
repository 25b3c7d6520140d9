"""Which formats uploads and results may have, and what HTTP calls them."""

from __future__ import annotations

from bridge.contract.invalid import InvalidCode, InvalidInput, shown
from bridge.gateway.problem import Problem, ProblemCode

NDJSON = "application/x-ndjson"
CONTENT_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "ndjson": NDJSON,
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.file",
}
_UPLOADS = {
    "text/csv": "csv",
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
    "application/jsonl": "ndjson",
    "application/vnd.apache.parquet": "parquet",
    "application/x-parquet": "parquet",
    "application/vnd.apache.arrow.file": "arrow",
    "application/vnd.apache.arrow.stream": "arrow",
}
_SUFFIXES = {
    ".csv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
}
_CHARSETS = ("", "utf-8", "utf8")
REFERENCE = "application/json"
ACCEPTED = (
    "text/csv, application/x-ndjson, application/vnd.apache.parquet, "
    "application/vnd.apache.arrow.file, or application/json with the name of a file"
)


def upload_format(content_type: str) -> str | None:
    """Return the format of an upload by its Content-Type, None for a reference to a file.

    Raises:
        Problem: `media_type`; another type, or a charset other than UTF-8.
    """
    main, *parameters = content_type.split(";")
    name = main.strip().lower()
    if all(_is_harmless(parameter) for parameter in parameters):
        if name == REFERENCE:
            return None
        found = _UPLOADS.get(name)
        if found is not None:
            return found
    raise Problem(
        ProblemCode.MEDIA_TYPE,
        f"Content-Type: '{shown(content_type)}' is not accepted; send {ACCEPTED}",
    )


def format_of_name(name: str) -> str | None:
    """Return the format of a file by its name, None where the name does not say."""
    return _SUFFIXES.get(f".{name.rpartition('.')[2].lower()}") if "." in name else None


def output_format(text: str) -> str:
    """Return the format that results are wanted in.

    Raises:
        InvalidInput: `bad_parameter`; there is no such format.
    """
    if text not in CONTENT_TYPES:
        raise InvalidInput(
            InvalidCode.BAD_PARAMETER,
            f"output: '{shown(text)}' is none of {', '.join(CONTENT_TYPES)}",
        )
    return text


def _is_harmless(parameter: str) -> bool:
    key, _, value = parameter.strip().partition("=")
    return key.strip().lower() != "charset" or value.strip(' "').lower() in _CHARSETS
