"""Nodes for tests: servers of one project on one PostgreSQL database, with a broker."""

import asyncio
import contextlib
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import httpx

from tests import engines
from tests.servers import ServerProcess


class Cluster:
    """Some nodes, each with its own disposable data folder."""

    def __init__(self, folder: Path, database: str, broker: str) -> None:
        self._folder = folder
        self._numbers = count()  # tests start nodes in threads
        self.environ = {"BELLCAST_STORE": database, "BELLCAST_BROKER": broker}
        self.nodes: list[ServerProcess] = []

    def start(self, *flags: str, **environ: str) -> ServerProcess:
        node = ServerProcess(self._folder / f"node{next(self._numbers)}", self.environ | environ, *flags)
        self.nodes.append(node)
        return node.start()

    def end(self) -> None:
        for node in self.nodes:
            node.kill()


@contextlib.contextmanager
def cluster(folder: Path, broker: str, store: engines.PostgresServer, database: str) -> Iterator[Cluster]:
    """Create a cluster on a fresh database of a PostgreSQL."""
    nodes = Cluster(folder, asyncio.run(store.make(database)), broker)
    try:
        yield nodes
    finally:
        nodes.end()
        with contextlib.suppress(OSError):
            asyncio.run(store.drop(database))


def send(node: ServerProcess, to: Any, title: str, **fields: Any) -> httpx.Response:
    body = {"to": to, "title": title, **fields}
    return httpx.post(f"{node.url}/v1/notifications", json=body, headers=node.as_app(), timeout=30)


def titles(node: ServerProcess, recipient: str) -> list[str]:
    """Fetch the titles of an inbox, newest first."""
    url = f"{node.url}/v1/inbox?limit=100"
    page = httpx.get(url, headers=node.as_recipient(recipient), timeout=30).json()
    return [notification["title"] for notification in page["notifications"]]
