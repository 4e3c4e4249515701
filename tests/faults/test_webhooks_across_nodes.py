"""Webhooks of clients that come and go on one node while another does the jobs: each happening is told once."""

import json
import time
from collections.abc import Iterator

import pytest

from tests import engines
from tests.faults.nodes import cluster
from tests.faults.raw import eventually
from tests.faults.test_nodes_together import known
from tests.servers import ServerProcess
from tests.wire.pusher_clients import bare
from tests.wire.test_pusher_webhooks import ATTEMPTS, ENDS_AFTER_SECONDS, Receiver

Nodes = tuple[ServerProcess, ServerProcess]
MEMBER = '{"user_id":"u"}'


@pytest.fixture(scope="module")
def app() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory, app: Receiver) -> Iterator[Nodes]:
    """One that leaves the jobs to the other, and the other."""
    environ = {"BELLCAST_PUSHER_WEBHOOK_URL": app.url, "BELLCAST_PUSHER_SUBSCRIPTION_COUNT": "off"}
    folder = tmp_path_factory.mktemp("webhooks")
    with cluster(folder, engines.redis().url, engines.postgres(), "webhooks") as both:
        here, there = both.start("--no-jobs", **environ), both.start(**environ)
        assert eventually(lambda: (known(here), known(there)) == (2, 2))
        yield here, there


class Told:
    """What the app is told of one channel."""

    def __init__(self, app: Receiver, channel: str) -> None:
        self._app, self._channel = app, channel
        self._names: list[str] = []

    def until(self, name: str) -> None:
        """Wait for that happening, the next of its name."""
        while name not in self._names:
            self._names += self._read()
        self._names.remove(name)

    def within(self, seconds: float) -> list[str]:
        """Whatever is told within that time."""
        time.sleep(seconds)
        while not self._app.requests.empty():
            self._names += self._read()
        names, self._names = self._names, []
        return names

    def _read(self) -> list[str]:
        events = json.loads(self._app.next()[1])["events"]
        return [one["name"] for one in events if one["channel"] == self._channel]


def test_a_channel_that_is_occupied_again_is_told_whichever_node_told_its_end(nodes: Nodes, app: Receiver) -> None:
    here, _ = nodes
    told = Told(app, "presence-again")
    for _ in range(2):
        with bare(here) as client:
            client.subscribe("presence-again", MEMBER)
            told.until("member_added")
        told.until("member_removed")
        told.until("channel_vacated")


def test_who_comes_back_to_another_node_was_never_gone(nodes: Nodes, app: Receiver) -> None:
    here, there = nodes
    for number in range(ATTEMPTS):
        channel = f"private-hop{number}"
        told = Told(app, channel)
        with bare(here) as client:
            client.subscribe(channel)
            told.until("channel_occupied")
            left_at = time.monotonic()
        time.sleep(0.5)  # the end is saved meanwhile
        with bare(there) as client:
            client.subscribe(channel)
            was_quick = time.monotonic() - left_at < ENDS_AFTER_SECONDS / 2
            if was_quick:
                assert told.within(4) == []
        told.until("channel_vacated")
        if was_quick:
            return
    pytest.fail("no client came back in time")
