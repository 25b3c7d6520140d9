"""A gateway process: link and listener up, requests served, drained on SIGTERM."""

from __future__ import annotations

import asyncio
import gc
import resource
import signal
import socket
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import structlog
from aiohttp import web

from bridge.gateway.connection import (
    DEFAULT_LIMITS,
    ConnectionLimits,
    Connections,
    GatewayConnection,
    require_strict_parser,
)
from bridge.gateway.dialects.call import InputLimits
from bridge.gateway.express.connection import ExpressConnection, Lane
from bridge.gateway.express.exchange import Exchanges
from bridge.gateway.express.head import Heads
from bridge.gateway.express.turn import Turn
from bridge.gateway.gateway import Gateway
from bridge.gateway.http import Routes
from bridge.gateway.jobs.access import JobAccess
from bridge.gateway.later.running import run_later
from bridge.gateway.later.store_threads import StoreThreads
from bridge.gateway.metrics import GatewayMetrics
from bridge.gateway.settings import GatewaySettings
from bridge.job_store.store import JobStore

log = structlog.get_logger(__name__)

BACKLOG = 1024
GC_THRESHOLD = 50_000
# After SIGTERM, open connections may still send: each answer says `Connection: close`. Idle ones
# are closed after this grace, busy ones when they are answered.
IDLE_GRACE_S = 1.0
DRAIN_S_MAX = 25.0
# What is still open then is cut off; aiohttp waits up to twice as long for its handlers.
CUT_OFF_S_MAX = 1.0
FILES_RESERVED = 64


async def run_gateway(settings: GatewaySettings, on_ready: Callable[[str, int], None]) -> None:
    """Serve until SIGTERM or SIGINT, then drain and return.

    `on_ready` is called once with the address, when the queue is connected and a model is known.

    Raises:
        OSError: the address cannot be listened on.
        UnsafeParserError: aiohttp runs without its C parser.
    """
    require_strict_parser()
    # What was imported stays, so the collector need not look at it again; and at its default
    # threshold it took two thirds of the time of a hostile JSON body (a million small lists).
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    gateway = Gateway(settings.redis_url, InputLimits(), GatewayMetrics(settings.metrics_dir))
    listening = _listen(settings)
    connections = Connections(_connection_limits())
    access = _job_access(settings)
    runner = web.AppRunner(
        Routes(gateway, access).application(),
        handler_cancellation=True,
        shutdown_timeout=CUT_OFF_S_MAX,
    )
    await runner.setup()
    server = await loop.create_server(
        _protocol(settings, gateway, runner, connections), sock=listening, backlog=BACKLOG
    )
    host, port = listening.getsockname()[:2]
    log.info("listening", host=host, port=port, gateway=gateway.gateway_id)
    async with asyncio.TaskGroup() as tasks:
        link = tasks.create_task(gateway.link.run(), name="queue-link")
        jobs = tasks.create_task(_run_jobs(access), name="jobs")
        later = tasks.create_task(_run_later(gateway, access), name="later")
        announce = tasks.create_task(_announce(gateway, on_ready, host, port), name="announce")
        await stop.wait()
        log.info("draining", in_flight=len(gateway.flights))
        gateway.is_draining = True
        server.close()
        announce.cancel()
        later.cancel()
        await _drain(gateway, connections)
        await runner.cleanup()
        connections.cut_off()
        jobs.cancel()
        link.cancel()
    if access is not None:
        access.close()
    log.info("stopped")


def _job_access(settings: GatewaySettings) -> JobAccess | None:
    jobs = settings.jobs
    if jobs is None:
        return None
    return JobAccess(JobStore(settings.redis_url, jobs.bounds), jobs, StoreThreads())


async def _run_jobs(access: JobAccess | None) -> None:
    if access is not None:
        await access.run()


async def _run_later(gateway: Gateway, access: JobAccess | None) -> None:
    if access is not None:
        await run_later(gateway, access)


async def _announce(
    gateway: Gateway, on_ready: Callable[[str, int], None], host: str, port: int
) -> None:
    await gateway.wait_ready()
    on_ready(host, port)


async def _drain(gateway: Gateway, connections: Connections) -> None:
    """Wait until all is answered; give idle connections a moment to be used or closed.

    It is the connections that are waited for, not only the flights: a request may still be on its
    way up, an answer on its way down.
    """
    try:
        async with asyncio.timeout(IDLE_GRACE_S):
            await connections.wait_none()
    except TimeoutError:
        log.info("closing_idle_connections", connections=len(connections))
        connections.close_idle()
    try:
        async with asyncio.timeout(DRAIN_S_MAX):
            await connections.wait_none()
            await gateway.flights.wait_empty()
    except TimeoutError:
        log.warning(
            "drain_incomplete", connections=len(connections), in_flight=len(gateway.flights)
        )


def _connection_limits() -> ConnectionLimits:
    """As many connections as there may be open files, less those that the gateway itself needs.

    Without these a flood of connections would keep it from reaching the queue again.
    """
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return DEFAULT_LIMITS
    room = max(1, files - FILES_RESERVED)
    return replace(DEFAULT_LIMITS, connections_max=min(room, DEFAULT_LIMITS.connections_max))


def _protocol(
    settings: GatewaySettings,
    gateway: Gateway,
    runner: web.AppRunner,
    connections: Connections,
) -> Callable[[], asyncio.Protocol]:
    """Return what makes the protocol of a new connection."""
    application = partial(GatewayConnection, _manager(runner), connections)
    if not settings.has_express_lane:
        return application
    exchanges = Exchanges(gateway)
    turn = Turn(exchanges, asyncio.get_running_loop().call_soon)
    lane = Lane(exchanges, turn, Heads(), connections, application)
    return partial(ExpressConnection, lane)


def _manager(runner: web.AppRunner) -> web.Server:
    if runner.server is None:
        raise RuntimeError("the application was not set up")
    return runner.server


def _listen(settings: GatewaySettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if settings.is_port_shared:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listening.setblocking(False)
    try:
        listening.bind((settings.host, settings.port))
    except OSError:
        listening.close()
        raise
    return listening
