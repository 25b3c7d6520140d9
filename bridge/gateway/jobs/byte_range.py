"""Which part of a result a request wants: Range and If-Range of RFC 9110, one range at a time."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bridge.gateway.problem import Problem, ProblemCode

_DIGITS_MAX = 18
_RANGE = re.compile(rf"bytes=\s*([0-9]{{0,{_DIGITS_MAX}}})-([0-9]{{0,{_DIGITS_MAX}}})\s*")


@dataclass(frozen=True, slots=True)
class ByteRange:
    """The bytes `start` to `stop`, the latter not included, of `size`."""

    start: int
    stop: int
    size: int

    @property
    def content_range(self) -> str:
        """What Content-Range says."""
        return f"bytes {self.start}-{self.stop - 1}/{self.size}"


def byte_range(text: str | None, if_range: str | None, etag: str, size: int) -> ByteRange | None:
    """Return the range that is wanted, None for the whole.

    A header that is no single range of bytes is ignored, as the RFC allows; so is one whose
    If-Range is not this `etag`, for then the caller holds a part of something else.

    Raises:
        Problem: `range`; it begins after the end.
    """
    found = None if text is None else _RANGE.fullmatch(text)
    if found is None or (if_range is not None and if_range.strip() != etag):
        return None
    first, last = found[1], found[2]
    if first and last and int(last) < int(first):
        return None
    if not first and not last:
        return None
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(size, int(last) + 1) if last else size
    if start >= size or start == stop:
        raise Problem(ProblemCode.RANGE, f"the range begins after the last of {size} bytes")
    return ByteRange(start, stop, size)
