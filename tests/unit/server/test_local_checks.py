"""Checks of `bellcast doctor` on settings and the local machine."""

import os
import resource
import shutil
import time

import pytest
from msgspec.structs import replace

from bellcast.auth.permissions import AccessConfig
from bellcast.kernel.identities import Project
from bellcast.server import checks
from bellcast.settings.table import ServerSettings, Settings, StoreSettings


def states(findings):
    return [(finding.check, finding.state) for finding in findings]


@pytest.mark.parametrize("pattern", ["*", "user.*", "private-*", "us*", "inbox-42", "a@b.example", "Customer-7"])
def test_public_topics_of_one_recipient_are_a_warning(pattern):
    (finding,) = checks._public_topics(Settings(access=AccessConfig(public_topics=("news", pattern))))
    assert finding.state == "warning"
    assert pattern in finding.what
    assert "news" not in finding.what
    assert "BELLCAST_PUBLIC_TOPICS" in finding.fix


@pytest.mark.parametrize("public", [(), ("news",), ("scores.*", "status")])
def test_general_public_topics_are_ok(public):
    assert states(checks._public_topics(Settings(access=AccessConfig(public_topics=public)))) == [
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
def test_origins_are_checked(access, state):
    assert states(checks._origins(Settings(access=access))) == [("origins", state)]


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
def test_proxies_are_checked(server, state):
    assert states(checks._proxies(Settings(server=server))) == [("proxies", state)]


@pytest.fixture
def settings_with_data(tmp_path):
    """Settings with a data folder as the first start leaves it."""
    tmp_path.chmod(0o700)
    (tmp_path / "project.json").touch(mode=0o600)
    return Settings(store=StoreSettings(data=tmp_path))


def test_private_data_folder_and_credentials_are_ok(settings_with_data):
    assert states([*checks._folder(settings_with_data), *checks._credentials(settings_with_data)]) == [
        ("data folder", "ok"),
        ("credentials", "ok"),
    ]


def test_data_readable_by_others_is_reported(settings_with_data):
    settings_with_data.store.data.chmod(0o755)
    (settings_with_data.store.data / "project.json").chmod(0o640)
    (folder,), (credentials,) = checks._folder(settings_with_data), checks._credentials(settings_with_data)
    assert (folder.state, folder.fix) == ("warning", f"chmod 700 {settings_with_data.store.data}")
    assert (credentials.state, credentials.fix) == (
        "problem",
        f"chmod 600 {settings_with_data.store.data / 'project.json'}",
    )


def test_missing_data_folder_is_not_a_problem(tmp_path):
    missing = Settings(store=StoreSettings(data=tmp_path / "deep" / "data"))
    assert {finding.state for finding in checks.check(missing)} <= {"ok", "warning"}


@pytest.mark.parametrize(("free", "state"), [(10_000_000, "problem"), (1_000_000_000, "warning"), (10**11, "ok")])
def test_disk_space_is_checked(settings_with_data, monkeypatch, free, state):
    usage = shutil.disk_usage(settings_with_data.store.data)._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert states(checks._disk(settings_with_data)) == [("disk", state)]


@pytest.mark.parametrize(
    ("hard", "state"), [(1024, "warning"), (20_000, "ok"), (resource.RLIM_INFINITY, "ok")], ids=["few", "many", "all"]
)
def test_open_file_limit_is_checked(monkeypatch, hard, state):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, hard))
    assert states(checks._files()) == [("open files", state)]


def test_clock_behind_the_store_is_a_problem(settings_with_data):
    settings_with_data.store.path.touch()
    assert states(checks._clock(settings_with_data)) == [("clock", "ok")]
    ahead = time.time() + 3600
    os.utime(settings_with_data.store.path, (ahead, ahead))
    assert states(checks._clock(settings_with_data)) == [("clock", "problem")]


def test_file_that_is_not_a_store_is_a_problem(settings_with_data):
    settings_with_data.store.path.write_bytes(b"a letter to my landlord" * 100)
    ((finding),) = checks._store(settings_with_data.store.path)
    assert finding.state == "problem"
    assert finding.fix.startswith("only if the file is damaged, restore a backup")


def test_configured_credentials_need_no_file(settings_with_data):
    (settings_with_data.store.data / "project.json").unlink()
    configured = replace(settings_with_data, project=Project("1", "key", "s" * 40))
    assert states(checks._credentials(configured)) == [("credentials", "ok")]


@pytest.mark.parametrize("key", ["short", f"2025:{'k' * 40},2026:short"])
def test_short_encryption_key_is_a_warning(settings_with_data, key):
    channels = replace(settings_with_data.channels, encryption_key=key)
    warning, _ = checks._credentials(replace(settings_with_data, channels=channels))
    assert warning.state == "warning"
    assert "BELLCAST_ENCRYPTION_KEY has 5 characters" in warning.what
