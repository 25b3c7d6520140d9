"""The one wait whose only event is the time: a client that was told when to come back."""

from __future__ import annotations

import asyncio
import contextlib


async def elapse(seconds: float) -> None:
    """Return after so long, as a client does that keeps to a Retry-After."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.Event().wait()
