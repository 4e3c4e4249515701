"""Pusher webhooks of clients on one node, sent by another node: each event is reported once."""

import json
import time
from collections.abc import Iterator

import pytest

from tests import engines
from tests.faults.nodes import cluster
from tests.faults.raw_sockets import eventually
from tests.faults.test_nodes_together import known_nodes
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
    """A node without background jobs, and one that runs them."""
    environ = {"BELLCAST_PUSHER_WEBHOOK_URL": app.url, "BELLCAST_PUSHER_SUBSCRIPTION_COUNT": "off"}
    folder = tmp_path_factory.mktemp("webhooks")
    with cluster(folder, engines.redis().url, engines.postgres(), "webhooks") as started_nodes:
        without_jobs, with_jobs = started_nodes.start("--no-jobs", **environ), started_nodes.start(**environ)
        assert eventually(lambda: (known_nodes(without_jobs), known_nodes(with_jobs)) == (2, 2))
        yield without_jobs, with_jobs


class ChannelWebhooks:
    """The webhooks of one channel."""

    def __init__(self, app: Receiver, channel: str) -> None:
        self._app, self._channel = app, channel
        self._names: list[str] = []

    def until(self, name: str) -> None:
        """Wait for the next event of that name."""
        while name not in self._names:
            self._names += self._read()
        self._names.remove(name)

    def names_within(self, seconds: float) -> list[str]:
        """Return the names of the events received within that time."""
        time.sleep(seconds)
        while not self._app.requests.empty():
            self._names += self._read()
        names, self._names = self._names, []
        return names

    def _read(self) -> list[str]:
        events = json.loads(self._app.next()[1])["events"]
        return [one["name"] for one in events if one["channel"] == self._channel]


@pytest.mark.thorough
def test_channel_occupied_again_is_reported_by_any_node(nodes: Nodes, app: Receiver) -> None:
    without_jobs, _ = nodes
    webhooks = ChannelWebhooks(app, "presence-again")
    for _ in range(2):
        with bare(without_jobs) as client:
            client.subscribe("presence-again", MEMBER)
            webhooks.until("member_added")
        webhooks.until("member_removed")
        webhooks.until("channel_vacated")


@pytest.mark.thorough
def test_client_that_moves_to_another_node_is_not_reported(nodes: Nodes, app: Receiver) -> None:
    without_jobs, with_jobs = nodes
    for number in range(ATTEMPTS):
        channel = f"private-hop{number}"
        webhooks = ChannelWebhooks(app, channel)
        with bare(without_jobs) as client:
            client.subscribe(channel)
            webhooks.until("channel_occupied")
            left_at = time.monotonic()
        time.sleep(0.5)  # until the end of the channel's occupancy is saved
        with bare(with_jobs) as client:
            client.subscribe(channel)
            was_quick = time.monotonic() - left_at < ENDS_AFTER_SECONDS / 2
            if was_quick:
                assert webhooks.names_within(4) == []
        webhooks.until("channel_vacated")
        if was_quick:
            return
    pytest.fail("no client came back in time")
