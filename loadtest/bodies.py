"""The bodies of a run: a bounded pool of complete requests, made before the first one is sent.

Making a body costs more than sending it, so a run sends the same bodies again and again, in an
order drawn from its seed. Where the outputs that must be answered are known, they stand beside it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from loadtest.body_source import BodySource
from loadtest.datatypes import Rows
from loadtest.dialects.dialect import Dialect, body_of
from loadtest.errors import BadAnswer, BadRows
from loadtest.row_counts import RowCounts

BODIES_DEFAULT = 1_000
BODIES_MAX = 1_000_000
POOL_BYTES_MAX = 2**30
EXPECTED_MARK = ".expected"


@dataclass(frozen=True, slots=True)
class Body:
    """One prepared request.

    `rows` are what it holds, None for a body that the caller made; `expected` the outputs that
    must be answered, None where they are not known.
    """

    request: bytes
    rows: Rows | None = None
    expected: Rows | None = None

    @property
    def row_count(self) -> int | None:
        """The number of rows, None where it is not known."""
        return None if self.rows is None else len(next(iter(self.rows.values())))


@dataclass(frozen=True, slots=True)
class BodyPool:
    """Prepared requests to one model in one dialect; `source` says where the rows came from."""

    dialect: Dialect
    host_header: str
    target: str
    bodies: tuple[Body, ...]
    source: dict[str, Any]

    @property
    def requests(self) -> list[bytes]:
        """The complete requests, in the pool's order."""
        return [body.request for body in self.bodies]

    @property
    def row_counts(self) -> list[int | None]:
        """The number of rows in each request."""
        return [body.row_count for body in self.bodies]

    @property
    def is_checkable(self) -> bool:
        """Whether the outputs that must be answered are known for any body."""
        return any(body.expected is not None for body in self.bodies)

    def describe(self) -> dict[str, Any]:
        """Return what the run's JSON says of the pool: enough to make it, and know it, again.

        `body_bytes_mean` is without HTTP's headers; `sha256` is of all bodies in order.
        """
        bodies = [body_of(request) for request in self.requests]
        digest = hashlib.sha256()
        for body in bodies:
            digest.update(body)
        return {
            "dialect": self.dialect.name,
            "target": self.target,
            "source": self.source,
            "bodies": len(bodies),
            "distinct": len(set(bodies)),
            "rows": {
                "unknown" if rows is None else str(rows): count
                for rows, count in sorted(Counter(self.row_counts).items(), key=str)
            },
            "body_bytes_mean": sum(map(len, bodies)) / len(bodies),
            "with_expected_outputs": sum(body.expected is not None for body in self.bodies),
            "sha256": digest.hexdigest(),
        }


def pool_of_rows(
    source: BodySource,
    dialect: Dialect,
    host_header: str,
    target: str,
    *,
    rows: RowCounts,
    count: int = BODIES_DEFAULT,
    seed: int = 0,
    bytes_max: int = POOL_BYTES_MAX,
) -> BodyPool:
    """Return a pool of `count` bodies with rows from `source`.

    `seed` decides which body has how many rows. A source that makes few different rows makes few
    different bodies: `describe` says how many.

    Raises:
        BadRows: more bodies or bytes than a pool may have, or rows that the model does not take.
        BadDialect: rows that the dialect cannot carry.
    """
    if not 1 <= count <= BODIES_MAX:
        raise BadRows(f"{count} bodies, 1 to {BODIES_MAX} are accepted")
    spread = rows.spread(count, np.random.default_rng(seed))

    def made() -> Iterable[Body]:
        for row_count in spread:
            drawn = source.draw(row_count)
            request = dialect.request(host_header, target, drawn.rows)
            yield Body(request, drawn.rows, drawn.expected)

    described = {**source.describe(), "rows_spread_seed": seed}
    return BodyPool(dialect, host_header, target, _bounded(made(), bytes_max), described)


def pool_of_bodies(path: Path, dialect: Dialect, host_header: str, target: str) -> BodyPool:
    """Return a pool of the caller's own complete bodies.

    `path` is one body, a file of JSON bodies line by line (.ndjson, .jsonl), or a folder with a
    body in each file. In a folder, `NAME.expected.EXT` is the answer that the body `NAME.EXT` must
    get. The dialect adds the headers and reads the answers.

    Raises:
        BadRows: nothing there, more than a pool may have, an expected answer that cannot be read.
        BadDialect: a body that the dialect cannot send.
    """
    try:
        pairs = _own_bodies(path)
    except OSError as error:
        raise BadRows(f"{path}: {error.strerror or error}") from error
    if not 1 <= len(pairs) <= BODIES_MAX:
        raise BadRows(f"{path}: {len(pairs)} bodies, 1 to {BODIES_MAX} are accepted")

    def made() -> Iterable[Body]:
        for own, answer in pairs:
            expected = None if answer is None else _expected(dialect, answer)
            yield Body(dialect.request_of(host_header, target, own), None, expected)

    source = {"kind": "bodies", "file": str(path)}
    return BodyPool(dialect, host_header, target, _bounded(made(), POOL_BYTES_MAX), source)


def _bounded(bodies: Iterable[Body], bytes_max: int) -> tuple[Body, ...]:
    kept: list[Body] = []
    total_bytes = 0
    for body in bodies:
        total_bytes += len(body.request)
        if total_bytes > bytes_max:
            raise BadRows(
                f"the pool is larger than {bytes_max} bytes after {len(kept)} bodies: "
                "take fewer bodies or fewer rows"
            )
        kept.append(body)
    return tuple(kept)


def _own_bodies(path: Path) -> list[tuple[bytes, Path | None]]:
    """Bodies and the files of the answers that they must get."""
    if not path.is_dir():
        if path.suffix in (".ndjson", ".jsonl"):
            lines = path.read_bytes().split(b"\n")
            return [(line, None) for line in lines if line.strip()]
        return [(path.read_bytes(), None)]
    found: list[tuple[bytes, Path | None]] = []
    for file in sorted(path.iterdir()):
        if file.is_file() and not file.stem.endswith(EXPECTED_MARK):
            answer = file.with_name(f"{file.stem}{EXPECTED_MARK}{file.suffix}")
            found.append((file.read_bytes(), answer if answer.exists() else None))
    return found


def _expected(dialect: Dialect, file: Path) -> Rows:
    try:
        return dialect.outputs(file.read_bytes())
    except OSError as error:
        raise BadRows(f"{file}: {error.strerror or error}") from error
    except BadAnswer as error:
        raise BadRows(f"{file}: {error}") from error
