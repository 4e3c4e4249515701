"""`put` writes an object under the key that it was given."""

import json
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from bellcast.cli import channels, options
from bellcast.client import Bellcast


@pytest.mark.parametrize("key", ["https://id.example/users/7", "a/./b", "a/"])
def test_key_is_not_changed_like_the_path_of_a_file(key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []

    def respond(request: httpx.Request) -> httpx.Response:
        written.append(request.url.path)
        return httpx.Response(200, json={})

    client = Bellcast("http://server", "secret", transport=httpx.MockTransport(respond))
    monkeypatch.setattr(options, "server", lambda *_: client)
    file = tmp_path / "preferences.json"
    file.write_text(json.dumps({"channels": {"email": False}}))
    done = CliRunner().invoke(channels.app, ["preference", "put", key, str(file)])
    assert (done.exit_code, written) == (0, [f"/v1/recipients/{key}/preferences"]), done.output
