"""Server maintenance in a shell: config, doctor, backup, restore, migrate."""

import os
import shutil
import sqlite3
import subprocess
import sys
import threading

import httpx
import pytest

from tests.journey.shell import bellcast
from tests.servers import ServerProcess


@pytest.fixture
def project(bellcast_server):
    return {"BELLCAST_URL": bellcast_server.url, "BELLCAST_SECRET": bellcast_server.secret}


def findings(result):
    """Return the doctor's findings by check."""
    return {finding["check"]: finding for finding in result.json["findings"]}


def test_config_shows_effective_values_and_their_sources(tmp_path):
    environ = {"BELLCAST_PORT": "80", "BELLCAST_SECRET": "hush-hush", "BELLCAST_PROJECT": "7:key:very-secret"}
    result = bellcast("config", "--data", tmp_path, "--json", **environ)
    assert result.json["BELLCAST_PORT"] == {"value": "80", "source": "environment"}
    assert result.json["BELLCAST_DATA"] == {"value": str(tmp_path), "source": "option"}
    assert result.json["BELLCAST_HOST"] == {"value": "127.0.0.1", "source": "default"}
    shown = bellcast("config", "--changed", "--data", tmp_path, **environ).out
    assert [line.split()[0] for line in shown.splitlines() if line.startswith("BELLCAST_")] == [
        "BELLCAST_PORT",
        "BELLCAST_DATA",
        "BELLCAST_PROJECT",
        "BELLCAST_SECRET",
    ]
    assert not any(secret in result.out + shown for secret in ("hush-hush", "very-secret"))
    assert not (tmp_path / "project.json").exists()


def test_doctor_finds_no_problem_with_a_healthy_server(bellcast_server, project):
    result = bellcast("doctor", "--data", bellcast_server.data, "--json", **project)
    checks = findings(result)
    assert {checks[name]["state"] for name in ("store", "server", "SSE", "WebSocket", "clock")} == {"ok"}
    assert result.status == 0
    assert result.json["ok"] is True
    doctor_recipient = httpx.get(
        f"{bellcast_server.url}/v1/recipients/bellcast-doctor", headers=bellcast_server.as_app()
    )
    assert doctor_recipient.status_code == 404


def test_doctor_names_problems_and_fixes(tmp_path):
    (tmp_path / "project.json").write_text("{}")
    (tmp_path / "project.json").chmod(0o644)
    (tmp_path / "bellcast.db").write_bytes(b"no database " * 1000)
    wrong = {"BELLCAST_PUBLIC_TOPICS": "user.*", "BELLCAST_TRUSTED_PROXIES": "0.0.0.0/0"}
    arguments = ["doctor", "--data", tmp_path, "--url", "http://127.0.0.1:1"]
    result = bellcast(*arguments, "--json", **wrong)
    checks = findings(result)
    assert result.status == 1
    assert result.json["ok"] is False
    assert {name for name, finding in checks.items() if finding["state"] == "problem"} == {
        "credentials",
        "store",
        "proxies",
        "server",
    }
    assert checks["credentials"]["fix"] == f"chmod 600 {tmp_path / 'project.json'}"
    assert "user.*" in checks["public topics"]["what"]
    shown = bellcast(*arguments, **wrong)
    assert shown.status == 1
    assert all(f"→ {finding['fix']}" in shown.out for finding in checks.values() if finding["fix"])
    assert "4 problems" in shown.out


def test_doctor_warns_of_a_short_secret(tmp_path):
    result = bellcast("doctor", "--data", tmp_path, "--json", "--local", BELLCAST_PROJECT="1:key:x")
    finding = findings(result)["credentials"]
    assert finding["state"] == "warning"
    assert "can be guessed" in finding["what"]


def test_doctor_reports_invalid_settings():
    result = bellcast("doctor", "--json", BELLCAST_PORT="eighty")
    assert result.status == 1
    assert "BELLCAST_PORT" in findings(result)["settings"]["what"]


def test_doctor_without_the_secret_checks_the_public_paths(bellcast_server, project):
    result = bellcast("doctor", "--json", **project | {"BELLCAST_SECRET": "wrong"})
    assert findings(result)["server"]["state"] == "ok"
    assert findings(result)["live path"]["state"] == "warning"
    assert "SSE" not in findings(result)


def test_doctor_can_skip_the_server(tmp_path):
    result = bellcast("doctor", "--local", "--data", tmp_path, "--url", "http://127.0.0.1:1", "--json")
    assert result.status == 0
    assert "server" not in findings(result)


def sent_while(server, work):
    """Return the ids that were acknowledged before `work` was called, and during it."""
    before, during, is_over = [], [], threading.Event()

    def send(into):
        body = {"to": "alice", "title": "Keep me"}
        response = httpx.post(f"{server.url}/v1/notifications", headers=server.as_app(), json=body)
        into.append(response.json()["notifications"][0]["id"])

    def keep_sending():
        while not is_over.is_set():
            send(during)

    for _ in range(20):
        send(before)
    thread = threading.Thread(target=keep_sending)
    thread.start()
    try:
        work()
    finally:
        is_over.set()
        thread.join()
    return before, during


def test_backup_of_a_busy_server_is_complete(start_server, tmp_path):
    server = start_server()
    copy = tmp_path / "copy.db"
    results = []
    before, during = sent_while(
        server, lambda: results.append(bellcast("backup", copy, "--data", server.data, "--json"))
    )
    assert results[0].json["bytes"] == copy.stat().st_size
    assert copy.stat().st_mode & 0o077 == 0
    assert during

    restored = tmp_path / "elsewhere"
    assert bellcast("restore", copy, "--data", restored).status == 0
    with ServerProcess(restored) as second:
        ids = set()
        url = f"{second.url}/v1/inbox?limit=100"
        page = {"next": ""}
        while page["next"] is not None:
            page = httpx.get(url + page["next"], headers=second.as_recipient("alice")).json()
            ids |= {notification["id"] for notification in page["notifications"]}
            page["next"] = page["next"] and f"&before={page['next']}"
        assert ids >= set(before)
        assert ids <= {*before, *during}
        assert page["unread"] == len(ids)


def test_backup_overwrites_no_file(bellcast_server, tmp_path):
    file = tmp_path / "mine.txt"
    file.write_text("dear diary")
    refused = bellcast("backup", file, "--data", bellcast_server.data)
    assert refused.status == 1
    assert "already exists" in refused.err
    assert file.read_text() == "dear diary"
    nothing = bellcast("backup", tmp_path / "new.db", "--data", tmp_path / "nothing")
    assert nothing.status == 1
    assert "There is no file" in nothing.err


def test_restore_overwrites_data_only_with_force(bellcast_server, tmp_path):
    copy, data = tmp_path / "copy.db", tmp_path / "data"
    bellcast("backup", copy, "--data", bellcast_server.data)
    for force in ([], ["--force"]):
        running = bellcast("restore", copy, "--data", bellcast_server.data, *force)
        assert running.status == 1
    assert "Another Bellcast server is using the data folder" in running.err

    bellcast("restore", copy, "--data", data)
    before = (data / "bellcast.db").read_bytes()
    refused = bellcast("restore", copy, "--data", data)
    assert refused.status == 1
    assert "already exists; pass another folder with --data, or replace it with --force" in refused.err
    assert (data / "bellcast.db").read_bytes() == before
    assert bellcast("restore", copy, "--data", data, "--force").status == 0


@pytest.mark.parametrize("content", [b"", b"a letter, not a database" * 100, b"x"], ids=["empty", "letter", "byte"])
def test_invalid_backup_is_not_restored(tmp_path, content):
    (tmp_path / "letter").write_bytes(content)
    refused = bellcast("restore", tmp_path / "letter", "--data", tmp_path / "data")
    assert refused.status == 1
    assert refused.err.startswith("Error: ")
    assert len(refused.err.splitlines()) == 1
    assert not (tmp_path / "data" / "bellcast.db").exists()


def test_migrate_reports_both_versions(tmp_path):
    first = bellcast("migrate", "--data", tmp_path, "--json").json
    assert first["from"] == 0
    assert first["to"] >= 1
    assert f"is up to date (version {first['to']})" in bellcast("migrate", "--data", tmp_path).out
    with sqlite3.connect(tmp_path / "bellcast.db") as store:
        assert store.execute("PRAGMA user_version").fetchone() == (first["to"],)


def test_migrate_refuses_a_running_server_and_foreign_files(bellcast_server, tmp_path):
    refused = bellcast("migrate", "--data", bellcast_server.data)
    assert refused.status == 1
    assert "Another Bellcast server is using the data folder" in refused.err
    foreign = tmp_path / "foreign.db"
    with sqlite3.connect(foreign) as other:
        other.execute("CREATE TABLE recipes (name TEXT)")
    before = shutil.copy(foreign, tmp_path / "before.db").read_bytes()
    refused = bellcast("migrate", "--store", f"sqlite:///{foreign}", "--data", tmp_path)
    assert refused.status == 1
    assert "was not created by Bellcast" in refused.err
    assert foreign.read_bytes() == before


def test_files_that_root_restores_belong_to_the_user_that_runs_the_server(tmp_path):
    data, copy = tmp_path / "data", tmp_path / "copy.db"
    data.mkdir()
    script = f"""
        set -eu; umask 022
        chown 65534:65534 {data}
        bellcast() {{ {sys.executable} -m bellcast "$@" --data {data}; }}
        bellcast migrate; bellcast backup {copy}; rm {data}/*
        bellcast restore {copy}; bellcast restore {copy} --force
        echo '{{"id": "7", "key": "k", "secret": "s"}}' >{data}/project.json
        bellcast encryption rotate
        find {data}/bellcast.db* {data}/encryption.json {copy} -printf '%f %U %G %m\\n' | sort
    """
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    done = subprocess.run([*as_root, "sh", "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.stdout.splitlines()[-4:] == [
        "bellcast.db 65534 65534 600",
        "bellcast.db.lock 65534 65534 600",
        "copy.db 0 0 600",
        "encryption.json 65534 65534 600",
    ], done.stderr
