"""`bellcast doctor` finds broken set-ups of the machine and the engines: each test breaks one thing. Set-ups of proxies are
in test_cli_doctor_proxy.py, those of several nodes in test_doctor_nodes.py."""

import asyncio
import json
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from redis.asyncio import Redis

from bellcast.console.types import FindingItem
from bellcast.kernel.db.migrations import sqlite as migrations
from bellcast.kernel.db.sqlite_connection import connect
from bellcast.kernel.errors import SettingsError
from bellcast.server import adapters, checks
from bellcast.settings import load
from tests import engines
from tests.certificates import self_signed
from tests.engines import RedisServer
from tests.faults.test_disk_full import disk as disk  # a fixture
from tests.journey.shell import bellcast, environ
from tests.servers import ServerProcess, free_port
from tests.smtp_server import smtp_server

SECRET = "a secret of the project with forty letters"


def problems(folder: Path, **settings: str) -> dict[str, FindingItem]:
    """Run the checks of this machine with these settings; return warnings and problems by check."""
    environment = {f"BELLCAST_{name}": value for name, value in settings.items()}
    found = checks.check(load({"data": str(folder)}, environment))
    return {one.check: one for one in found if one.state != "ok"}


async def found(folder: Path, **settings: str) -> dict[str, FindingItem]:
    """Return the problems. The checks run event loops of their own, so they need another thread."""
    return await asyncio.to_thread(lambda: problems(folder, **settings))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A private data folder."""
    path = tmp_path / "data"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
async def own_redis() -> AsyncIterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.end()


@pytest.fixture
async def database() -> AsyncIterator[str]:
    postgres = engines.postgres()
    yield await postgres.make("setups")
    await postgres.drop("setups")


async def command(server: RedisServer, *words: str) -> None:
    async with Redis.from_url(server.url) as client:
        await client.execute_command(*words)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped


# --- the machine


def test_data_folder_that_all_can_read_is_found(folder: Path) -> None:
    folder.chmod(0o755)
    assert "chmod 700" in problems(folder)["data folder"].fix


def test_short_secret_is_found(folder: Path) -> None:
    assert "has 5 characters" in problems(folder, PROJECT="p:key:short")["credentials"].what


@pytest.mark.parametrize(
    ("environment", "named"),
    [({"BELLCAST_STROE": "x"}, "BELLCAST_STORE"), ({"BELLCAST_WORKERS": "3"}, "BELLCAST_BROKER")],
    ids=["misspelt", "workers with memory broker"],
)
def test_settings_that_no_server_accepts_are_found(folder: Path, environment: dict[str, str], named: str) -> None:
    done = bellcast("doctor", "--local", "--json", "--data", folder, **environment)
    assert done.status == 1
    assert named in done.json["findings"][0]["what"]
    with pytest.raises(SettingsError):
        load({"data": str(folder)}, environment)


def doctor_of(folder: Path, *prefix: str) -> dict[str, dict[str, str]]:
    """Run the command on this machine; return its findings by check."""
    command = [*prefix, sys.executable, "-m", "bellcast", "doctor", "--local", "--json", "--data", str(folder)]
    done = subprocess.run(command, env=environ(), capture_output=True, text=True, check=False)
    return {one["check"]: one for one in json.loads(done.stdout)["findings"]}


def test_few_open_files_are_found(folder: Path) -> None:
    found = doctor_of(folder, "prlimit", "--nofile=128:128")
    assert found["open files"]["state"] != "ok"
    assert "128" in found["open files"]["what"]
    assert "LimitNOFILE" in found["open files"]["fix"]


@pytest.mark.thorough
@pytest.mark.parametrize("left", [0, 1_000_000])
def test_full_disk_is_found(disk: Path, left: int) -> None:
    """A file system of its own, with a store, and without room for another byte of the doctor."""
    folder = disk / "data"
    folder.mkdir(mode=0o700)
    assert bellcast("migrate", "--data", folder).status == 0
    with (disk / "ballast").open("wb", buffering=0) as ballast, suppress(OSError):
        while (free := shutil.disk_usage(disk).free - left) > 0:
            ballast.write(b"x" * min(free, 65_536))
    found = doctor_of(folder)
    assert (found["disk"]["state"], str(folder) in found["disk"]["what"]) == ("problem", True)
    assert "restore" not in found["store"]["fix"]


@pytest.fixture
def stored(folder: Path) -> Path:
    """The SQLite store that a server has created."""
    assert bellcast("migrate", "--data", folder).status == 0
    return folder / "bellcast.db"


def test_damaged_sqlite_file_is_found(stored: Path) -> None:
    content = bytearray(stored.read_bytes())
    content[4096 * 3 : 4096 * 5] = b"\x55" * 8192
    stored.write_bytes(content)
    assert problems(stored.parent)["store"].state == "problem"


def test_store_of_a_newer_version_is_found(stored: Path) -> None:
    with closing(sqlite3.connect(stored)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute(f"PRAGMA user_version = {version + 1}")
        connection.commit()
    finding = problems(stored.parent)["store"]
    assert (finding.state, "newer" in finding.what) == ("problem", True)


def test_pending_migration_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = migrations.steps()
    with monkeypatch.context() as before, closing(connect(folder / "bellcast.db")) as connection:
        before.setattr(migrations, "steps", lambda: dict([*steps.items()][:-1]))
        migrations.migrate(connection)
    finding = problems(folder)["store"]
    assert (finding.state, "bellcast migrate" in finding.fix) == ("warning", True)


# --- PostgreSQL


async def test_postgresql_that_is_down_is_found(folder: Path) -> None:
    finding = (await found(folder, STORE=f"postgresql://postgres@127.0.0.1:{free_port()}/x"))["store"]
    assert "start PostgreSQL" in finding.fix


@pytest.mark.parametrize("is_migrated", [False, True], ids=["new", "in use"])
async def test_read_only_postgresql_is_found(folder: Path, database: str, is_migrated: bool) -> None:
    if is_migrated:
        assert bellcast("migrate", "--data", folder, BELLCAST_STORE=database).status == 0
        assert "store" not in await found(folder, STORE=database)
    await engines.postgres().execute("ALTER DATABASE setups SET default_transaction_read_only = on")
    results = await found(folder, STORE=database, BROKER=database)
    for check in ("store", "broker"):
        assert results[check].state == "problem"
        assert "read-only" in results[check].what
        assert "primary" in results[check].fix


async def test_postgresql_user_without_rights_is_found(folder: Path, database: str) -> None:
    assert bellcast("migrate", "--data", folder, BELLCAST_STORE=database).status == 0
    postgres = engines.postgres()
    await postgres.execute("CREATE ROLE reader LOGIN")
    try:
        await postgres.execute("GRANT USAGE ON SCHEMA bellcast TO reader", "setups")
        await postgres.execute("GRANT SELECT ON ALL TABLES IN SCHEMA bellcast TO reader", "setups")
        finding = (await found(folder, STORE=database.replace("postgres@", "reader@")))["store"]
        assert finding.state == "problem"
        assert "permission denied" in finding.what
    finally:
        await postgres.execute("DROP OWNED BY reader", "setups")
        await postgres.execute("DROP ROLE reader")


# --- Redis


async def test_redis_that_is_down_is_found(folder: Path) -> None:
    finding = (await found(folder, BROKER=f"redis://127.0.0.1:{free_port()}"))["broker"]
    assert "start Redis" in finding.fix


async def test_changed_password_of_redis_is_found(folder: Path, own_redis: RedisServer) -> None:
    await command(own_redis, "CONFIG", "SET", "requirepass", "new")
    finding = (await found(folder, BROKER=own_redis.url.replace("//", "//:old@")))["broker"]
    assert finding.state == "problem"
    assert "password" in finding.what


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("CONFIG", "SET", "maxmemory", "1"), "maxmemory"),
        (("REPLICAOF", "127.0.0.1", "1"), "read only replica"),
        (("ACL", "SETUSER", "default", "-publish", "-eval", "-evalsha"), "publish"),
    ],
    ids=["full", "replica", "may not publish"],
)
async def test_redis_that_cannot_be_used_is_found(
    folder: Path, own_redis: RedisServer, words: tuple[str, ...], named: str
) -> None:
    assert "broker" not in await found(folder, BROKER=own_redis.url)
    await command(own_redis, *words)
    finding = (await found(folder, BROKER=own_redis.url))["broker"]
    assert finding.state == "problem"
    assert named in finding.what


# --- mail servers


async def test_mail_server_that_works_is_ok(folder: Path) -> None:
    async with smtp_server() as mailbox:
        assert "mail server" not in await found(folder, EMAIL=f"smtp://127.0.0.1:{mailbox.port}?from=bells@example.com")
        assert mailbox.received == []


async def test_mail_server_that_is_down_is_found(folder: Path) -> None:
    finding = (await found(folder, EMAIL=f"smtp://127.0.0.1:{free_port()}?from=bells@example.com"))["mail server"]
    assert finding.state == "problem"
    assert "env-email-1 at 127.0.0.1" in finding.what


async def test_mail_server_that_hangs_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bellcast.server.checks.MAIL_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"smtp://127.0.0.1:{silent.getsockname()[1]}?from=bells@example.com"
        assert (await found(folder, EMAIL=url))["mail server"].state == "problem"


async def test_wrong_password_of_a_mail_server_is_found_and_not_shown(folder: Path) -> None:
    async with smtp_server(credentials=("user", "right")) as mailbox:
        url = f"smtp://user:wr0ng@127.0.0.1:{mailbox.port}?from=bells@example.com&tls=off"
        finding = (await found(folder, EMAIL=url))["mail server"]
        assert "535" in finding.what
        assert "wr0ng" not in finding.what + finding.fix
        assert "mail server" not in await found(folder, EMAIL=url.replace("wr0ng", "right"))


async def test_mail_server_without_starttls_for_a_password_is_found(folder: Path) -> None:
    async with smtp_server(credentials=("user", "right")) as mailbox:
        url = f"smtp://user:right@127.0.0.1:{mailbox.port}?from=bells@example.com"
        finding = (await found(folder, EMAIL=url))["mail server"]
        assert "STARTTLS" in finding.what
        assert "A password needs TLS" in finding.fix


async def test_invalid_certificate_of_a_mail_server_is_found(folder: Path) -> None:
    _, context = self_signed(folder)
    async with smtp_server(credentials=("user", "right"), tls=context) as mailbox:
        url = f"smtp://user:right@127.0.0.1:{mailbox.port}?from=bells@example.com"
        assert "certificate" in (await found(folder, EMAIL=url))["mail server"].what.lower()


# --- the server


def test_stopped_server_is_found(folder: Path) -> None:
    done = bellcast("doctor", "--json", "--data", folder, "--url", f"http://127.0.0.1:{free_port()}")
    assert "start `bellcast serve`" in next(one["fix"] for one in done.json["findings"] if one["check"] == "server")


async def test_expired_certificate_of_the_server_is_named(folder: Path) -> None:
    pem, context = self_signed(folder, valid_hours=-1)
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        shell = {"SSL_CERT_FILE": str(pem), "BELLCAST_SECRET": SECRET}
        done = await asyncio.to_thread(bellcast, "doctor", "--json", "--data", folder, "--url", url, **shell)
        sent = await asyncio.to_thread(bellcast, "notify", "alice", "Hi", "--data", folder, "--url", url, **shell)
    refused = f"the certificate of {url} is not accepted: certificate has expired"
    finding = next(one for one in done.json["findings"] if one["check"] == "server")
    assert (finding["what"], finding["fix"]) == (refused, "renew it, or set the clock of this machine")
    assert refused in " ".join(sent.err.split())


@pytest.mark.thorough
def test_other_secret_in_the_shell_missing_jobs_and_mail_servers_are_found(tmp_path: Path) -> None:
    mail = f"smtp://127.0.0.1:{free_port()}?from=bells@example.com"
    with ServerProcess(tmp_path, {"BELLCAST_NO_JOBS": "on", "BELLCAST_EMAIL": mail}) as server:
        done = bellcast("doctor", "--quick", "--json", "--url", server.url, BELLCAST_SECRET=server.secret)
        queue = next(one for one in done.json["findings"] if one["check"] == "queue")
        assert (queue["state"], "bellcast worker" in queue["fix"]) == ("warning", True)
        # The server's environment has the URL, that of this shell does not.
        found = [one for one in done.json["findings"] if one["check"] == "mail server"]
        assert ["Connection refused" in one["what"] for one in found] == [True]
        done = bellcast("doctor", "--quick", "--json", "--url", server.url, BELLCAST_SECRET=SECRET)
        assert "secret" in next(one["what"] for one in done.json["findings"] if one["check"] == "live path")


def test_broker_is_checked_as_the_project_of_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Permissions of NATS are for its channels."""
    checked: list[str] = []
    monkeypatch.setattr(adapters, "transport", lambda _, project: checked.append(project.id))
    environ = {"BELLCAST_DATA": str(tmp_path), "BELLCAST_BROKER": "nats://127.0.0.1"}
    for expected in ("doctor", "770077"):
        assert list(checks.check_databases(load({}, environ), 1)) == []
        assert checked.pop() == expected
        project = {"id": "770077", "key": "public-key", "secret": "s" * 64}
        (tmp_path / "project.json").write_text(json.dumps(project))
