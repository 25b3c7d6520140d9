"""Cuts off a client that takes nothing of what is written to it."""

from __future__ import annotations

import asyncio


class SendingWatch:
    """Watches one connection between `pause_writing` and `resume_writing`."""

    __slots__ = ("_check_handle", "_send_s", "_unsent_bytes")

    def __init__(self, send_s: float) -> None:
        """`send_s` is how long a client may take not one byte."""
        self._send_s = send_s
        self._unsent_bytes = 0
        self._check_handle: asyncio.TimerHandle | None = None

    def start(self, transport: asyncio.WriteTransport) -> None:
        """The client takes its answer more slowly than it is written."""
        self._unsent_bytes = transport.get_write_buffer_size()
        loop = asyncio.get_running_loop()
        self._check_handle = loop.call_later(self._send_s, self._check, transport)

    def stop(self) -> None:
        """The client has taken what was written, or has gone."""
        if self._check_handle is not None:
            self._check_handle.cancel()
            self._check_handle = None

    def _check(self, transport: asyncio.WriteTransport) -> None:
        if transport.get_write_buffer_size() < self._unsent_bytes:
            self.start(transport)
        else:
            transport.abort()
