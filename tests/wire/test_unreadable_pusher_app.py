"""A Pusher app whose secret was encrypted with a key that the node does not have: its clients wait for a node that has it."""

import re
from pathlib import Path

import httpx
import pusher
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.servers import ServerProcess

APP = {"id": "1234567", "key": "0a1b2c3d4e5f", "secret": "a-secret-of-the-former-provider", "name": "Moved"}


def test_clients_and_servers_of_an_unreadable_app_try_again_and_the_doctor_names_it(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data", {"BELLCAST_ENCRYPTION_KEY": "a:one"})
    with server:
        assert httpx.post(f"{server.url}/v1/pusher-apps", json=APP, headers=server.as_app()).status_code == 201
    server.environ["BELLCAST_ENCRYPTION_KEY"] = "b:two"
    with server:
        with connect(f"{server.url.replace('http', 'ws', 1)}/app/{APP['key']}?protocol=7") as socket:
            assert '"code":4100' in str(socket.recv()).replace("\\", "")
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4100
        client = pusher.Pusher(
            app_id=APP["id"], key=APP["key"], secret=APP["secret"], host="127.0.0.1", port=server.port, ssl=False
        )
        with pytest.raises(pusher.errors.PusherError, match="BELLCAST_ENCRYPTION_KEY") as refused:
            client.trigger("orders", "created", {})
        assert not isinstance(refused.value, pusher.errors.PusherForbidden | pusher.errors.PusherBadAuth)
        metrics = httpx.get(f"{server.url}/metrics").text
        assert re.search(r"^bellcast_unreadable_pusher_apps 1\.0$", metrics, re.MULTILINE)
        found = httpx.post(
            f"{server.url}/v1/doctor", headers=server.as_app() | {"accept": "application/json"}, timeout=60
        )
        (finding,) = [one for one in found.json() if one["check"] == "secrets"]
        assert (finding["state"], "pusher-apps//1234567" in finding["what"]) == ("problem", True)
