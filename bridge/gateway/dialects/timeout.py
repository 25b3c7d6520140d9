"""A caller's own timeout: milliseconds in a header, microseconds in `parameters`."""

from __future__ import annotations

import re

from bridge.contract.invalid import InvalidCode, InvalidInput, shown
from bridge.gateway.dialects.call import TIMEOUT_PLAUSIBLE_MAX_S

_DECIMAL = re.compile(r"[0-9]{1,18}(\.[0-9]{1,9})?", re.ASCII)


def parse_timeout_ms(text: str) -> float:
    """Return the seconds that a header in milliseconds means: a plain decimal number above 0.

    The result is not capped; `InferCall.with_timeout` does that and notes it.

    Raises:
        InvalidInput: `bad_deadline`; not such a number, or longer than ten years.
    """
    if _DECIMAL.fullmatch(text) is None:
        raise InvalidInput(
            InvalidCode.BAD_DEADLINE,
            f"X-Request-Timeout-Ms: '{shown(text)}' is not a number of milliseconds above 0",
        )
    timeout_s = float(text) / 1e3
    if not 0 < timeout_s <= TIMEOUT_PLAUSIBLE_MAX_S:
        raise _implausible("X-Request-Timeout-Ms", text)
    return timeout_s


def parse_timeout_us(value: object) -> float:
    """Return the seconds that `parameters.timeout`, in microseconds, means; not capped.

    Raises:
        InvalidInput: `bad_deadline`; not a number, not above 0, or longer than ten years.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInput(
            InvalidCode.BAD_DEADLINE,
            f"parameters.timeout: '{shown(value)}' is not a number of microseconds",
        )
    # Compared before it is divided: an integer may be too large to become a float.
    if not 0 < value <= TIMEOUT_PLAUSIBLE_MAX_S * 1e6:
        raise _implausible("parameters.timeout", value)
    return value / 1e6


def _implausible(where: str, given: object) -> InvalidInput:
    return InvalidInput(
        InvalidCode.BAD_DEADLINE, f"{where}: {shown(given)} is not above 0 and below ten years"
    )
