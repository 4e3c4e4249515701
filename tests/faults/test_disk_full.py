"""A full disk leads to clear refusals without partial writes, and the server recovers when there is room again."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults.raw_sockets import eventually, unharmed
from tests.journey.shell import bellcast
from tests.servers import ServerProcess
from tests.wire.clients import stream, websocket

DRAFT = {"to": "alice", "title": "Hello", "body": "x" * 5_000}
ENOUGH = 2_000  # notifications that exceed the disk, even if the store has reserved space


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of four megabytes."""
    with small_disk(tmp_path / "disk", "4m") as mounted:
        yield mounted


@contextmanager
def small_disk(mounted: Path, size: str) -> Iterator[Path]:
    """Mount a disk of this size during the block."""
    mounted.mkdir()
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    subprocess.run([*as_root, "mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(mounted)], check=True)
    try:
        yield mounted
    finally:
        subprocess.run([*as_root, "umount", "--lazy", str(mounted)], check=True)


class Shop:
    """An app on a server with a disk that fills up, and the connected recipient Alice."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.app = httpx.Client(base_url=server.url, headers=server.as_app())
        self.alice = httpx.Client(base_url=server.url, headers=server.as_recipient("alice"))
        self.acknowledged: list[str] = []

    def __enter__(self) -> "Shop":
        return self

    def __exit__(self, *_: object) -> None:
        self.app.close()
        self.alice.close()

    def send(self) -> httpx.Response:
        """Send a notification, and record its id if it was acknowledged."""
        response = self.app.post("/v1/notifications", json=DRAFT)
        if response.status_code == 201:
            self.acknowledged.append(response.json()["notifications"][0]["id"])
        return response

    def send_until_refused(self) -> httpx.Response:
        for _ in range(ENOUGH):
            if (response := self.send()).status_code != 201:
                return response
        raise AssertionError("the disk never filled up")

    def use_remaining_room(self) -> None:
        """Write recipients, which take fewer pages than any send, until one is refused."""
        for number in range(ENOUGH):
            if self.app.put(f"/v1/recipients/{number}", json={}).status_code != 201:
                return
        raise AssertionError("the disk never filled up")

    def inbox(self) -> dict[str, Any]:
        """Fetch the whole inbox of Alice."""
        whole = page = self.alice.get("/v1/inbox", params={"limit": 100}).json()
        while page["next"] is not None:
            page = self.alice.get("/v1/inbox", params={"limit": 100, "before": page["next"]}).json()
            whole["notifications"] += page["notifications"]
        return whole

    def check_consistent(self) -> None:
        """Check that the inbox holds exactly the acknowledged notifications, with matching counters."""
        inbox = self.inbox()
        assert [notification["id"] for notification in inbox["notifications"]] == self.acknowledged[::-1]
        assert inbox["unread"] == sum(notification["read_at"] is None for notification in inbox["notifications"])

    def check_every_change_is_refused(self, status: int, code: str) -> None:
        """Check that every write is refused with this status and code, and leaves nothing behind."""
        newest = self.acknowledged[-1]
        refused = [
            self.app.post("/v1/notifications", json={**DRAFT, "to": ["alice", "bob"]}),
            self.app.post("/v1/notifications", json={**DRAFT, "to": {"all": True}}),
            self.app.patch(f"/v1/notifications/{newest}", json={"body": "y" * 9_000}),
        ]
        assert [(response.status_code, response.json().get("code")) for response in refused] == [(status, code)] * 3
        assert all(response.headers["content-type"] == "application/problem+json" for response in refused)
        bulk = self.app.post("/v1/notifications/bulk", json=[DRAFT] * 40)
        assert {notification["error"]["code"] for notification in bulk.json()["results"]} == {code}
        assert self.app.get(f"/v1/notifications/{newest}").json()["body"] == DRAFT["body"]
        assert self.app.get("/v1/recipients/bob").status_code == 404
        self.check_consistent()


def served_from(disk: Path) -> ServerProcess:
    """Return a server with its data and its log on that disk, so that both are affected."""
    return ServerProcess(disk / "data")


def fill(disk: Path) -> Path:
    """Fill the disk with a file, and return the file."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (65_536, 4_096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                pass
    return ballast


def test_full_disk_refuses_writes_and_recovers_when_there_is_room(disk: Path) -> None:
    with served_from(disk) as server, Shop(server) as shop:
        shop.send()
        with websocket(server, "alice") as bell, stream(server, "alice") as page:
            bell.next(), page.next()
            ballast = fill(disk)
            refusal = shop.send_until_refused()
            assert (refusal.status_code, refusal.json()["code"]) == (507, "disk_full")
            shop.check_every_change_is_refused(507, "disk_full")
            assert eventually(
                lambda: shop.app.get("/readyz").status_code == 503
            )  # a check takes a page while there is one
            assert "bellcast_store_up 0.0" in shop.app.get("/metrics").text
            received = [bell.next()["notification"]["id"] for _ in shop.acknowledged[1:]]
            assert (
                received == [page.next()["notification"]["id"] for _ in shop.acknowledged[1:]] == shop.acknowledged[1:]
            )
            assert bell.ask("read", ids=shop.acknowledged[:1])["code"] == "disk_full"
            with stream(server, "newcomer") as refused_stream:
                assert refused_stream.next()["reconnect"] is True
            ballast.unlink()
            assert shop.app.get("/readyz").status_code == 200
            assert shop.send().status_code == 201
            assert bell.until("notification")["notification"]["id"] == shop.acknowledged[-1]
            assert page.until("notification")["notification"]["id"] == shop.acknowledged[-1]
        shop.check_consistent()
        assert unharmed(server)
        server.restart()
        shop.check_consistent()
        fill(disk)
        shop.send_until_refused()
        shop.use_remaining_room()
        assert server.stop() == 0
        assert "Traceback" not in server.log.read_text()


def test_server_does_not_start_on_a_full_disk_and_reports_the_reason(disk: Path) -> None:
    fill(disk)
    data = disk / "data"
    failed = subprocess.run(
        [sys.executable, "-m", "bellcast", "serve", "--port", "0", "--data", str(data)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert failed.returncode != 0
    assert "Traceback" not in failed.stderr
    assert "No space left on device" in failed.stderr


def test_file_size_limit_refuses_writes_and_recovers(start_server: Callable[..., ServerProcess]) -> None:
    """Like a quota: the disk has room, but not for this process."""
    with Shop(start_server()) as shop:
        shop.send()
        assert shop.server.process is not None
        pid = shop.server.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (256 * 1024, resource.RLIM_INFINITY))
        refusal = shop.send_until_refused()
        assert (refusal.status_code, refusal.json()["code"]) == (503, "unavailable")
        assert int(refusal.headers["retry-after"]) >= 1
        shop.use_remaining_room()
        shop.check_every_change_is_refused(503, "unavailable")
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
        assert shop.send().status_code == 201
        shop.check_consistent()
        assert unharmed(shop.server)


def test_start_on_a_full_disk_says_that_it_is_full(tmp_path: Path) -> None:
    data = tmp_path / "disk" / "data"
    with small_disk(tmp_path / "disk", "4m") as disk:
        bellcast("migrate", "--data", data)
        fill(disk)
        started = bellcast("serve", "--data", data, "--port", "0", BELLCAST_PROJECT="7:key:secret")
    assert started.status == 1
    assert "is full: no change is possible. Free space and retry." in started.err
    assert "restore" not in started.err
