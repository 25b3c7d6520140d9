"""The body of a request as aiohttp has it: refused early, read whole, bounded in size and time."""

from __future__ import annotations

import asyncio

from aiohttp import hdrs, web

from bridge.gateway.inference import BODY_S_MAX, body_timeout, refuse_too_large
from bridge.gateway.problem import Problem, ProblemCode


def refuse_encoded(request: web.BaseRequest) -> None:
    """Refuse compressed bodies: nothing is ever inflated.

    Raises:
        Problem: `encoding`.
    """
    headers = request.headers
    # A header may be there twice: the body is what all of them together say.
    for encoding in headers.getall(hdrs.CONTENT_ENCODING, ()):
        if encoding.strip().lower() != "identity":
            raise Problem(ProblemCode.ENCODING, "compressed bodies are not accepted")
    if headers.get(hdrs.TRANSFER_ENCODING, "chunked").strip().lower() != "chunked":
        raise Problem(ProblemCode.ENCODING, "the only transfer encoding accepted is chunked")


async def read_body(request: web.BaseRequest) -> bytes:
    """Return the body; bounded in size and time, refused by its announced size first.

    Raises:
        Problem: `encoding`, `too_large` or `timeout`.
    """
    refuse_encoded(request)
    refuse_too_large(request.content_length)
    content = request.content
    if content.is_eof():
        # Most bodies arrive with their headers: no timer is needed for them.
        body = content.read_nowait()
        refuse_too_large(len(body))
        return body
    try:
        async with asyncio.timeout(BODY_S_MAX):
            first = await content.readany()
            if content.at_eof():
                refuse_too_large(len(first))
                return first
            chunks, size = [first], len(first)
            while not content.at_eof():
                chunk = await content.readany()
                chunks.append(chunk)
                size += len(chunk)
                refuse_too_large(size)
    except TimeoutError:
        raise body_timeout() from None
    return b"".join(chunks)
