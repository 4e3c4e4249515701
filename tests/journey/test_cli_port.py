"""A server on any port: other commands find it through the data folder, and detect a server of another project."""

import json
import signal
import subprocess
from pathlib import Path
from uuid import uuid4

import pytest

from bellcast.client import Bellcast
from tests import engines
from tests.journey.shell import bellcast, end, lines, running
from tests.servers import free_port

ROOT = Path(__file__).parents[2]


def test_commands_find_the_server_through_its_data_folder(tmp_path):
    port = free_port()
    data = tmp_path / "data"
    with running("serve", "--port", port, "--data", data) as server:
        assert f"http://127.0.0.1:{port}" in next(lines(server))
        assert json.loads((data / "server.json").read_text()) == {"url": f"http://127.0.0.1:{port}"}
        assert (data / "server.json").stat().st_mode & 0o077 == 0
        sent = bellcast("notify", "alice", "Hello", "--data", data)
        assert (sent.status, sent.err) == (0, "")
        assert bellcast("key", "list", "--data", data).status == 0
        assert "is ready" in bellcast("doctor", "--quick", "--data", data).out
        assert end(server, signal.SIGTERM).status == 0
    refused = bellcast("notify", "alice", "Hello", "--data", data)
    assert refused.status == 1
    assert f"no server responds at http://127.0.0.1:{port}, where the last `bellcast serve` for" in refused.err


def test_explicit_url_overrides_the_data_folder(tmp_path, bellcast_server):
    (tmp_path / "server.json").write_text('{"url": "http://127.0.0.1:1"}')
    project = {"BELLCAST_SECRET": bellcast_server.secret, "BELLCAST_DATA": str(tmp_path)}
    assert bellcast("key", "list", **project).status == 1
    assert bellcast("key", "list", "--url", bellcast_server.url, **project).status == 0
    assert bellcast("key", "list", BELLCAST_URL=bellcast_server.url, **project).status == 0


@pytest.mark.thorough
def test_killed_server_is_reported_as_the_last_known_one(tmp_path):
    data = tmp_path / "data"
    with running("serve", "--port", free_port(), "--data", data) as server:
        next(lines(server))
    refused = bellcast("notify", "alice", "Hello", "--data", data)
    assert refused.status == 1
    assert "where the last `bellcast serve` for" in refused.err
    with running("serve", "--port", free_port(), "--data", data) as server:
        next(lines(server))
        assert bellcast("notify", "alice", "Hello", "--data", data).status == 0


def test_server_of_another_project_is_reported(bellcast_server):
    other_project = {"BELLCAST_PROJECT": "1:my-key:a-secret-of-mine", "BELLCAST_URL": bellcast_server.url}
    refused = bellcast("notify", "alice", "Hello", **other_project)
    assert refused.status == 1
    assert f"has another project ({bellcast_server.key})" in refused.err
    assert "a-secret-of-mine" not in refused.err


@pytest.mark.thorough
def test_command_with_the_url_of_another_server_names_that_of_the_data_folder(tmp_path, bellcast_server):
    with running("serve", "--port", (port := free_port()), "--data", tmp_path) as server:
        next(lines(server))
        refused = bellcast("notify", "alice", "Hello", "--data", tmp_path, BELLCAST_URL=bellcast_server.url)
    assert refused.status == 1
    assert f"listened at http://127.0.0.1:{port}" in refused.err


def test_port_in_use_names_the_last_port_of_the_data_folder(tmp_path, bellcast_server):
    (tmp_path / "server.json").write_text('{"url": "http://127.0.0.1:8790"}')
    refused = bellcast("serve", "--port", bellcast_server.port, "--data", tmp_path)
    assert refused.status == 1
    assert f"add --port 8790, which {tmp_path} had last." in refused.err
    (tmp_path / "server.json").write_text(json.dumps({"url": bellcast_server.url}))
    same = bellcast("serve", "--port", bellcast_server.port, "--data", tmp_path)
    other = (int(bellcast_server.port) + 3) % 65_536
    assert same.err.endswith(f"is in use; stop the other program, or add --port {other}.\n")


@pytest.mark.thorough
def test_python_client_finds_the_server_through_the_data_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with running("serve", "--port", free_port()) as server:
        next(lines(server))
        with Bellcast() as bell:
            assert bell.notify("alice", title="Hello").id
            assert bell.inbox(bell.token("alice")).counts().unread == 1


def test_wildcard_address_is_stored_as_a_connectable_one(tmp_path):
    port = free_port()
    with running("serve", "--host", "0.0.0.0", "--port", port, "--data", tmp_path) as server:
        next(lines(server))
        assert json.loads((tmp_path / "server.json").read_text())["url"] == f"http://127.0.0.1:{port}"


@pytest.mark.thorough
def test_unwritable_server_file_does_not_stop_the_server(tmp_path):
    (tmp_path / "server.json").mkdir()
    with running("serve", "--port", free_port(), "--data", tmp_path) as server:
        assert "is listening" in next(lines(server))
        result = end(server, signal.SIGTERM)
    assert result.status == 0
    assert "server_url_not_stored" in result.err


@pytest.mark.thorough
async def test_workers_store_their_common_address(tmp_path):
    port, name = free_port(), f"port_{uuid4().hex}"
    database = await engines.postgres().make(name)
    environ = {"BELLCAST_STORE": database, "BELLCAST_BROKER": database}
    with running("serve", "--port", port, "--workers", 2, "--data", tmp_path, **environ) as server:
        assert f":{port}" in next(lines(server))
        assert bellcast("notify", "alice", "Hello", "--data", tmp_path).status == 0
        assert end(server, signal.SIGTERM).status == 0


def test_make_demo_passes_the_port():
    result = subprocess.run(["make", "--dry-run", "demo", "PORT=9000"], cwd=ROOT, capture_output=True, text=True)
    assert "bellcast demo --port 9000" in result.stdout
