"""Headers of which a request may hold one: who is asked for must not hang on which one is read."""

from __future__ import annotations

from multidict import CIMultiDict, CIMultiDictProxy

from bridge.contract.invalid import InvalidCode, InvalidInput

Headers = CIMultiDict[str] | CIMultiDictProxy[str]


def sole_header(headers: Headers, name: str) -> str | None:
    """Return the header of this name, None where there is none.

    Raises:
        InvalidInput: `duplicate_key`; it stands twice, as where a proxy adds one to the caller's.
    """
    values = headers.getall(name, [])
    if len(values) > 1:
        raise InvalidInput(
            InvalidCode.DUPLICATE_KEY, f"the header {name} stands {len(values)} times"
        )
    return values[0] if values else None
