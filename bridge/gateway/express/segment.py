"""The plain requests in bytes that have arrived."""

from __future__ import annotations

import msgspec

from bridge.gateway.express.head import (
    HEAD_BYTES_MAX,
    HEAD_END,
    ExpressHead,
    Heads,
    could_be_taken,
)


class Whole(msgspec.Struct, frozen=True, gc=False):
    """A request that is all there."""

    head: ExpressHead
    body: bytes


class Segment(msgspec.Struct, frozen=True):
    """The whole requests at the start of some bytes, and what follows them from `rest_at` on.

    `is_room_left` says that nothing whole follows. Then the rest begins with `partial`, whose body
    is not all there, or, where that is None, is the beginning of a head, or nothing.
    """

    whole: list[Whole]
    rest_at: int
    is_room_left: bool
    partial: ExpressHead | None


def sole(data: bytes, heads: Heads) -> Whole | None:
    """Return the request that is all of `data`; None where there is less, more or another one."""
    end = data.find(HEAD_END, 0, HEAD_BYTES_MAX) + len(HEAD_END)
    head = heads.read(data[:end]) if end >= len(HEAD_END) else None
    if head is None or end + head.body_bytes != len(data):
        return None
    return Whole(head, data[end:])


def split(data: bytes, heads: Heads, room: int) -> Segment | None:
    """Return the requests in `data`, at most `room` of them; None if one is not plain.

    Of what is behind the last of `room` requests nothing is known.
    """
    whole: list[Whole] = []
    at = 0
    while at < len(data) and len(whole) < room:
        end = data.find(HEAD_END, at, at + HEAD_BYTES_MAX) + len(HEAD_END)
        if end < len(HEAD_END):
            return Segment(whole, at, True, None) if could_be_taken(data, at) else None
        head = heads.read(data[at:end])
        if head is None:
            return None
        if end + head.body_bytes > len(data):
            return Segment(whole, at, True, head)
        whole.append(Whole(head, data[end : end + head.body_bytes]))
        at = end + head.body_bytes
    return Segment(whole, at, len(whole) < room, None)
