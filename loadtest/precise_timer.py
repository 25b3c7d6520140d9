"""Wake-ups finer than an event loop's: libuv and epoll count in milliseconds.

On Linux a timerfd, which any loop can watch, fires within some tens of microseconds. Elsewhere the
last milliseconds before a wake-up are spent turning the loop.
"""

from __future__ import annotations

import asyncio
import ctypes
import functools
import os
import sys
import time
from collections.abc import Callable

# A loop's own timer may be so much late.
LOOP_RESOLUTION_S = 0.002
_CLOCK_MONOTONIC = 1
_TFD_NONBLOCK = 0o4000
_TFD_CLOEXEC = 0o2000000
_TFD_TIMER_ABSTIME = 1
_COUNTER_BYTES = 8


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class PreciseTimer:
    """Calls back at an instant of `time.monotonic`, again and again; use on one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_time: Callable[[], None]) -> None:
        self._loop = loop
        self._on_time = on_time
        self._descriptor = _timerfd()
        self._handle: asyncio.Handle | None = None
        if self._descriptor is not None:
            loop.add_reader(self._descriptor, self._fired)

    def set(self, at_s: float) -> None:
        """Call back once at `at_s`, or as soon as possible if that is past."""
        if self._descriptor is None:
            self._turn_until(at_s)
            return
        at_ns = max(1, int(at_s * 1e9))
        value = _Timespec(at_ns // 1_000_000_000, at_ns % 1_000_000_000)
        setting = _Itimerspec(_Timespec(0, 0), value)
        _libc().timerfd_settime(self._descriptor, _TFD_TIMER_ABSTIME, ctypes.byref(setting), None)

    def close(self) -> None:
        """Call back no more."""
        if self._handle is not None:
            self._handle.cancel()
        if self._descriptor is not None:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None

    def _fired(self) -> None:
        if self._descriptor is not None:
            try:
                os.read(self._descriptor, _COUNTER_BYTES)
            except BlockingIOError:
                return  # set anew between the wake-up and this read
            self._on_time()

    def _turn_until(self, at_s: float) -> None:
        left_s = at_s - time.monotonic()
        if left_s <= 0:
            self._handle = self._loop.call_soon(self._on_time)
        elif left_s < LOOP_RESOLUTION_S:
            self._handle = self._loop.call_soon(self._turn_until, at_s)
        else:
            self._handle = self._loop.call_later(left_s - LOOP_RESOLUTION_S, self._turn_until, at_s)


@functools.cache
def _libc() -> ctypes.CDLL:
    # Once: each CDLL makes a class of its own, in reference cycles; one per wake-up cost 30 µs and
    # made the garbage collector stop everything for 25 ms.
    return ctypes.CDLL(None, use_errno=True)


def _timerfd() -> int | None:
    if sys.platform != "linux":
        return None
    descriptor = int(_libc().timerfd_create(_CLOCK_MONOTONIC, _TFD_NONBLOCK | _TFD_CLOEXEC))
    return descriptor if descriptor >= 0 else None
