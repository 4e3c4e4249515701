"""Discovery of the server's URL and the secret."""

import json

import pytest

from bellcast.client import Bellcast, Credentials, InvalidArgument, NotConfigured
from bellcast.client.credentials import DEFAULT_URL, find_credentials, find_url

PROJECT = {"id": "1", "key": "key-1", "secret": "the:secret"}


@pytest.fixture
def data(tmp_path):
    (tmp_path / "project.json").write_text(json.dumps(PROJECT))
    (tmp_path / "server.json").write_text('{"url": "http://127.0.0.1:9000"}')
    return {"BELLCAST_DATA": str(tmp_path)}


def test_data_folder_provides_url_and_secret(data):
    assert find_credentials(None, data) == Credentials("the:secret", "key-1")
    assert find_url(None, data) == "http://127.0.0.1:9000"


@pytest.mark.parametrize(
    ("stored", "url"),
    [
        ({"url": "http://127.0.0.1:9000", "pid": 7, "node": None}, "http://127.0.0.1:9000"),  # of a later version
        ({"url": None}, DEFAULT_URL),
        ({}, DEFAULT_URL),
    ],
)
def test_file_of_the_server_may_have_other_fields(tmp_path, stored, url):
    (tmp_path / "server.json").write_text(json.dumps(stored))
    assert find_url(None, {"BELLCAST_DATA": str(tmp_path)}) == url


def test_variables_override_the_data_folder(data):
    environ = data | {"BELLCAST_URL": "https://bell.example.com/", "BELLCAST_SECRET": "mine"}
    assert find_url(None, environ) == "https://bell.example.com"
    assert find_credentials(None, environ) == Credentials("mine")
    assert find_credentials(None, data | {"BELLCAST_PROJECT": "2:key-2:s:2"}) == Credentials("s:2", "key-2")


def test_arguments_override_variables(data):
    environ = data | {"BELLCAST_URL": "https://bell.example.com", "BELLCAST_SECRET": "mine"}
    assert find_url("http://10.0.0.1", environ) == "http://10.0.0.1"
    assert find_credentials("given", environ) == Credentials("given")


@pytest.mark.parametrize("secret", [None, "the:secret"])
def test_secret_of_a_known_project_has_its_key(data, secret):
    environ = data | {"BELLCAST_SECRET": "the:secret"}
    assert find_credentials(secret, environ) == Credentials("the:secret", "key-1")
    declared = {"BELLCAST_PROJECT": "1:key-1:the:secret", "BELLCAST_SECRET": "the:secret"}
    assert find_credentials(secret, declared).key == "key-1"


@pytest.mark.parametrize("name", ["SECRET", "PROJECT", "URL"])
def test_variable_may_name_a_file(tmp_path, name):
    content = {"SECRET": "kept", "PROJECT": "1:key-1:kept", "URL": "https://bell.example.com"}
    file = tmp_path / "content"
    file.write_text(content[name] + "\n")
    environ = {f"BELLCAST_{name}_FILE": str(file), "BELLCAST_DATA": str(tmp_path / "none")}
    value = find_url(None, environ) if name == "URL" else find_credentials(None, environ).secret
    assert value == ("https://bell.example.com" if name == "URL" else "kept")


def test_missing_secret_is_reported_with_the_remedy(tmp_path):
    with pytest.raises(NotConfigured, match="set BELLCAST_SECRET or BELLCAST_PROJECT"):
        find_credentials(None, {"BELLCAST_DATA": str(tmp_path)})


def test_missing_url_falls_back_to_the_default(tmp_path):
    assert find_url(None, {"BELLCAST_DATA": str(tmp_path)}) == "http://127.0.0.1:8787"


@pytest.mark.parametrize(
    "environ",
    [{"BELLCAST_PROJECT": "no-colons"}, {"BELLCAST_SECRET_FILE": "/nowhere/at/all"}],
    ids=["no project", "no file"],
)
def test_unusable_variable_is_named(environ):
    with pytest.raises(NotConfigured, match=next(iter(environ))):
        find_credentials(None, environ)


def test_file_of_the_server_that_is_not_utf8_is_ignored(tmp_path):
    (tmp_path / "server.json").write_bytes(b'{"url": "\xff"}')
    assert find_url(None, {"BELLCAST_DATA": str(tmp_path)}) == DEFAULT_URL


@pytest.mark.parametrize("content", [b"", b"[]", b'{"key": 1}', b'{"key": "\xff"}'])
def test_unreadable_project_file_is_named(tmp_path, content):
    (tmp_path / "project.json").write_bytes(content)
    with pytest.raises(NotConfigured, match=r"project\.json"):
        find_credentials(None, {"BELLCAST_DATA": str(tmp_path)})


@pytest.mark.parametrize("secret", ["", "naïve", "two\nlines", 5, b"bytes"])
def test_secret_that_no_header_can_carry_is_refused(secret):
    with pytest.raises(InvalidArgument, match="secret: must be printable ASCII") as refused:
        Bellcast("http://127.0.0.1:1", secret)
    assert secret == "" or str(secret) not in str(refused.value)


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"BELLCAST_SECRET": "naïve"}, "BELLCAST_SECRET"),
        ({"BELLCAST_SECRET": "\udcff"}, "BELLCAST_SECRET"),
        ({"BELLCAST_PROJECT": "1:key:naïve"}, "BELLCAST_PROJECT"),
    ],
    ids=["not ASCII", "not UTF-8", "project"],
)
def test_secret_of_the_environment_that_no_header_can_carry_is_named(tmp_path, environ, named):
    with pytest.raises(InvalidArgument, match=f"{named}: must be printable ASCII") as refused:
        find_credentials(None, environ | {"BELLCAST_DATA": str(tmp_path)})
    assert str(refused.value).isascii()
    with pytest.raises(InvalidArgument, match="secret: must be printable ASCII"):
        find_credentials(Credentials("naïve"), {})


def test_environment_is_read_when_the_client_is_created(monkeypatch, tmp_path):
    monkeypatch.setenv("BELLCAST_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("BELLCAST_SECRET", "mine")
    with Bellcast() as bell:
        assert bell.sender.peer.url == "http://127.0.0.1:1"
        assert bell.sender.peer.credentials == Credentials("mine")
