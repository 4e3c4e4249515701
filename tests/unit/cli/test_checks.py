"""What the doctor makes of settings, one rule at a time."""

import os
import resource
import shutil
import time

import pytest
from msgspec.structs import replace

from bellcast.auth.access_config import AccessConfig
from bellcast.cli import local_checks
from bellcast.model.identities import Project
from bellcast.settings.groups import ServerSettings, Settings, StoreSettings


def states(findings):
    return [(finding.check, finding.state) for finding in findings]


@pytest.mark.parametrize("pattern", ["*", "user.*", "private-*", "us*", "inbox-42", "a@b.example", "Customer-7"])
def test_topics_that_speak_of_one_person_should_not_be_public(pattern):
    (finding,) = local_checks._public_topics(Settings(access=AccessConfig(public_topics=("news", pattern))))
    assert finding.state == "warning"
    assert pattern in finding.what
    assert "news" not in finding.what
    assert "BELLCAST_PUBLIC_TOPICS" in finding.fix


@pytest.mark.parametrize("public", [(), ("news",), ("scores.*", "status")])
def test_topics_for_everybody_may_be_public(public):
    assert states(local_checks._public_topics(Settings(access=AccessConfig(public_topics=public)))) == [
        ("public topics", "ok")
    ]


@pytest.mark.parametrize(
    ("access", "state"),
    [
        (AccessConfig(), "ok"),
        (AccessConfig(origins=("https://app.example.com",)), "ok"),
        (AccessConfig(origins=("http://localhost:3000", "http://127.0.0.1", "http://[::1]:80")), "ok"),
        (AccessConfig(origins=("http://app.example.com",)), "warning"),
        (AccessConfig(session_url="https://app.example.com/session"), "warning"),
        (AccessConfig(session_url="https://app.example.com/s", origins=("https://app.example.com",)), "ok"),
    ],
)
def test_origins(access, state):
    assert states(local_checks._origins(Settings(access=access))) == [("origins", state)]


@pytest.mark.parametrize(
    ("server", "state"),
    [
        (ServerSettings(), "ok"),
        (ServerSettings(host="0.0.0.0"), "warning"),
        (ServerSettings(host="0.0.0.0", trusted_proxies=("10.0.0.7/32",)), "ok"),
        (ServerSettings(trusted_proxies=("0.0.0.0/0",)), "problem"),
        (ServerSettings(trusted_proxies=("10.0.0.0/8", "::/0")), "problem"),
    ],
)
def test_proxies(server, state):
    assert states(local_checks._proxies(Settings(server=server))) == [("proxies", state)]


@pytest.fixture
def kept(tmp_path):
    """Settings with a data folder as the first start leaves it."""
    tmp_path.chmod(0o700)
    (tmp_path / "project.json").touch(mode=0o600)
    return Settings(store=StoreSettings(data=tmp_path))


def test_a_folder_as_it_should_be(kept):
    assert states([*local_checks._folder(kept), *local_checks._credentials(kept)]) == [
        ("data folder", "ok"),
        ("credentials", "ok"),
    ]


def test_others_reading_along(kept):
    kept.store.data.chmod(0o755)
    (kept.store.data / "project.json").chmod(0o640)
    (folder,), (credentials,) = local_checks._folder(kept), local_checks._credentials(kept)
    assert (folder.state, folder.fix) == ("warning", f"chmod 700 {kept.store.data}")
    assert (credentials.state, credentials.fix) == ("problem", f"chmod 600 {kept.store.data / 'project.json'}")


def test_nothing_there_yet_is_no_problem(tmp_path):
    nothing = Settings(store=StoreSettings(data=tmp_path / "deep" / "data"))
    assert {finding.state for finding in local_checks.machine(nothing)} <= {"ok", "warning"}


@pytest.mark.parametrize(("free", "state"), [(10_000_000, "problem"), (1_000_000_000, "warning"), (10**11, "ok")])
def test_room_on_the_disk(kept, monkeypatch, free, state):
    usage = shutil.disk_usage(kept.store.data)._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert states(local_checks._disk(kept)) == [("disk", state)]


@pytest.mark.parametrize(
    ("hard", "state"), [(1024, "warning"), (20_000, "ok"), (resource.RLIM_INFINITY, "ok")], ids=["few", "many", "all"]
)
def test_open_files(monkeypatch, hard, state):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, hard))
    assert states(local_checks._files()) == [("open files", state)]


def test_a_clock_that_went_back(kept):
    kept.store.path.touch()
    assert states(local_checks._clock(kept)) == [("clock", "ok")]
    ahead = time.time() + 3600
    os.utime(kept.store.path, (ahead, ahead))
    assert states(local_checks._clock(kept)) == [("clock", "problem")]


def test_a_store_that_is_none(kept):
    kept.store.path.write_bytes(b"a letter to my landlord" * 100)
    ((finding),) = local_checks._store(kept.store.path)
    assert finding.state == "problem"
    assert "bellcast restore" in finding.fix


def test_credentials_given_by_a_setting_need_no_file(kept):
    (kept.store.data / "project.json").unlink()
    given = replace(kept, project=Project("1", "key", "s" * 40))
    assert states(local_checks._credentials(given)) == [("credentials", "ok")]
