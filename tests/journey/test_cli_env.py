"""`bellcast env`, unreadable data folders, and invalid arguments."""

import json
import socket
import subprocess

import pytest

from tests.journey.shell import bellcast, environ

PROJECT = {"id": "1", "key": "key-1", "secret": "it's:a secret"}


@pytest.fixture
def data(tmp_path):
    (tmp_path / "project.json").write_text(json.dumps(PROJECT))
    (tmp_path / "server.json").write_text('{"url": "http://127.0.0.1:9000"}')
    return tmp_path


def test_env_output_can_be_evaluated_by_a_shell(data):
    printed = bellcast("env", "--data", data).out
    shown = subprocess.run(
        ["sh", "-c", f'{printed}\nprintf "%s\\n" "$BELLCAST_URL" "$BELLCAST_PROJECT" "$BELLCAST_SECRET"'],
        capture_output=True,
        text=True,
        env=environ(),
    )
    assert shown.stdout.splitlines() == ["http://127.0.0.1:9000", "1:key-1:it's:a secret", "it's:a secret"]
    assert bellcast("env", "--data", data, "--json").json["BELLCAST_URL"] == "http://127.0.0.1:9000"


def test_env_refuses_the_address_of_another_server(data, bellcast_server):
    (data / "server.json").write_text(json.dumps({"url": bellcast_server.url}))
    refused = bellcast("env", "--data", data)
    assert (refused.status, refused.out) == (1, "")
    assert f"another server responds at {bellcast_server.url}: it is not that of the project key-1" in refused.err
    assert "start yours with `bellcast serve --port NUMBER`, or pass its address with --url" in refused.err
    assert bellcast("env", "--data", data, "--url", bellcast_server.url).status == 0


def test_env_warns_that_no_server_responds_yet(data):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    (data / "server.json").write_text(f'{{"url": "http://127.0.0.1:{port}"}}')
    printed = bellcast("env", "--data", data)
    assert f"BELLCAST_URL=http://127.0.0.1:{port}" in printed.out
    assert f"No server responds at http://127.0.0.1:{port} yet: start `bellcast serve`." in printed.err


def test_env_without_credentials_prints_an_error(tmp_path):
    refused = bellcast("env", "--data", tmp_path)
    assert (refused.status, refused.out) == (1, "")
    assert "has no credentials; start `bellcast serve` with this folder once" in refused.err


# A path with a name that is too long is unreadable even for an administrator.
UNREADABLE = "x" * 300


@pytest.mark.parametrize(
    "command",
    [["notify", "alice", "Hello"], ["token", "alice"], ["env"], ["config"], ["key", "list"]],
    ids=lambda c: c[0],
)
def test_unreadable_data_folder_is_one_error_line(command):
    refused = bellcast(*command, "--data", UNREADABLE)
    assert refused.status == 2
    assert "cannot be read" in refused.err
    assert len(refused.err.splitlines()) == 1


def test_damaged_credentials_say_what_to_do(tmp_path):
    (tmp_path / "project.json").write_text('{"key": ')
    refused = bellcast("env", "--data", tmp_path)
    assert refused.status == 2
    assert refused.err.endswith("project.json cannot be read: Input data was truncated. Restore it, or delete it.\n")


def test_doctor_continues_with_an_unreadable_data_folder():
    result = bellcast("doctor", "--local", "--json", "--data", UNREADABLE)
    assert result.status == 1
    states = {one["check"]: one["state"] for one in result.json["findings"]}
    assert states["data folder"] == states["credentials"] == "problem"
    assert "clock" in states


def test_doctor_names_the_source_of_its_settings(tmp_path):
    result = bellcast("doctor", "--local", "--json", "--data", tmp_path)
    findings = {one["check"]: one["what"] for one in result.json["findings"]}
    assert all(
        findings[check].startswith("as set in this shell: ") for check in ("origins", "proxies", "public topics")
    )


@pytest.mark.parametrize("command", ["retry", "discard"])
def test_failed_rows_are_retried_and_discarded_at_a_url(command):
    refused = bellcast("sql", command, "postgresql://127.0.0.1:1/shop", 7)
    assert (refused.status, "integer" in refused.err) == (1, False)
    wrong = bellcast("sql", command, "seven")
    assert (wrong.status, "a row's number" in wrong.err) == (2, True)


def test_unknown_scope_is_refused_with_its_option():
    refused = bellcast("key", "create", "ci", "--scope", "write")
    assert refused.status == 2
    assert (
        "--scope: expected one or more of send, read, manage, observe, configure, admin, agent, got write"
        in refused.err
    )


def test_store_that_is_not_a_database_is_named(tmp_path):
    (tmp_path / "bellcast.db").write_text("not a database " * 1_000)
    refused = bellcast("serve", "--port", 0, "--data", tmp_path)
    assert refused.status == 1
    assert f"{tmp_path}/bellcast.db: The file is not a database" in refused.err


def test_config_shows_values_in_full(tmp_path):
    long = f"https://app.example.com/{'x' * 150}"
    assert long in bellcast("config", BELLCAST_SESSION_URL=long, BELLCAST_DATA=str(tmp_path)).out
