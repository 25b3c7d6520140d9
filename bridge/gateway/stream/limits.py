"""The bounds of one stream."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.gateway.inference import BODY_BYTES_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLimits:
    """What one connection may ask for at once, and how long it may do nothing.

    `message_requests_max` bounds how long one message keeps the event loop: 1,024 requests take
    some 15 ms. Requests beyond `in_flight_max`, or beyond `in_flight_bytes_max` of their own bytes,
    are refused. While more than `unsent_bytes_max` of answers wait for the client to take them, no
    message is read; a message of answers ends after `answers_bytes`. A client that sends nothing
    for `ping_s` is pinged and has half as long to answer. `close_s` is how long the other side's
    close is waited for.
    """

    message_bytes_max: int = BODY_BYTES_MAX
    message_requests_max: int = 1_024
    in_flight_max: int = 4_096
    in_flight_bytes_max: int = 4 * BODY_BYTES_MAX
    unsent_bytes_max: int = 2**20
    answers_bytes: int = 2**18
    ping_s: float = 20.0
    close_s: float = 2.0


DEFAULT_STREAM_LIMITS = StreamLimits()
