"""Settings are complete and checked, and a wrong one is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bridge.cores import gateways_for, usable_cores
from bridge.gateway.settings import GatewaySettings
from bridge.gateway.settings import SettingsError as GatewaySettingsError
from bridge.serve import ServeSettings
from bridge.serve import SettingsError as ServeSettingsError
from workers.settings import SettingsError as WorkerSettingsError
from workers.settings import WorkerSettings


def serve_settings(folder: Path, **changes: Any) -> ServeSettings:
    settings: dict[str, Any] = {
        "models": folder,
        "host": "127.0.0.1",
        "port": 8080,
        "gateways": 1,
        "workers": 1,
        "threads": 0,
        "redis_url": "",
        "allow_open_redis": False,
    }
    return ServeSettings(**{**settings, **changes})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gateways", 0),
        ("gateways", 65),
        ("workers", 0),
        ("workers", 257),
        ("port", 0),
        ("port", -1),
        ("port", 65_536),
        ("threads", -1),
        ("host", ""),
        ("models", Path("/nowhere/at/all")),
    ],
)
def test_a_wrong_setting_of_serve_is_named(tmp_path: Path, name: str, value: object) -> None:
    with pytest.raises(ServeSettingsError, match=f"^{name}: "):
        serve_settings(tmp_path, **{name: value})


@pytest.mark.parametrize(
    "change", [{"gateways": 64}, {"workers": 256}, {"port": 1}, {"port": 65_535}]
)
def test_settings_at_their_bounds_are_accepted(tmp_path: Path, change: dict[str, int]) -> None:
    assert serve_settings(tmp_path, **change)


def test_threads_that_are_given_are_taken(tmp_path: Path) -> None:
    assert serve_settings(tmp_path, threads=3, workers=9).threads_per_worker() == 3


def test_otherwise_the_workers_share_what_the_gateways_leave(tmp_path: Path) -> None:
    settings = serve_settings(tmp_path, gateways=1, workers=1)
    assert settings.threads_per_worker() == max(1, usable_cores() - 1)


def test_a_worker_has_a_thread_even_where_there_are_too_few_cores(tmp_path: Path) -> None:
    assert serve_settings(tmp_path, gateways=64, workers=256).threads_per_worker() == 1


@pytest.mark.parametrize(("name", "value"), [("port", -1), ("port", 65_536), ("host", "")])
def test_a_wrong_setting_of_a_gateway_is_named(name: str, value: object) -> None:
    settings: dict[str, Any] = {"host": "::1", "port": 0, "redis_url": "unix:///q", name: value}
    with pytest.raises(GatewaySettingsError, match=f"^{name}: "):
        GatewaySettings(**settings)


def test_a_gateway_may_take_any_free_port() -> None:
    assert GatewaySettings(host="::1", port=0, redis_url="unix:///q").port == 0


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("batch_fill", 0.0, "batch-fill"),
        ("batch_fill", 1.1, "batch-fill"),
        ("batch_floor", -0.1, "batch-floor"),
        ("batch_floor", 1.0, "batch-floor"),
        ("threads", 0, "threads"),
        ("threads", -1, "threads"),
        ("lease_s", 0.9, "lease"),
        ("models", Path("/nowhere/at/all"), "models"),
    ],
)
def test_a_wrong_setting_of_a_worker_is_named(
    tmp_path: Path, name: str, value: object, shown: str
) -> None:
    settings: dict[str, Any] = {"models": tmp_path, "redis_url": "unix:///q", name: value}
    with pytest.raises(WorkerSettingsError, match=f"^{shown}: "):
        WorkerSettings(**settings)


@pytest.mark.parametrize(("cores", "expected"), [(1, 1), (2, 1), (7, 1), (8, 2), (64, 16)])
def test_by_default_there_is_a_gateway_for_every_four_cores(cores: int, expected: int) -> None:
    assert gateways_for(cores) == expected
