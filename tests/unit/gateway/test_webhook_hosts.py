"""Where a webhook may go, and where a caller must not be able to send this process."""

from __future__ import annotations

import pytest

from bridge.gateway.webhooks.hosts import (
    HOSTS_MAX,
    BadHostError,
    BadWebhookError,
    WebhookHosts,
    may_connect,
)

HOSTS = WebhookHosts(
    [
        "hooks.example.com",
        "other.example:8443",
        "private:intra.example",
        "10.1.2.3",
        "127.0.0.1:*",
        "localhost:*",
        "[::1]:9000",
    ]
)


@pytest.mark.parametrize(
    ("url", "host", "port", "reach"),
    [
        ("https://hooks.example.com", "hooks.example.com", 443, "public"),
        ("https://hooks.example.com/a/b?c=d&e=%20", "hooks.example.com", 443, "public"),
        ("https://hooks.example.com:443/a", "hooks.example.com", 443, "public"),
        ("https://other.example:8443/", "other.example", 8443, "public"),
        ("https://intra.example/x", "intra.example", 443, "any"),
        ("https://10.1.2.3/x", "10.1.2.3", 443, "any"),
        ("http://127.0.0.1:8000/x", "127.0.0.1", 8000, "loopback"),
        ("http://localhost/x", "localhost", 80, "loopback"),
        ("http://[::1]:9000/x", "::1", 9000, "loopback"),
    ],
)
def test_a_listed_host_is_allowed(url: str, host: str, port: int, reach: str) -> None:
    target = HOSTS.target(url)
    assert (target.url, target.host, target.port, target.reach) == (url, host, port, reach)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example.com",
        "//hooks.example.com/",
        "ftp://hooks.example.com/",
        "https:/hooks.example.com/",
        "https://hooks.example.com@evil.example/",
        "https://user:word@hooks.example.com/",
        "https://hooks.example.com\\@evil.example/",
        "https://hooks.example.com#@evil.example/",
        "https://HOOKS.example.com/",
        "https://hooks.example.com/\r\nX: y",
        "https://hooks.example.com/ ",
        "https://hooks.example.com/\u00e9",
        "https://hooks.example.com:443:444/",
        "https://hooks.example.com/" + "a" * 2048,
    ],
)
def test_what_two_parsers_could_read_differently_is_refused(url: str) -> None:
    with pytest.raises(BadWebhookError, match="plain https URL"):
        HOSTS.target(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/",
        "https://hooks.example.com.evil.example/",
        "https://a.hooks.example.com/",
        "https://hooks.example.com./",
        "https://hooks.example.com:8443/",
        "https://other.example/",
        "https://10.1.2.4/",
        "https://2130706433/",
        "https://[::ffff:127.0.0.1]/",
        "http://[::1]:9001/",
    ],
)
def test_another_host_or_port_is_refused(url: str) -> None:
    with pytest.raises(BadWebhookError, match="has not listed"):
        HOSTS.target(url)


@pytest.mark.parametrize(
    "url", ["http://hooks.example.com/", "http://10.1.2.3/", "http://intra.example/"]
)
def test_http_is_for_this_machine_only(url: str) -> None:
    with pytest.raises(BadWebhookError, match="must be https"):
        HOSTS.target(url)


@pytest.mark.parametrize(
    "entry", ["", "https://a.example", "a.example/x", "A.example", "a.example:", "a.example:70000"]
)
def test_an_entry_that_is_no_host_is_named(entry: str) -> None:
    with pytest.raises(BadHostError, match="host"):
        WebhookHosts([entry])


def test_the_list_is_bounded() -> None:
    with pytest.raises(BadHostError, match="257 hosts"):
        WebhookHosts(["a.example"] * (HOSTS_MAX + 1))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "fe80::1%eth0",
        "fd00::1",
        "::ffff:10.0.0.1",
        "2002:7f00:1::",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::7f00:1",
        "::127.0.0.1",
        "::ffff:0:10.0.0.1",
        "fec0::1",
        "not an address",
    ],
)
def test_a_public_name_must_not_stand_for_a_private_address(address: str) -> None:
    assert not may_connect(address, "public")


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
def test_a_public_name_may_stand_for_a_public_address(address: str) -> None:
    assert may_connect(address, "public")


@pytest.mark.parametrize(
    ("address", "may"), [("127.0.0.1", True), ("::1", True), ("10.0.0.1", False)]
)
def test_over_http_a_name_must_stand_for_this_machine(address: str, may: bool) -> None:
    assert may_connect(address, "loopback") == may


@pytest.mark.parametrize("port", [0, 65_536, 99_999])
def test_a_port_that_is_none_is_refused_before_anything_is_sent(port: int) -> None:
    with pytest.raises(BadWebhookError, match="port"):
        WebhookHosts(["a.example:*"]).target(f"https://a.example:{port}/")
