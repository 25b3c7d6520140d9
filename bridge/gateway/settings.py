"""The gateway's settings: one checked value, built from a mapping of text."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.gateway.jobs.settings import JobSettings

PORT_MAX = 65_535


class SettingsError(Exception):
    """A setting that cannot be used; the message names it and what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """Where a gateway listens and which queue it uses.

    `port` 0 lets the system choose. `is_port_shared` sets SO_REUSEPORT, for several gateways on
    one port. `metrics_dir` is prometheus_client's multi-process directory, if there is one.
    Without `has_express_lane` all requests go through aiohttp, with the same answers. `jobs` None:
    jobs are off.
    """

    host: str
    port: int
    redis_url: str
    is_port_shared: bool = False
    metrics_dir: str | None = None
    has_express_lane: bool = True
    jobs: JobSettings | None = None

    def __post_init__(self) -> None:
        """Check each setting.

        Raises:
            SettingsError: naming the setting.
        """
        if not 0 <= self.port <= PORT_MAX:
            raise SettingsError(f"port: {self.port} is not between 0 and {PORT_MAX}")
        if not self.host:
            raise SettingsError("host: is empty")
