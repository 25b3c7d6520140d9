"""The Prefer header of RFC 7240, as far as it is honoured: `respond-async` and `wait`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec

PREFER_HEADER = "Prefer"
APPLIED_HEADER = "Preference-Applied"
# A longer wait is cut to this; what is not answered by then is answered later.
WAIT_S_MAX = 60.0
# Preferences may be ignored, so a longer header is: its quotes would take long to pair up.
PREFER_CHARS_MAX = 512
_WAIT_DIGITS_MAX = 6
_ITEM = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*")+')


class RespondAsync(msgspec.Struct, frozen=True):
    """The caller takes a 202, at the latest after `wait_s` seconds; `applied` says what is done."""

    wait_s: float
    applied: str


def parse_prefer(values: Sequence[str]) -> RespondAsync | None:
    """Return what the values of all Prefer headers ask for; None without `respond-async`.

    What is not understood is ignored, and of a preference that is named twice the first counts, as
    the RFC wants it. `wait` is in whole seconds and cut to `WAIT_S_MAX`.
    """
    text = ",".join(values)
    if not text or len(text) > PREFER_CHARS_MAX:
        return None
    first: dict[str, str] = {}
    for name, value in _preferences(text):
        first.setdefault(name, value)
    if first.get("respond-async") != "":
        return None
    wait = first.get("wait", "")
    if not (wait.isascii() and wait.isdigit()) or len(wait) > _WAIT_DIGITS_MAX:
        return RespondAsync(0.0, "respond-async")
    wait_s = min(float(wait), WAIT_S_MAX)
    return RespondAsync(wait_s, f"respond-async, wait={wait_s:.0f}")


def _preferences(text: str) -> Iterator[tuple[str, str]]:
    for item in _ITEM.findall(text):
        # The parameters after a semicolon mean nothing to these two preferences.
        name, _, value = item.partition(";")[0].partition("=")
        yield name.strip().lower(), value.strip().strip('"')
