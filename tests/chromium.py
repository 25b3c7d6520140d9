"""A headless Chromium that opens one page and tells what it asked for, complained of and shows.

It is driven over the DevTools protocol, because a screenshot from the command line cannot be
narrower than 500 pixels and does not say what the page asked the network for.
"""

from __future__ import annotations

import asyncio
import base64
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-default-apps", "--hide-scrollbars", "--remote-debugging-port=0"),
    # Not even a name is looked up; what a page asks for is recorded before it fails.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)
WAIT_S = 30.0
MESSAGE_BYTES_MAX = 64 * 1024 * 1024


class BrowserError(Exception):
    """Chromium refused a command or did not start; the message is its own."""


def find_chromium() -> str | None:
    """Return the path of a Chromium, or None."""
    paths = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    return next((path for path in paths if path is not None), None)


@dataclass(slots=True)
class Tab:
    """One tab: `requested` are the addresses it asked for, `complaints` its console's lines."""

    _socket: aiohttp.ClientWebSocketResponse
    session: str | None = None
    requested: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    _count: int = 0

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Give a command and return its result; events that come first are recorded."""
        self._count += 1
        number = self._count
        message = {"id": number, "method": method, "params": parameters}
        if self.session is not None:
            message["sessionId"] = self.session
        await self._socket.send_json(message)
        answer = await self._receive(lambda heard: heard.get("id") == number)
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    async def _receive(self, is_wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        async with asyncio.timeout(WAIT_S):
            while True:
                heard: dict[str, Any] = await self._socket.receive_json()
                self._record(heard)
                if is_wanted(heard):
                    return heard

    def _record(self, event: dict[str, Any]) -> None:
        parameters = event.get("params", {})
        match event.get("method"):
            case "Network.requestWillBeSent":
                self.requested.append(parameters["request"]["url"])
            case "Log.entryAdded":
                self.complaints.append(parameters["entry"]["text"])
            case "Runtime.consoleAPICalled" | "Runtime.exceptionThrown":
                self.complaints.append(str(parameters))

    async def open(self, page: Path, width: int, *, is_dark: bool = False) -> None:
        """Load a page in a window of so many CSS pixels and wait until it has been loaded."""
        for domain in ("Page", "Network", "Log", "Runtime"):
            await self.call(f"{domain}.enable")
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 500,
        )
        await self.call("Page.navigate", url=page.as_uri())
        await self._receive(lambda heard: heard.get("method") == "Page.loadEventFired")

    async def evaluate(self, expression: str) -> Any:
        """Return the JSON value of a JavaScript expression in the page."""
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise BrowserError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    async def screenshot(self) -> bytes:
        """Return the whole page as a PNG."""
        answer = await self.call("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(answer["data"])


@asynccontextmanager
async def open_tab(chromium: str) -> AsyncIterator[Tab]:
    """Start a Chromium of its own for one tab, and end it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            chromium,
            *FLAGS,
            f"--user-data-dir={profile}",
            "about:blank",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with (
                aiohttp.ClientSession() as http,
                http.ws_connect(await _address(process), max_msg_size=MESSAGE_BYTES_MAX) as socket,
            ):
                tab = Tab(socket)
                target = await tab.call("Target.createTarget", url="about:blank")
                attached = await tab.call(
                    "Target.attachToTarget", targetId=target["targetId"], flatten=True
                )
                tab.session = attached["sessionId"]
                yield tab
        finally:
            if process.returncode is None:
                process.terminate()
            await process.communicate()


async def _address(process: asyncio.subprocess.Process) -> str:
    """Return the address that Chromium prints when it can be driven."""
    assert process.stderr is not None
    async with asyncio.timeout(WAIT_S):
        lines = []
        while line := (await process.stderr.readline()).decode(errors="replace"):
            if line.startswith("DevTools listening on "):
                return line.removeprefix("DevTools listening on ").strip()
            lines.append(line)
    raise BrowserError(f"Chromium ended before it could be driven: {''.join(lines)}")
