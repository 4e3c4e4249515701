"""The clients of a mounted app send without HTTP, from its event loop and from threads."""

import asyncio

import pytest

from bellcast.client import BlockingInEventLoop, RequestRefused
from bellcast.client.http_senders import NotStarted
from bellcast.kernel.identities import Project
from bellcast.server.app import create_app
from bellcast.settings.parsers import Secret
from bellcast.settings.table import Settings, StoreSettings


@pytest.fixture
def app(tmp_path):
    return create_app(Settings(store=StoreSettings(data=tmp_path), project=Project("1", "key-1", Secret("a-secret"))))


@pytest.fixture
async def started_app(app):
    await app.start()
    yield app
    await app.stop()


async def test_async_client_sends_within_the_event_loop(started_app):
    sent = await started_app.client.notify("alice", title="Hello")
    page = await started_app.client.inbox(await started_app.client.token("alice")).list()
    assert [row.id for row in page.notifications] == [sent.id]


async def test_blocking_client_sends_from_a_thread(started_app):
    sent = await asyncio.to_thread(started_app.sync_client.notify, "alice", title="Hello")
    assert (await started_app.client.notification(sent.id)).recipient == "alice"
    with pytest.raises(RequestRefused, match="action_url"):
        await asyncio.to_thread(started_app.sync_client.notify, "alice", title="Hello", action_url="javascript:x")


async def test_blocking_client_in_the_event_loop_of_the_app_raises(started_app):
    with pytest.warns(RuntimeWarning, match="to_thread"), pytest.raises(BlockingInEventLoop, match=r"app\.client"):
        started_app.sync_client.notify("alice", title="Hello")


def test_blocking_client_of_an_app_that_is_not_running_raises(app):
    with pytest.raises(NotStarted, match="is not running"):
        app.sync_client.notify("alice", title="Hello")


def test_tokens_can_be_signed_before_the_app_runs(app):
    assert app.sync_client.token("alice").count(".") == 2
