"""Help output, and one-line errors for invalid arguments."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bellcast import build
from bellcast.cli import FIRST_WEEK
from tests.journey.shell import ESCAPE, Terminal, bellcast, command, environ

COMMANDS = [
    "demo",
    "serve",
    "notify",
    "explain",
    "tail",
    "token",
    "key",
    "config",
    "doctor",
    "backup",
    "restore",
    "migrate",
    "bench",
]
ALL_COMMANDS = [[name] for name in COMMANDS] + [["key", name] for name in ("create", "list", "revoke")]


def test_program_without_arguments_lists_every_command():
    shown = bellcast()
    assert shown.status == 0
    assert [name for name in COMMANDS if f"│ {name} " not in shown.out] == []
    assert bellcast("--help").out.strip() == shown.out.strip()


@pytest.mark.parametrize("arguments", ALL_COMMANDS, ids=" ".join)
def test_command_help_shows_its_usage(arguments):
    shown = bellcast(*arguments, "--help", COLUMNS="120")
    assert shown.status == 0
    assert shown.out.lstrip().startswith(f"Usage: bellcast {' '.join(arguments)}")
    assert ESCAPE not in shown.out


def test_program_lists_the_commands_of_the_first_week_first():
    shown = bellcast("--help", COLUMNS="120").out
    first, _, more = shown.partition("More: server")
    assert re.findall(r"^│ (\w+) ", first.partition("First week")[2], re.MULTILINE) == list(FIRST_WEEK)
    assert all(f"│ {name} " in more for name in set(COMMANDS) - set(FIRST_WEEK))


def test_help_of_a_server_shows_the_options_of_the_first_week_and_help_all_every_option():
    first, everything = (bellcast("serve", flag, COLUMNS="120").out for flag in ("--help", "--help-all"))
    options = [set(re.findall(r"^│ (--[\w-]+)", shown, re.MULTILINE)) for shown in (first, everything)]
    assert len(options[0] - {"--help", "--help-all"}) == 8
    assert options[0] < options[1]
    assert {"--limit-body", "--test-clock", "--pusher-apps", "--oidc-issuer"} & options[1] >= {
        "--limit-body",
        "--test-clock",
    }
    assert "--as-worker" not in options[1]  # of the supervisor, not of a person


def test_help_names_the_default_and_the_variable_of_a_setting():
    shown = " ".join(bellcast("serve", "--help", COLUMNS="200").out.split())
    assert "Port to listen on. [BELLCAST_PORT] [default: 8787]" in shown


@pytest.mark.parametrize(
    ("group", "subcommand"), [("key", "revoke"), ("template", "preview"), ("encryption", "rotate")]
)
def test_command_group_alone_lists_its_commands(group, subcommand):
    shown = bellcast(group)
    assert shown.status == 0
    assert subcommand in shown.out


def test_version_is_printed():
    assert bellcast("--version").out == f"bellcast {build.version()}\n"


def test_installed_program_is_the_same_as_the_module():
    program = Path(sys.executable).with_name("bellcast")
    result = subprocess.run([program, "--version"], capture_output=True, text=True, env=environ())
    assert result.stdout == f"bellcast {build.version()}\n"


def test_help_imports_no_server_modules():
    """These imports would slow it down."""
    result = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "bellcast", "--help"], capture_output=True, text=True, env=environ()
    )
    loaded = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines() if "|" in line}
    assert "bellcast.cli" in loaded
    assert not loaded & {"asyncio", "bellcast.server", "httpx", "msgspec", "sqlite3", "uvicorn"}


def test_colours_appear_at_terminals_unless_disabled():
    with Terminal("--help") as coloured, Terminal("--help", NO_COLOR="1") as plain:
        assert coloured.wait() == plain.wait() == 0
        assert "\x1b[1;36m" in coloured.text
        assert "\x1b[1;36m" not in plain.text
    assert ESCAPE not in bellcast("--help").out


@pytest.mark.parametrize(
    ("arguments", "wrong", "todo"),
    [
        (["notifyy"], "No such command 'notifyy'; did you mean 'notify'?", "bellcast --help"),
        (
            ["serve", "--prot", "80"],
            "No such option: --prot (Possible options: --host, --port",
            "bellcast serve --help",
        ),
        (["token"], "Missing argument 'recipient'", "bellcast token --help"),
        (["tail", "alice", "-n", "many"], "'--last' / '-n': 'many' is not a valid int", "bellcast tail --help"),
        (["key", "create", "ci"], "Invalid value for --scope", "bellcast key create --help"),
        (["bench", "speed"], "unknown benchmark speed", "bellcast bench --list"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_invalid_command_line_is_one_error_line(arguments, wrong, todo):
    result = bellcast(*arguments, COLUMNS="300")
    assert result.status == 2
    assert result.out == ""
    assert wrong.lower() in result.err.lower()
    assert todo in result.err
    assert len(result.err.splitlines()) == 1


def test_benchmarks_are_listed():
    shown = bellcast("bench", "--list")
    assert shown.status == 0
    assert {line.split()[0] for line in shown.out.splitlines()} >= {"fanout", "storm", "ingest", "inbox", "memory"}


def test_closed_output_pipe_causes_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    result = subprocess.run(command("config"), env=environ(), stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert result.stderr == ""
