"""A soak: steady sends, announcements, e-mails, workflows and webhooks, while servers are killed at random.

`python -m tests.faults.soak postgres --minutes 20` prints its figures, and fails if an acknowledged notification is lost, doubled or
shown twice. `sqlite` is one server, `postgres` are three nodes with a Redis that is killed too."""

import argparse
import asyncio
import contextlib
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from tests import engines
from tests.engines import RedisServer
from tests.faults.devices_under_load import World
from tests.faults.nodes import cluster
from tests.servers import ServerProcess
from tests.smtp_server import Mailbox, smtp_server
from tests.vendor_server import VendorServer, vendor_server

RECIPIENTS = 25
SECONDS_BETWEEN_KILLS = (15.0, 40.0)
SECONDS_DOWN = (0.0, 4.0)
PAUSE = 0.5  # seconds between two e-mails, and two triggers
SECONDS_TO_SETTLE = 600
STEPS = [
    {"key": "pause", "type": "delay", "for": "2s"},
    {"key": "bell", "type": "inbox", "title": "{{ data.title }}"},
]


class Soak:
    """The load beside that of the world, each request with a key and repeated until a node accepts it."""

    def __init__(
        self, nodes: list[ServerProcess], redis: RedisServer | None, mailbox: Mailbox, hooks: VendorServer
    ) -> None:
        self.nodes = nodes
        self.world = World(nodes, "acme", RECIPIENTS)
        self.kills = Counter[str]()
        self._victims: dict[str, ServerProcess | RedisServer] = {f"node {at}": node for at, node in enumerate(nodes)}
        self._victims |= {} if redis is None else {"redis": redis}
        self._mailbox = mailbox
        self._hooks = hooks
        self._over = asyncio.Event()
        self._mails: set[str] = set()
        self._latencies: list[float] = []
        self._memory: list[list[int]] = []
        self._http = httpx.AsyncClient(timeout=60)

    async def run(self, seconds: float) -> dict[str, Any]:
        """Load the nodes for this long, wait until all has arrived, and return the figures."""
        await self._set_up()
        async with self.world.running():
            started = time.monotonic()
            others = [
                asyncio.ensure_future(one) for one in (self._mail(), self._trigger(), self._kill(), self._measure())
            ]
            await asyncio.sleep(seconds)
            self._over.set()
            await asyncio.gather(*others)
            elapsed = time.monotonic() - started
            settled = await self.world.settle()
            await self._arrive()
            settled += await self.world.settle()
            await self.world.check()
        mails, ids = self._received_mails(), Counter(one["Message-ID"] for one in self._mailbox.received)
        hooks = self._received_hooks()
        latencies = sorted(self._latencies)
        return {
            "seconds": round(elapsed),
            "kills": dict(self.kills),
            "acknowledged": sum(one.total() for one in self.world.acknowledged.values()),
            "refused_and_repeated": dict(self.world.refused),
            # `check` raises otherwise
            "lost": 0,
            "shown_twice": 0,
            "seconds_to_settle": round(settled, 1),
            "mails": len(mails),
            "mails_sent_again": sum(ids.values()) - len(ids),
            "mails_lost": len(self._mails - mails.keys()),
            "webhooks": len(hooks),
            "webhooks_lost": self._expected_hooks() - len(hooks),
            "webhooks_sent_again": hooks.total() - len(hooks),
            "send_ms_p50_p99": [round(1000 * latencies[int(len(latencies) * part)]) for part in (0.5, 0.99)],
            "memory_mb_first_middle_last": [self._memory[i] for i in (0, len(self._memory) // 2, -1)],
        }

    async def _set_up(self) -> None:
        for recipient in self.world.recipients:
            await self._accepted("PUT", f"/v1/recipients/{recipient}", {"email": f"{recipient}@example.com"})
        await self._accepted("PUT", "/v1/workflows/later", {"steps": STEPS})
        hook = {"url": f"http://{self._hooks.host}/", "events": ["notification.created"]}
        await self._accepted("POST", "/v1/webhooks", hook)

    async def _accepted(self, method: str, path: str, body: dict[str, Any], key: str | None = None) -> None:
        """Repeat a request at random nodes until one accepts it."""
        while True:
            node = random.choice(self.nodes)
            headers = node.as_app() | ({} if key is None else {"idempotency-key": key})
            started = time.monotonic()
            with contextlib.suppress(httpx.HTTPError):
                url = f"{node.url}{path}?tenant={self.world.tenant}"
                response = await self._http.request(method, url, json=body, headers=headers)
                if response.is_success:
                    self._latencies.append(time.monotonic() - started)
                    return
                assert response.status_code in (429, 500, 502, 503), response.text
            await asyncio.sleep(0.1)

    async def _mail(self) -> None:
        while not self._over.is_set():
            title = f"mail {len(self._mails)}"
            self._mails.add(title)
            body = {"to": random.choice(self.world.recipients), "title": title, "channels": ["email"]}
            await self._accepted("POST", "/v1/notifications", body, title)
            await asyncio.sleep(PAUSE)

    async def _trigger(self) -> None:
        number = 0
        while not self._over.is_set():
            number += 1
            title, recipient = f"run {number}", random.choice(self.world.recipients)
            await self._accepted(
                "POST", "/v1/workflows/later/trigger", {"to": recipient, "data": {"title": title}}, title
            )
            self.world.acknowledged[recipient][title] += 1
            await asyncio.sleep(PAUSE)

    async def _kill(self) -> None:
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), random.uniform(*SECONDS_BETWEEN_KILLS))
                return
            name = random.choice([*self._victims])
            victim = self._victims[name]
            await asyncio.to_thread(victim.kill)
            self.kills[name] += 1
            await asyncio.sleep(random.uniform(*SECONDS_DOWN))
            await asyncio.to_thread(victim.start)

    async def _measure(self) -> None:
        while not self._over.is_set():
            sizes = [_megabytes(node.process.pid) for node in self.nodes if node.process is not None]
            self._memory.append(sizes)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), 10)

    def _received_mails(self) -> Counter[str]:
        return Counter(str(one["Subject"]) for one in self._mailbox.received)

    def _received_hooks(self) -> Counter[str]:
        return Counter(one.headers["webhook-id"] for one in self._hooks.requests)

    def _expected_hooks(self) -> int:
        """Return the number of acknowledged sends: an announcement is one event."""
        return len({title for titles in self.world.acknowledged.values() for title in titles})

    async def _arrive(self) -> None:
        """Wait for the e-mails, the runs and the webhooks."""
        deadline = time.monotonic() + SECONDS_TO_SETTLE
        while time.monotonic() < deadline:
            inboxes = [await self.world._titles(name) for name in self.world.recipients]
            created = sum(one.total() for one in inboxes)
            expected = sum(one.total() for one in self.world.acknowledged.values())
            mails_left, hooks_left = (
                self._mails - self._received_mails().keys(),
                self._expected_hooks() - len(self._received_hooks()),
            )
            if created >= expected and not mails_left and hooks_left <= 0:
                return
            await asyncio.sleep(2)


def _megabytes(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * 4096 // 1_000_000
    except OSError:  # it was just killed
        return 0


@contextlib.contextmanager
def nodes_of(
    engine: str, folder: Path, environ: dict[str, str]
) -> Iterator[tuple[list[ServerProcess], RedisServer | None]]:
    if engine == "sqlite":
        with ServerProcess(folder / "node", environ) as node:
            yield [node], None
        return
    redis = engines.redis()
    with cluster(folder, redis.url, engines.postgres(), "soak") as nodes:
        nodes.environ |= environ
        yield [nodes.start() for _ in range(3)], redis


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine", choices=("sqlite", "postgres"))
    parser.add_argument("--minutes", type=float, default=20)
    options = parser.parse_args()
    async with smtp_server() as mailbox, vendor_server() as hooks:
        environ = {
            "BELLCAST_EMAIL": f"smtp://127.0.0.1:{mailbox.port}?from=bells@example.com",
            "BELLCAST_HTTP_ALLOW": "127.0.0.1",
            "BELLCAST_RETRIES": "0.5s,1s,2s,5s,5s,5s,5s,5s",
        }
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as started:
            # In threads: starting a cluster runs a loop of its own
            nodes, redis = await asyncio.to_thread(
                started.enter_context, nodes_of(options.engine, Path(folder), environ)
            )
            figures = await Soak(nodes, redis, mailbox, hooks).run(options.minutes * 60)
            await asyncio.to_thread(started.close)
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
