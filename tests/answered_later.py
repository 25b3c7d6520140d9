"""A system whose queue keeps what it is given, and requests whose callers do not wait."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from bridge.embedded_queue import EmbeddedQueueSettings
from tests.faults.rig import eventually
from tests.gate import Gate
from tests.system import System, running_system
from tests.tiny_models import PATIENT, WAYWARD_PIPELINE, tensors, write_version

HOLD = "/v2/models/hold/infer"
WAYWARD = "/v2/models/wayward/infer"
LATER = {"Prefer": "respond-async"}
END_S_MAX = 30.0
# What a caller gets to see, but for times and ids.
COMPARED = ("Content-Type", "Inference-Header-Content-Length", "X-Request-Id")


@dataclass(frozen=True)
class Seen:
    """An answer: status, the headers that are compared, the bytes of the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class LaterRig:
    """A running system whose models are `hold`, see `Gate`, and `wayward`, and an HTTP client.

    `url`: the gateway that is talked to.
    """

    system: System
    models: Path
    gate: Gate
    http: aiohttp.ClientSession
    url: str

    async def post(self, path: str, *, headers: Mapping[str, str], **body: Any) -> Seen:
        """POST and read the answer."""
        async with self.http.post(self.url + path, headers=headers, **body) as response:
            return await _seen(response)

    async def accepted(
        self, path: str, *, headers: Mapping[str, str] | None = None, **body: Any
    ) -> str:
        """POST for an answer that comes later; return where the job is."""
        sent = {**LATER, **(headers or {})}
        async with self.http.post(self.url + path, headers=sent, **body) as response:
            assert response.status == 202, await response.text()
            return response.headers["Location"]

    async def job(self, location: str) -> Any:
        """What is said of a job."""
        async with self.http.get(self.url + location) as response:
            return await response.json()

    async def ended(self, location: str, within_s: float = END_S_MAX) -> Any:
        """Return what is said of a job when it has ended."""

        async def has_ended() -> bool:
            return (await self.job(location))["finished"] is not None

        await eventually(has_ended, within_s)
        return await self.job(location)

    async def ended_webhook(self, location: str, within_s: float = END_S_MAX) -> Any:
        """Return what is said of a job when its webhook is delivered, or given up."""

        async def has_ended() -> bool:
            return (await self.job(location))["webhook"] in ("delivered", "failed")

        await eventually(has_ended, within_s)
        return await self.job(location)

    async def answer(self, location: str) -> Seen:
        """The answer to a request, when it is there."""
        await self.ended(location)
        async with self.http.get(f"{self.url}{location}/results") as response:
            return await _seen(response)

    async def whole_answer(self, location: str) -> tuple[Seen, str]:
        """The same, with the times that it took."""
        await self.ended(location)
        async with self.http.get(f"{self.url}{location}/results") as response:
            return await _seen(response), response.headers["Server-Timing"]


async def _seen(response: aiohttp.ClientResponse) -> Seen:
    headers = {name: response.headers[name] for name in COMPARED if name in response.headers}
    return Seen(response.status, headers, await response.read())


@asynccontextmanager
async def running_later(*gateway_options: str, **options: Any) -> AsyncIterator[LaterRig]:
    """A rig; `options` are those of `running_system`."""
    with tempfile.TemporaryDirectory(prefix="bb-later-") as folder:
        models, data = Path(folder) / "models", Path(folder) / "data"
        write_version(models, "wayward", pipeline=WAYWARD_PIPELINE, contract=PATIENT + tensors())
        settings = EmbeddedQueueSettings(data_directory=data)
        async with Gate.open() as gate, aiohttp.ClientSession() as http:
            gate.write_model(models, "hold", PATIENT)
            async with running_system(
                models, queue_settings=settings, gateway_options=gateway_options, **options
            ) as system:
                yield LaterRig(system, models, gate, http, system.url)
