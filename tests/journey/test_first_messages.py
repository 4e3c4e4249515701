"""What a newcomer reads after a mistake of the first hour: what is wrong, what was expected and what to do."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import socketio

from bellcast import Bellcast
from bellcast.client.errors import InvalidArgument, Unavailable
from tests.journey import shell
from tests.servers import PROJECT, ServerProcess


@pytest.fixture(scope="module")
def client(bellcast_server: ServerProcess) -> Iterator[Bellcast]:
    bell = Bellcast(bellcast_server.url, bellcast_server.secret)
    yield bell
    bell.close()


def test_python_client_asks_whether_the_server_runs() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Unavailable, match=r"refused.*Start `bellcast serve`, or correct the port"):
        Bellcast(f"http://127.0.0.1:{port}", "secret", timeout=1).notify("alice", title="x")


def test_python_client_names_http_for_a_server_without_tls(bellcast_server: ServerProcess) -> None:
    bell = Bellcast(bellcast_server.url.replace("http:", "https:"), "secret", timeout=1)
    with pytest.raises(Unavailable, match="The server speaks http, not https: use http://"):
        bell.notify("alice", title="x")


def test_python_client_asks_for_the_host_name() -> None:
    with pytest.raises(Unavailable, match="Check the host name in the URL"):
        Bellcast("http://nosuchhost.invalid", "secret", timeout=1).notify("alice", title="x")


def test_command_line_explains_an_unusable_address(bellcast_server: ServerProcess) -> None:
    settings = {"BELLCAST_SECRET": "secret"}
    with_tls = bellcast_server.url.replace("http:", "https:")
    refused = shell.bellcast("notify", "alice", "x", "--url", with_tls, **settings)
    assert "use http:// in its URL" in refused.err
    refused = shell.bellcast("notify", "alice", "x", "--url", "http://nosuchhost.invalid", **settings)
    assert "Check the host name in the URL; pass the server's address with --url." in refused.err


def test_command_line_suggests_the_closest_command() -> None:
    refused = shell.bellcast("notfy", "alice", "x")
    assert refused.err == "Error: No such command 'notfy'; did you mean 'notify'? See `bellcast --help`.\n"


def test_data_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    refused = shell.bellcast("serve", "--port", 0, "--data", file)
    assert refused.status == 2
    assert f"the folder {file} cannot be created: a file has this name. Choose another with --data." in refused.err


def test_python_client_refuses_an_address_with_the_version() -> None:
    for url in ("http://127.0.0.1:8787/v1", "http://127.0.0.1:8787/v1/"):
        with pytest.raises(InvalidArgument, match="without /v1"):
            Bellcast(url, "secret")


@pytest.mark.parametrize(
    ("module", "advice"),
    [
        ("fastapi", "bellcast.contrib.fastapi needs FastAPI: run pip install fastapi"),
        ("sqlalchemy", "bellcast.contrib.sqlalchemy needs SQLAlchemy: run pip install 'bellcast[sqlalchemy]'"),
    ],
)
def test_missing_package_of_an_integration_is_named(module: str, advice: str) -> None:
    program = f"import sys; sys.modules['{module}'] = None; import bellcast.contrib.{module}"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert advice in result.stderr


@pytest.mark.parametrize(
    ("transport", "auth", "reason"),
    [("polling", None, "call.accept"), ("websocket", None, "call.accept"), ("websocket", "token", "must be an object")],
)
async def test_socketio_client_without_a_token_is_told_to_pass_auth(
    bellcast_server: ServerProcess, transport: str, auth: Any, reason: str
) -> None:
    client, refusals = socketio.AsyncClient(reconnection=False), []
    client.on("connect_error", refusals.append)
    with pytest.raises(socketio.exceptions.ConnectionError):
        await client.connect(bellcast_server.url, auth=auth, transports=[transport])
    assert "auth: { token }" in refusals[0]["message"]
    assert reason in refusals[0]["message"]


def test_number_as_recipient_is_shown_as_text(bellcast_server: ServerProcess) -> None:
    import httpx

    headers = {"Authorization": f"Bearer {bellcast_server.secret}"}
    response = httpx.post(f"{bellcast_server.url}/v1/notifications", headers=headers, json={"to": 5, "title": "x"})
    assert response.json()["errors"] == [
        {"field": "to", "message": 'must be text or an object or a list, got an integer; write "5"'}
    ]


def bellcast_command(server: ServerProcess, *arguments: str) -> str:
    command = [sys.executable, "-m", "bellcast", *arguments, "--data", str(server.data)]
    environ = os.environ | {"BELLCAST_PROJECT": ":".join(PROJECT), "BELLCAST_URL": server.url}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environ).stdout


def test_env_writes_lines_of_a_dotenv_file(bellcast_server: ServerProcess) -> None:
    lines = bellcast_command(bellcast_server, "env", "--format", "dotenv").splitlines()
    assert [line.partition("=")[0] for line in lines] == ["BELLCAST_URL", "BELLCAST_PROJECT", "BELLCAST_SECRET"]
    assert not any(re.search("['\"]", line) for line in lines)


@pytest.mark.thorough
def test_workflow_put_accepts_a_key_before_the_file(bellcast_server: ServerProcess, tmp_path: Path) -> None:
    file = tmp_path / "booking.yaml"
    file.write_text("steps:\n  - {key: tell, type: inbox, title: Booked}\n")
    assert "booking-2" in bellcast_command(bellcast_server, "workflow", "put", "booking-2", str(file))
    assert "booking" in bellcast_command(bellcast_server, "workflow", "put", str(file))


def test_message_list_shows_the_subject(bellcast_server: ServerProcess, client: Bellcast) -> None:
    client.recipients.put("mailed", email="mailed@example.com")
    client.notify("mailed", title="Your invoice", channels=["email"])
    listed = bellcast_command(bellcast_server, "message", "list", "--recipient", "mailed")
    assert listed.rstrip().endswith("email  simulated  mailed@example.com  Your invoice")
