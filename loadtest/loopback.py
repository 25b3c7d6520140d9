"""Load is for this machine, unless its owner says otherwise."""

from __future__ import annotations

import ipaddress
import socket

from loadtest.errors import LoadtestError


class NotYourHost(LoadtestError):
    """Load was asked for a host that is not this machine."""


def require_loopback(host: str) -> None:
    """Check that a host is this machine, by every address that its name has.

    Raises:
        NotYourHost: it is not.
        OSError: the name cannot be resolved.
    """
    addresses = {str(item[4][0]) for item in socket.getaddrinfo(host, None)}
    outside = sorted(a for a in addresses if not ipaddress.ip_address(a).is_loopback)
    if outside:
        raise NotYourHost(
            f"{host} is not this machine ({', '.join(outside)}); a load test can bring a server "
            "down: give --i-own-this-host if it is yours"
        )
