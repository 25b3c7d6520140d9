"""How much a request matters: a name or a whole number, in a header or in `parameters`."""

from __future__ import annotations

from bridge.contract.invalid import InvalidCode, InvalidInput, shown
from bridge.gateway.dialects.call import BATCH_PRIORITY, PRIORITY_MAX

PRIORITY_HEADER = "X-Priority"
# As whole numbers, of which Triton says: 0 is the default, 1 the highest.
PRIORITY_NAMES = {"critical": 1, "default": 0, "sheddable": 3, "batch": BATCH_PRIORITY}
_DIGITS_MAX = len(str(PRIORITY_MAX))


def parse_priority_header(text: str) -> int:
    """Return the whole number, 0 to `PRIORITY_MAX` or `BATCH_PRIORITY`, that the header means.

    Raises:
        InvalidInput: `bad_parameter`; neither a name nor such a number in plain decimal digits.
    """
    named = PRIORITY_NAMES.get(text)
    if named is not None:
        return named
    if not (text.isascii() and text.isdigit()) or len(text) > _DIGITS_MAX:
        raise _refusal(PRIORITY_HEADER, text)
    number = int(text)
    if number > PRIORITY_MAX:
        raise _refusal(PRIORITY_HEADER, text)
    return number


def parse_priority(value: object) -> int:
    """Return the whole number, as `parse_priority_header`, that `parameters.priority` means.

    Raises:
        InvalidInput: `bad_parameter`; neither a name nor such a number. A number as text is none.
    """
    named = PRIORITY_NAMES.get(value) if isinstance(value, str) else None
    if named is not None:
        return named
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= PRIORITY_MAX:
        raise _refusal("parameters.priority", value)
    return value


def _refusal(where: str, given: object) -> InvalidInput:
    names = ", ".join(PRIORITY_NAMES)
    return InvalidInput(
        InvalidCode.BAD_PARAMETER,
        f"{where}: '{shown(given)}' is neither one of {names} "
        f"nor a whole number from 0 to {PRIORITY_MAX}",
    )
