"""Options, their environment variables, and what a wrong value gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.cli import EXIT_CONFIGURATION
from bridge.cli_options import build_parser

COMMANDS = ("serve", "gateway", "worker")
VALUES = {
    "models": ("/srv/models", Path("/srv/models")),
    "threads": ("3", 3),
    "batch_fill": ("0.5", 0.5),
    "batch_floor": ("0.1", 0.1),
    "host": ("0.0.0.0", "0.0.0.0"),
    "port": ("9000", 9000),
    "gateways": ("4", 4),
    "workers": ("5", 5),
    "redis": ("redis://queue", "redis://queue"),
    "allow_open_redis": ("1", True),
    "share_port": ("1", True),
    "no_express": ("1", True),
    "job_storage_mb": ("512", "512"),
    "job_files": ("/srv/jobs", "/srv/jobs"),
    "job_kept_hours": ("1.5", 1.5),
    "jobs_per_tenant": ("8", 8),
    "queue_folder": ("/srv/queue", "/srv/queue"),
    "webhook_hosts": ("a.example", "a.example"),
    "jobs_at_once": ("3", 3),
    "job_spool": ("/srv/spool", "/srv/spool"),
    "jobs_only": ("1", True),
}


def options(command: str, environment: dict[str, str] | None = None) -> dict[str, object]:
    """The options of a command under an environment, without any argument."""
    parsed = vars(build_parser(environment or {}).parse_args([command]))
    del parsed["command"]
    return parsed


EVERY_OPTION = [(command, name) for command in COMMANDS for name in options(command)]


@pytest.mark.parametrize(("command", "name"), EVERY_OPTION)
def test_every_option_can_be_set_in_the_environment(command: str, name: str) -> None:
    text, value = VALUES[name]
    variable = f"BATCHBRIDGE_{name.upper()}"
    assert options(command, {variable: text}) == {**options(command), name: value}


@pytest.mark.parametrize(("command", "name"), EVERY_OPTION)
def test_an_argument_beats_the_environment(command: str, name: str) -> None:
    text, value = VALUES[name]
    option = f"--{name.replace('_', '-')}"
    arguments = [command, option] if value is True else [command, option, text]
    environment = {f"BATCHBRIDGE_{name.upper()}": "" if value is True else "7"}
    assert vars(build_parser(environment).parse_args(arguments))[name] == value


@pytest.mark.parametrize("text", ["", "0", "false", "no"])
def test_a_flag_can_be_denied_in_the_environment(text: str) -> None:
    assert options("gateway", {"BATCHBRIDGE_SHARE_PORT": text})["share_port"] is False


NUMBERS = [pair for pair in EVERY_OPTION if isinstance(VALUES[pair[1]][1], int)]


@pytest.mark.parametrize("text", ["many", "1.5", "", "0x10"])
@pytest.mark.parametrize(
    ("command", "name"), [pair for pair in NUMBERS if not isinstance(VALUES[pair[1]][1], bool)]
)
@pytest.mark.parametrize("way", ["environment", "argument"])
def test_a_number_that_is_none_ends_the_program_naming_the_option(
    capsys: pytest.CaptureFixture[str], way: str, command: str, name: str, text: str
) -> None:
    environment = {f"BATCHBRIDGE_{name.upper()}": text} if way == "environment" else {}
    option = f"--{name.replace('_', '-')}"
    arguments = [command, option, text] if way == "argument" else [command]
    with pytest.raises(SystemExit) as ended:
        build_parser(environment).parse_args(arguments)
    assert ended.value.code == EXIT_CONFIGURATION
    assert f"argument {option}" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["fly"], ["serve", "--prot", "1"], ["worker", "x"]])
def test_an_unknown_command_or_option_ends_the_program(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        build_parser({}).parse_args(arguments)
    assert ended.value.code == EXIT_CONFIGURATION


def test_nothing_listens_beyond_this_machine_by_default() -> None:
    assert [options(command)["host"] for command in ("serve", "gateway")] == ["127.0.0.1"] * 2


@pytest.mark.parametrize("command", COMMANDS)
def test_an_open_queue_is_accepted_only_when_asked_for(command: str) -> None:
    assert options(command)["allow_open_redis"] is False


def test_a_variable_of_another_command_does_no_harm() -> None:
    assert options("worker", {"BATCHBRIDGE_PORT": "not a number"}) == options("worker")
