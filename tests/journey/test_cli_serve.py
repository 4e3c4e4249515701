"""`bellcast serve`: first start, graceful shutdown, and every reason for a failed start."""

import json
import re
import signal
import socket
import stat

import httpx
import pytest

from tests.journey.shell import ESCAPE, bellcast, end, lines, running, started
from tests.servers import free_port


def listening_url(process) -> str:
    """Return the URL in the one line that a server prints."""
    line = next(lines(process))
    match = re.fullmatch(r"Bellcast \S+ is listening on (http://\S+)", line)
    assert match, line
    return match[1]


def test_first_start_creates_credentials_and_shows_them_once(tmp_path):
    data = tmp_path / "new" / "data"
    with started("serve", "--port", 0, "--data", data) as first:
        listening_url(first)
        shown = end(first, signal.SIGTERM)
    project = json.loads((data / "project.json").read_text())
    assert all(project[name] in shown.err for name in ("id", "key", "secret"))
    assert stat.S_IMODE((data / "project.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(data.stat().st_mode) == 0o700

    with started("serve", "--port", 0, "--data", data) as second:
        listening_url(second)
        second_result = end(second, signal.SIGTERM)
    assert project["secret"] not in second_result.err + second_result.out
    assert json.loads((data / "project.json").read_text()) == project


@pytest.mark.parametrize(
    ("host", "public_url", "base"),
    [
        ("127.0.0.1", "https://bell.example.com/", "https://bell.example.com"),
        ("0.0.0.0", "", r"http://127\.0\.0\.1:\d+"),
        ("::1", "", r"http://\[::1\]:\d+"),
    ],
)
def test_set_up_links_lead_to_a_reachable_address(tmp_path, host, public_url, base):
    link, environ = re.compile(rf"{base}/console/setup#code=\S+"), {"BELLCAST_PUBLIC_URL": public_url}
    with running("serve", "--host", host, "--port", 0, "--data", tmp_path, **environ) as process:
        next(lines(process))
        assert link.fullmatch(bellcast("operator", "setup-code", "--data", tmp_path, **environ).out.strip())
        assert link.search(end(process, signal.SIGTERM).err)


@pytest.mark.parametrize(("host", "base"), [("0.0.0.0", "http://127.0.0.1"), ("::1", "http://[::1]")])
def test_links_of_messages_lead_to_a_reachable_address(tmp_path, host, base):
    port = free_port()
    with running("serve", "--host", host, "--port", port, "--data", tmp_path) as process:
        next(lines(process))
        assert bellcast("mailbox", "--data", tmp_path).out.startswith(f"{base}:{port}/mailbox/")


def test_store_files_are_private_in_an_existing_folder(tmp_path):
    data = tmp_path / "open to all"
    data.mkdir(mode=0o755)
    with running("serve", "--port", 0, "--data", data) as process:
        url = listening_url(process)
        assert httpx.get(f"{url}/readyz").status_code == 200
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in data.iterdir()}
        end(process, signal.SIGTERM)
    assert {"bellcast.db", "bellcast.db-wal", "bellcast.db.lock", "project.json"} <= modes.keys()
    assert set(modes.values()) == {0o600}


def test_stdout_has_only_the_line_with_the_address(tmp_path):
    with running("serve", "--port", 0, "--data", tmp_path) as process:
        url = listening_url(process)
        assert httpx.get(f"{url}/readyz").json()["status"] == "ready"
        result = end(process, signal.SIGTERM)
    assert result.out == ""
    assert ESCAPE not in result.err


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_server_closes_connections_for_a_reconnect_and_exits_with_status_0(tmp_path, how):
    with started("serve", "--port", 0, "--data", tmp_path) as process:
        url = listening_url(process)
        token = bellcast("token", "alice", "--data", tmp_path).out.strip()
        with httpx.stream("GET", f"{url}/v1/stream", headers={"Authorization": f"Bearer {token}"}) as stream:
            lines_of_stream = stream.iter_lines()
            assert "event: ready" in (next(lines_of_stream), next(lines_of_stream), next(lines_of_stream))
            result = end(process, how)
            rest = "\n".join(lines_of_stream)
    assert '"reason":"restarting","reconnect":true' in rest
    assert result.status == 0
    assert "Traceback" not in result.err


def test_options_override_the_environment(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        occupied_port = str(probe.getsockname()[1])
        with running(
            "serve", "--port", 0, "--data", tmp_path, "--limit-title", 5, BELLCAST_PORT=occupied_port
        ) as process:
            url = listening_url(process)
            assert not url.endswith(f":{occupied_port}")
            refused = bellcast("notify", "alice", "Too long", "--url", url, "--data", tmp_path)
    assert refused.status == 1
    assert "title: must be at most 5 characters, got 8" in refused.err


def error_line(result, status: int) -> str:
    """Check that a command failed with one error line and no traceback, and return that line."""
    assert result.status == status
    assert result.out == ""
    errors = [line for line in result.err.splitlines() if line.startswith("Error:")]
    assert len(errors) == 1
    assert result.err.splitlines()[-1] == errors[0]
    assert "Traceback" not in result.err
    return errors[0]


def test_port_in_use_is_reported(bellcast_server, tmp_path):
    refused = bellcast("serve", "--port", bellcast_server.port, "--data", tmp_path)
    error = error_line(refused, 1)
    assert f"127.0.0.1 port {bellcast_server.port} is in use; stop the other program, or add --port" in error
    assert refused.err.splitlines() == [error]  # no credentials before the server can start
    assert list(tmp_path.glob("*.json")) == []


def test_foreign_address_is_reported(tmp_path):
    error = error_line(bellcast("serve", "--host", "203.0.113.7", "--port", 0, "--data", tmp_path), 1)
    assert "cannot listen on 203.0.113.7 port 0" in error
    assert "--host" in error


def test_host_without_an_address_is_reported(tmp_path):
    error = error_line(bellcast("serve", "--host", "256.1.1.1", "--port", 0, "--data", tmp_path), 1)
    assert "cannot listen on 256.1.1.1 port 0: " in error
    assert "Unknown error" not in error


def test_data_folder_in_use_is_reported(bellcast_server):
    error = error_line(bellcast("serve", "--port", 0, "--data", bellcast_server.data), 1)
    assert f"Another Bellcast server is using the data folder {bellcast_server.data}" in error
    assert httpx.get(f"{bellcast_server.url}/readyz").status_code == 200


def test_invalid_database_file_is_reported(tmp_path):
    (tmp_path / "bellcast.db").write_text("This is a letter to my landlord, and far longer than a file's header." * 9)
    error = error_line(bellcast("serve", "--port", 0, "--data", tmp_path), 1)
    assert "not a database" in error


def test_data_folder_that_cannot_be_created_is_reported(tmp_path):
    (tmp_path / "file").touch()
    error = error_line(bellcast("serve", "--port", 0, "--data", tmp_path / "file" / "data"), 2)
    assert "BELLCAST_DATA" in error


@pytest.mark.parametrize(
    ("args", "environ", "named"),
    [
        (["--port", "eighty"], {}, "--port: expected a port"),
        ([], {"BELLCAST_PORT": "eighty"}, "BELLCAST_PORT: expected a port"),
        ([], {"BELLCAST_PROT": "80"}, "BELLCAST_PROT: unknown setting; did you mean BELLCAST_PORT?"),
        ([], {"BELLCAST_PROJECT_FILE": "/nowhere"}, "BELLCAST_PROJECT_FILE: the file cannot be read"),
        (["--handlers", "nowhere:handlers"], {}, "nowhere:handlers cannot be loaded"),
        (["--store", "mysql://db"], {}, "--store: expected sqlite:///path"),
    ],
    ids=["option", "variable", "unknown variable", "file", "handlers", "store"],
)
def test_invalid_setting_is_named(tmp_path, args, environ, named):
    error = error_line(bellcast("serve", "--data", tmp_path, *args, **{"BELLCAST_PORT": "0", **environ}), 2)
    assert named in error


@pytest.mark.parametrize(
    "environ", [{"BELLCAST_EMAIL": "smpt://mail.example"}, {"BELLCAST_HANDLERS": "missing:handlers"}]
)
def test_setting_is_refused_before_credentials_are_created(tmp_path, environ):
    refused = bellcast("serve", "--data", tmp_path / "data", "--port", free_port(), **environ)
    assert refused.status == 2
    assert "credentials" not in refused.err
    assert not list((tmp_path / "data").iterdir())


def test_handlers_are_imported_from_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "bells.py").write_text("from bellcast.calls import Handlers\nhandlers = Handlers()\n")
    monkeypatch.chdir(tmp_path)
    with running("serve", "--port", 0, "--data", tmp_path / "data", "--handlers", "bells:handlers") as process:
        assert listening_url(process)


def test_handlers_of_the_first_start_have_its_credentials_and_its_address(tmp_path, monkeypatch):
    module = "import bellcast\nhandlers = bellcast.Handlers()\nprint(bellcast.Bellcast().url, flush=True)\n"
    (tmp_path / "bells.py").write_text(module)
    (tmp_path / "bellcast-data").mkdir()
    (tmp_path / "bellcast-data" / "server.json").write_text('{"url": "http://127.0.0.1:9"}')
    monkeypatch.chdir(tmp_path)
    port = free_port()
    with running("serve", "--port", port, "--handlers", "bells:handlers") as process:
        assert next(lines(process)) == f"http://127.0.0.1:{port}"
        assert listening_url(process) == f"http://127.0.0.1:{port}"
