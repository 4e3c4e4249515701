"""Announcements to channels other than the inbox, on every store."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from bellcast.channels import audiences
from bellcast.channels.audiences import SMALL_COMMIT_PAGE
from bellcast.channels.types import RecordedAction
from bellcast.inbox import sending
from bellcast.inbox.types import Audience, ChannelRequest, Draft
from bellcast.inbox.types.sends import SendRequest
from bellcast.kernel.concurrency import CONTENTION_SENDS
from bellcast.kernel.errors import Invalid
from bellcast.kernel.limits import Limits
from bellcast.webhooks.types import EventReport, WebhookEvent, WebhookSink
from tests.clock import FakeClock
from tests.contract.app import App
from tests.store import Store
from tests.workflows import WorkflowWorld

ROOM = Audience(topic="room")


@pytest.fixture
async def world(store: Store, clock: FakeClock) -> WorkflowWorld:
    return WorkflowWorld(store, clock)


async def join(world: WorkflowWorld, number: int) -> list[str]:
    keys = [f"r{at:03}" for at in range(number)]
    for key in keys:
        await world.recipient(key, email=f"{key}@example.com")
        await world.store.subscriptions.subscribe("", "room", key, world.clock.now())
    return keys


async def announce(world: WorkflowWorld, to: Audience = ROOM, **fields: Any) -> str:
    draft = Draft(**{"to": to, "title": "Hello", "channels": ["inbox", "email"], **fields})
    response = msgspec.json.decode(await sending.send(world.engines, Limits(), draft))
    id: str = response["announcement"]["id"]
    return id


async def test_each_recipient_gets_one_message_and_the_announcement(world: WorkflowWorld, app: App) -> None:
    keys = await join(world, 260)
    id = await announce(world)
    await world.store.subscriptions.subscribe("", "room", "later", world.clock.now() + 1)
    fanout = await world.store.fanouts.get(id)
    assert fanout is not None
    assert fanout.state == "running"
    assert await world.store.fanouts.states([id, "without"]) == {id: "running"}
    await world.settle()
    messages = await world.messages(notification=id)
    assert sorted(message.recipient for message in messages) == keys
    assert {message.state for message in messages} == {"simulated"}
    fanout = await world.store.fanouts.get(id)
    assert fanout is not None
    assert fanout.state == "done"
    await app.materialize("", ["r000"], app.now)
    assert await app.titles("r000") == ["Hello"]


@pytest.mark.parametrize("has_contention", [False, True])
async def test_pages_are_small_while_single_sends_arrive(
    world: WorkflowWorld, monkeypatch: pytest.MonkeyPatch, has_contention: bool
) -> None:
    keys, add_page, sizes = await join(world, 20), world.store.sends.add_page, list[int]()

    async def measured(request: SendRequest, *position: str) -> bool:
        sizes.append(len(request.messages))
        return await add_page(request, *position)

    monkeypatch.setattr(type(world.store.sends), "add_page", staticmethod(measured))
    await announce(world)
    if not has_contention:
        monkeypatch.setattr("bellcast.kernel.concurrency.CONTENTION_WINDOW_SECONDS", -1)
    for _ in range(CONTENTION_SENDS):
        world.pace.contention.record()
    await world.settle()
    assert sizes == ([SMALL_COMMIT_PAGE, len(keys) - SMALL_COMMIT_PAGE] if has_contention else [len(keys)])


async def test_process_that_dies_at_a_page_repeats_no_message(
    world: WorkflowWorld, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The response to the first page's commit is lost while the second page is prepared."""
    monkeypatch.setattr(audiences, "COMMIT_PAGE", 2)
    keys, add_page, pages = await join(world, 5), world.store.sends.add_page, list[str]()

    async def lose_the_response(request: SendRequest, fanout: str, after: str, position: str) -> bool:
        pages.append(position)
        is_added = await add_page(request, fanout, after, position)
        if len(pages) == 1:
            raise KeyboardInterrupt
        return is_added

    monkeypatch.setattr(type(world.store.sends), "add_page", staticmethod(lose_the_response))
    id = await announce(world)
    (job,) = [job for job in await app.lease(app.now, app.now + 1, 10) if job.id == id]
    with pytest.raises(KeyboardInterrupt):
        await world.execute(job)
    await world.execute(job)
    assert sorted(message.recipient for message in await world.messages(notification=id)) == keys
    assert pages == ["r001", "r003", "r004"]


async def test_repeated_page_adds_nothing(world: WorkflowWorld, app: App) -> None:
    """The process dies after the commit of a page. The next lease continues after that page."""
    await join(world, 3)
    id = await announce(world)
    (job,) = [job for job in await app.lease(app.now, app.now + 1, 10) if job.id == id]
    assert await world.execute(job) == [None]
    assert await world.execute(job) == [None]
    assert len(await world.messages(notification=id)) == 3


async def test_message_to_a_recipient_that_is_erased_before_the_commit_of_its_page_is_not_added(
    world: WorkflowWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, add_page, pages = await join(world, 5), world.store.sends.add_page, list[str]()

    async def erase_before_the_first_page(request: SendRequest, *position: str) -> bool:
        pages.append(position[-1])
        if len(pages) == 1:
            assert await world.store.recipients.delete("", keys[2], world.clock.now()) is not None
        return await add_page(request, *position)

    monkeypatch.setattr(type(world.store.sends), "add_page", staticmethod(erase_before_the_first_page))
    id = await announce(world)
    await world.settle()
    assert sorted(message.recipient for message in await world.messages(notification=id)) == [*keys[:2], *keys[3:]]
    assert await world.store.exports.recipient("", keys[2]) is None


async def test_message_to_a_closed_inbox_is_sent_unless_seen(world: WorkflowWorld, app: App) -> None:
    await join(world, 2)
    await announce(world, channels=["inbox", ChannelRequest(channel="email", after="10m", unless="seen")])
    await world.settle()
    await app.materialize("", ["r000"], app.now)
    await app.mark("r000", "seen")
    await world.advance(600)
    assert {m.recipient: m.state for m in await world.messages()} == {"r000": "cancelled", "r001": "simulated"}


async def test_message_is_sent_unless_seen_if_the_inbox_is_switched_off(world: WorkflowWorld) -> None:
    await world.recipient("alice", email="alice@example.com")
    preferences = b'{"channels":{"inbox":false}}'
    await world.store.preferences.put("", "alice", preferences, world.clock.now(), switches_inbox=True)
    mail = ChannelRequest(channel="email", after="10m", unless="seen")
    for channels in (["inbox", mail], [mail, "inbox"]):
        await sending.send(world.engines, Limits(), Draft(to="alice", title="Hello", channels=channels))
    await world.advance(600)
    assert [message.state for message in await world.messages()] == ["simulated"] * 2


async def test_announcement_without_inbox_has_no_row(world: WorkflowWorld, app: App) -> None:
    await join(world, 1)
    id = await announce(world, channels=["email"])
    await world.settle()
    assert await world.store.sent.find("", id) is None
    assert len(await world.messages(notification=id)) == 1


async def test_recall_stops_the_fanout(world: WorkflowWorld) -> None:
    await join(world, 2)
    id = await announce(world)
    await world.store.sent.recall("", id, world.clock.now())
    await world.settle()
    assert await world.messages() == []


@pytest.mark.parametrize("channels", [["inbox", "email"], ["email"]])
async def test_recall_of_an_announcement_is_recorded_once(world: WorkflowWorld, channels: list[str]) -> None:
    """When its fan-out is complete, one record represents all recipients."""
    await join(world, 2)
    id = await announce(world, channels=channels)
    await world.settle()
    recalled_at = world.clock.now()
    assert await world.store.sent.recall("acme", id, recalled_at) is None
    assert await world.store.sent.recall("", id, recalled_at) is not None
    assert await world.store.sent.recall("", id, recalled_at + 1) is None
    for recipient in ("", "r001", None):
        actions = await world.store.messages.actions("", id, recipient, 10)
        assert actions == [RecordedAction(what="recalled", at=recalled_at)]
    assert await world.store.messages.actions("acme", id, None, 10) == []


async def test_recall_by_the_id_of_a_trigger_ends_no_fanout(world: WorkflowWorld) -> None:
    await join(world, 1)
    await world.put("w", {"key": "bell", "type": "inbox", "title": "Hello"})
    trigger = await world.trigger("w", ROOM)
    assert await world.store.sent.recall("", trigger, world.clock.now()) is None
    fanout = await world.store.fanouts.get(trigger)
    assert fanout is not None
    assert fanout.state == "running"


@pytest.mark.parametrize("channels", [["inbox", "email"], ["email"]])
async def test_order_of_commits_decides_who_had_joined(world: WorkflowWorld, app: App, channels: list[str]) -> None:
    """As in the inbox; the clocks of two nodes can differ either way."""
    now = world.clock.now()
    for key in ("early", "late"):
        await world.recipient(key, email=f"{key}@example.com")
    await world.store.subscriptions.subscribe("", "room", "early", now + 5000)
    id = await announce(world, channels=channels)
    for key, at in (("late", now), ("later", now - 5000)):
        await world.recipient(key, email=f"{key}@example.com")
        await world.store.subscriptions.subscribe("", "room", key, at)
    await announce(world, title="Next", channels=channels)
    await world.settle()
    assert [message.recipient for message in await world.messages(notification=id)] == ["early"]
    assert len(await world.messages()) == 4
    titles = {key: [one.title for one in await app.page(key)] for key in ("early", "late")}
    assert titles == (
        {"early": ["Next", "Hello"], "late": ["Next"]} if "inbox" in channels else {"early": [], "late": []}
    )


async def test_template_that_fails_for_one_recipient_fails_for_that_one_only(world: WorkflowWorld) -> None:
    await join(world, 2)
    await world.recipient("r001", email="r001@example.com", data={"plan": "x"})
    template = b'{"email":{"subject":"Hello","text":"{{ recipient.data.plan }}"}}'
    await world.store.documents.put("templates", "", "plan", template, world.clock.now())
    await announce(world, template="plan")
    await world.settle()
    states = {m.recipient: (m.state, m.reason) for m in await world.messages()}
    assert states["r001"][0] == "simulated"
    assert states["r000"][0] == "failed"
    assert "recipient.data.plan" in (states["r000"][1] or "")


class ReportedTypes(WebhookSink):
    """The types of events that a webhook for all would receive."""

    def __init__(self) -> None:
        self.types: list[str] = []

    async def report(self, tenant: str, types: Sequence[str]) -> EventReport:
        def report(type: str, change: dict[str, Any]) -> tuple[WebhookEvent, ...]:
            self.types.append(type)
            return ()

        return report


async def test_message_that_cannot_be_rendered_is_reported_and_does_not_hold_back_those_of_other_channels(
    world: WorkflowWorld,
) -> None:
    world.router.webhooks = webhooks = ReportedTypes()
    await world.recipient("alice", email="alice@example.com", phone="+436601234567")
    template = b'{"email":{"subject":"Hello","text":"{{ recipient.data.plan }}"},"sms":{"text":"Hello"}}'
    await put_template(world, template)
    await announce(world, Audience(all=True), template="plan", channels=["email", "sms"])
    await world.settle()
    assert {m.channel: m.state for m in await world.messages()} == {"email": "failed", "sms": "simulated"}
    assert webhooks.types == ["message.failed", "message.simulated"]
    assert world.reports.ended == {("email", "failed"): 1, ("sms", "simulated"): 1}


async def put_template(world: WorkflowWorld, body: bytes) -> None:
    await world.store.documents.put("templates", "", "plan", body, world.clock.now())


async def test_announcement_without_a_title_has_its_templates(world: WorkflowWorld, app: App) -> None:
    await join(world, 2)
    await put_template(
        world,
        b'{"inbox":{"title":"Plan {{ data.name }}","body":"Soon"},"translations":{"de":{"inbox":{"title":"Plan"}}}}',
    )
    fields = {"title": UNSET, "template": "plan", "channels": None, "data": {"name": "A"}}
    await announce(world, **fields)
    await announce(world, **{**fields, "title": "Own", "to": Audience(all=True, tenant="*")})
    shown = [(one.title, one.body) for one in await app.page("r000")]
    assert shown == [("Own", "Soon"), ("Plan A", "Soon")]
    await world.store.documents.put("types", "", "news", b'{"template":"plan"}', world.clock.now())
    world.router.forget()
    await announce(world, **{**fields, "template": None, "type": "news"})
    assert (await app.page("r001"))[0].title == "Plan A"


@pytest.mark.parametrize(
    ("template", "fields", "field"),
    [
        (None, {}, "title"),
        (None, {"type": "news"}, "title"),
        (None, {"type": "news", "channels": ["email"]}, "title"),
        (None, {"template": "plan"}, "template"),
        (b'{"email":{"subject":"x","text":"x"}}', {"template": "plan"}, "template"),
        (b'{"inbox":{"title":"{{ data.name }}"}}', {"template": "plan"}, "data.name"),
        # All recipients share the row.
        (b'{"inbox":{"title":"{{ recipient.name }}"}}', {"template": "plan"}, "recipient.name"),
    ],
)
async def test_announcement_that_has_no_content_is_refused(
    world: WorkflowWorld, app: App, template: bytes | None, fields: dict[str, Any], field: str
) -> None:
    await join(world, 1)
    if template is not None:
        await put_template(world, template)
    with pytest.raises(Invalid) as refused:
        await announce(world, **{"title": UNSET, "channels": None, **fields})
    assert [error.field for error in refused.value.errors] == [field]
    assert await app.page("r000") == []


async def test_other_channels_for_all_tenants_are_refused(world: WorkflowWorld) -> None:
    with pytest.raises(Invalid):
        await announce(world, Audience(all=True, tenant="*"))
