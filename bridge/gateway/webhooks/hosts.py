"""Where webhooks may go: hosts that the operator listed, over https, or http to this machine.

A caller names the URL, so it is the caller who would choose what this process connects to. Three
checks keep it to what the operator meant: the host and port as text when the job is accepted, the
same again by whoever sends, and each address that the name resolves to when it is connected to.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

WEBHOOK_HEADER = "Webhook-URL"
URL_CHARS_MAX = 2048
HOSTS_MAX = 256
PORT_MAX = 65_535
_PRIVATE = "private:"
_ANY_PORT = "*"
_LOCALHOST = "localhost"
_DEFAULT_PORTS = {"https": 443, "http": 80}
# Narrower than RFC 3986: what two parsers might read differently is refused.
_URL = re.compile(
    r"(https?)://([a-z0-9.-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::([0-9]{1,5}))?"
    r"((?:/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?(?:\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?)"
)
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\]")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Local NAT64 (RFC 8215), IPv4-compatible and -translated, site-local: not global, whatever Python
# says of them.
_LOCAL = [
    ipaddress.ip_network(text)
    for text in ("64:ff9b:1::/48", "::/96", "::ffff:0:0:0/96", "fec0::/10")
]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Reach = Literal["public", "any", "loopback"]


class BadHostError(ValueError):
    """An entry of the list that is no host; the message names it."""


class BadWebhookError(ValueError):
    """A URL that webhooks do not go to; the message says why."""


@dataclass(frozen=True, slots=True)
class WebhookTarget:
    """A URL that was allowed, its host, and which addresses the host may stand for."""

    url: str
    host: str
    port: int
    reach: Reach


@dataclass(frozen=True, slots=True)
class _Listed:
    host: str
    port: int | None
    is_private: bool


class WebhookHosts:
    """The operator's list: `host`, `host:port`, `host:*`, any of them after `private:`.

    Without a port it is 443. A name must resolve to public addresses only, unless it is listed as
    `private:`; an address is allowed as it is listed, and so is `localhost`.
    """

    def __init__(self, entries: Sequence[str] = ()) -> None:
        """Check the entries.

        Raises:
            BadHostError: one is no host, or there are more than `HOSTS_MAX`.
        """
        if len(entries) > HOSTS_MAX:
            raise BadHostError(f"{len(entries)} hosts, more than the {HOSTS_MAX} accepted")
        self._listed = [_listed(entry) for entry in entries]

    def __bool__(self) -> bool:
        return bool(self._listed)

    def target(self, url: str) -> WebhookTarget:
        """Return where a caller's URL leads.

        Raises:
            BadWebhookError: it is no plain https URL of a listed host and port; http is for
                loopback addresses and `localhost`.
        """
        found = _URL.fullmatch(url) if len(url) <= URL_CHARS_MAX else None
        if found is None:
            raise BadWebhookError(
                "is not a plain https URL: host in lower case, no user, no fragment, at most "
                f"{URL_CHARS_MAX} characters"
            )
        scheme, host = found[1], found[2].strip("[]")
        port = int(found[3]) if found[3] else _DEFAULT_PORTS[scheme]
        if not 1 <= port <= PORT_MAX:
            raise BadWebhookError(f"has a port that is not between 1 and {PORT_MAX}")
        if scheme == "http" and not _is_this_machine(host):
            raise BadWebhookError("must be https; http is for loopback addresses only")
        for listed in self._listed:
            if listed.host == host and listed.port in (None, port):
                return WebhookTarget(url, host, port, _reach(scheme, listed))
        raise BadWebhookError("leads to a host that the operator has not listed")


def may_connect(address_text: str, reach: Reach) -> bool:
    """Return whether a host of this reach may stand for this address."""
    address = _address(address_text)
    if address is None:
        return False
    if reach == "any":
        return True
    inner = [address, *_embedded(address)]
    if reach == "loopback":
        return all(one.is_loopback for one in inner[-1:])
    return all(one.is_global and not one.is_multicast for one in inner) and not any(
        address in network for network in _LOCAL
    )


def _embedded(address: Address) -> list[Address]:
    """Return the IPv4 addresses that packets to an IPv6 address may end up at."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    found: list[Address | None] = [address.ipv4_mapped, address.sixtofour]
    if address.teredo is not None:
        found += address.teredo
    if address in _NAT64:
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    return [one for one in found if one is not None]


def _reach(scheme: str, listed: _Listed) -> Reach:
    if scheme == "http":
        return "loopback"
    is_named = _address(listed.host) is None and listed.host != _LOCALHOST
    return "public" if is_named and not listed.is_private else "any"


def _is_this_machine(host: str) -> bool:
    address = _address(host)
    return host == _LOCALHOST or (address is not None and address.is_loopback)


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _listed(entry: str) -> _Listed:
    text = entry.removeprefix(_PRIVATE)
    host, port = text, str(_DEFAULT_PORTS["https"])
    head, colon, tail = text.rpartition(":")
    # The colons of an IPv6 address are inside its brackets.
    if colon and not tail.endswith("]"):
        host, port = head, tail
    is_port = port == _ANY_PORT or (port.isascii() and port.isdigit() and int(port) <= PORT_MAX)
    if _HOST.fullmatch(host) is None or not is_port:
        raise BadHostError(f"'{entry}' is not [private:]host[:port], in lower case")
    return _Listed(host.strip("[]"), None if port == _ANY_PORT else int(port), text != entry)
