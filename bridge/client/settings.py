"""The bounds of one client."""

from __future__ import annotations

from dataclasses import dataclass

MESSAGE_REQUESTS_MAX = 1_024
REQUEST_BYTES_MAX = 8 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """How patient a client is, and how much it has on the way at once.

    `timeout_s` is for calls that give none: the server then holds the request to the model's own
    target and timeout, the client gives up after this. `in_flight_max` is for each model, below
    what a gateway accepts on one connection; more callers wait. A message of several requests ends
    after `message_bytes`, an answer of more than `answer_bytes_max` is refused. `retry_ratio` is
    how many retries each call allows on average, `retry_reserve` how many may come at once.
    """

    timeout_s: float = 30.0
    connect_s: float = 5.0
    ping_s: float = 20.0
    close_s: float = 2.0
    in_flight_max: int = 2_048
    message_bytes: int = 2**20
    answer_bytes_max: int = 2**28
    http_connections_max: int = 256
    retry_ratio: float = 0.1
    retry_reserve: int = 10
    backoff_first_s: float = 0.05
    backoff_s_max: float = 5.0


DEFAULT_SETTINGS = ClientSettings()
