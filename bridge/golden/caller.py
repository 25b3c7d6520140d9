"""A caller of the gateway: one HTTP connection, one request at a time, patient when refused."""

from __future__ import annotations

import http.client
import threading
from typing import Self
from urllib.parse import quote

import msgspec

from bridge.client.errors import BadAnswer
from bridge.contract.model import ModelContract
from bridge.golden.wire_formats import Tensors, WireFormat

# A gateway that has just been started may refuse a little while it learns how fast the model is.
TRIES_MAX = 20
TIMEOUT_S = 60.0
RETRY_S_DEFAULT = 0.1
_TRY_AGAIN = (429, 503, 504)


class NotAnswered(Exception):
    """The gateway did not answer with outputs; the message says what it said."""


class _Problem(msgspec.Struct):
    error: str = ""
    code: str = ""


class Caller:
    """Asks for one model version; used by one thread."""

    def __init__(self, host: str, port: int, contract: ModelContract) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        self._names = {"model": quote(contract.name, safe=""), "version": contract.version}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def ask(self, form: WireFormat, rows: Tensors) -> Tensors:
        """Return the outputs for some rows.

        Raises:
            NotAnswered: it was refused to the end, or is not accepted.
        """
        body = form.write(rows)
        path = form.path.format(**self._names)
        never = threading.Event()
        reason = ""
        for _ in range(TRIES_MAX):
            try:
                self._connection.request("POST", path, body.data, dict(body.headers))
                response = self._connection.getresponse()
                headers, data = response.headers, response.read()
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                raise NotAnswered(f"{type(error).__name__}: {error}") from error
            if response.status == http.HTTPStatus.OK:
                try:
                    return form.read(dict(headers.items()), data)
                except BadAnswer as error:
                    raise NotAnswered(str(error)) from error
            reason = f"{response.status} {_said(data)}"
            if response.status not in _TRY_AGAIN:
                break
            hint_ms = headers.get("retry-after-ms")
            never.wait(float(hint_ms) / 1e3 if hint_ms else RETRY_S_DEFAULT)
        raise NotAnswered(reason)


def _said(data: bytes) -> str:
    try:
        problem = msgspec.json.decode(data, type=_Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""
    return f"{problem.code}: {problem.error}"
