"""A dialect by its name, or a template by its file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from loadtest.dialects.dialect import Dialect, Headers
from loadtest.dialects.messagepack import MessagePack
from loadtest.dialects.raw_template import read_template
from loadtest.dialects.v2_binary import V2Binary
from loadtest.dialects.v2_json import V2Json
from loadtest.errors import BadDialect
from loadtest.server_model import ServerModel

TEMPLATE_FOLDER = Path(__file__).parent / "templates"
_BUILT_IN: dict[str, Callable[[Headers], Dialect]] = {
    "v2-json": V2Json,
    "v2-binary": V2Binary,
    "messagepack": MessagePack,
}


def dialect_names() -> list[str]:
    """Return the names that `load_dialect` knows; Triton is v2-binary or v2-json."""
    return [*_BUILT_IN, *sorted(path.stem for path in TEMPLATE_FOLDER.glob("*.toml"))]


def load_dialect(name_or_file: str, model: ServerModel, headers: Headers = ()) -> Dialect:
    """Return a dialect for requests to `model`; `headers` are sent with every request.

    Raises:
        BadDialect: unknown, or a template file that cannot be used.
    """
    made = _BUILT_IN.get(name_or_file)
    if made is not None:
        return made(headers)
    path = Path(name_or_file)
    if path.suffix != ".toml":
        if name_or_file not in dialect_names():
            known = ", ".join(dialect_names())
            raise BadDialect(
                f"{name_or_file}: no such dialect; there are {known}, or name a .toml file"
            )
        path = TEMPLATE_FOLDER / f"{name_or_file}.toml"
    return read_template(path).with_headers(headers).with_columns(model)
