"""Action buttons, snoozing and filters over REST."""

import asyncio
from datetime import datetime, timedelta

import pytest

from bellcast.calls import Handlers, Refused
from bellcast.kernel import times
from bellcast.kernel.events import LiveEvent
from tests.journey import rest as rests
from tests.journey.rest import fields, refused
from tests.journey.test_email import app as channels_app
from tests.journey.test_rest_inbox import badge, ids, titles

BUTTONS = [
    {"key": "yes", "label": "Accept", "call": "answer", "style": "primary"},
    {"key": "no", "label": "Decline", "url": "/no"},
]


async def test_buttons_and_format_are_sent_and_edited(rest):
    await rest.send("alice", "one", actions=BUTTONS, body_format="markdown")
    alice = rest.recipient("alice")
    (row,) = (await alice.get("/v1/inbox")).json()["notifications"]
    assert [one["key"] for one in row["actions"]] == ["yes", "no"]
    assert row["actions"][1] == {"key": "no", "label": "Decline", "url": "/no", "call": None, "style": "default"}
    assert (row["body_format"], row["acted"], row["snoozed_until"]) == ("markdown", None, None)
    edited = await rest.app.patch(f"/v1/notifications/{row['id']}", json={"actions": [], "body_format": "plain"})
    assert (edited.json()["actions"], edited.json()["body_format"]) == ([], "plain")


async def test_invalid_buttons_are_refused_by_field(rest):
    bad = [{"key": "a b", "label": " "}, {"key": "c", "label": "C", "url": "javascript:x"}]
    response = await rest.app.post("/v1/notifications", json={"to": "alice", "title": "x", "actions": bad})
    assert fields(response).keys() == {"actions.0.key", "actions.0.label", "actions.0", "actions.1.url"}
    six = [{"key": str(n), "label": "x", "url": "/"} for n in range(6)]
    response = await rest.app.post("/v1/notifications", json={"to": "alice", "title": "x", "actions": six})
    assert fields(response).keys() == {"actions"}


async def test_action_with_a_link_is_taken_once(rest):
    await rest.send("alice", "one", actions=BUTTONS)
    alice = rest.recipient("alice")
    id = (await ids(alice))["one"]
    for _ in range(2):
        response = await alice.post(f"/v1/inbox/{id}/actions/no")
        assert response.status_code == 200
        assert response.json()["acted"]["key"] == "no"
        assert response.json()["read_at"] is not None
    assert await badge(alice) == (0, 0)
    assert refused(await alice.post(f"/v1/inbox/{id}/actions/yes"), 409, "conflict")
    assert refused(await alice.post(f"/v1/inbox/{id}/actions/maybe"), 404, "not_found")
    assert refused(await rest.recipient("bob").post(f"/v1/inbox/{id}/actions/no"), 404, "not_found")


async def test_action_without_its_handler_records_nothing(rest):
    await rest.send("alice", "one", actions=BUTTONS)
    alice = rest.recipient("alice")
    id = (await ids(alice))["one"]
    assert refused(await alice.post(f"/v1/inbox/{id}/actions/yes"), 404, "no_handler")
    assert (await alice.get(f"/v1/inbox/{id}")).json()["acted"] is None


class Answers:
    """Handlers that record their calls; the handler of `answer` fails the requested number of times."""

    def __init__(self):
        self.handlers = Handlers()
        self.calls = []
        self.error = None
        self.handlers.on("answer")(self.answer)

    async def answer(self, call):
        self.calls.append((call.recipient, call.tenant, call.dialect, call.data))
        await call.emit("answered", {"ok": True})
        if self.error is not None:
            raise self.error


@pytest.fixture
def answers():
    return Answers()


@pytest.fixture
async def answering(tmp_path, answers):
    """The API with the handlers of `answers`."""
    async with rests.opened(tmp_path, handlers=answers.handlers) as opened:
        yield opened


async def test_action_calls_its_handler_once(answering, answers):
    id = await answering.send("alice", "one", actions=BUTTONS, tenant="acme")
    alice = answering.recipient("alice", tenant="acme")
    responses = await asyncio.gather(*(alice.post(f"/v1/inbox/{id}/actions/yes") for _ in range(4)))
    assert [response.status_code for response in responses] == [200] * 4
    ((recipient, tenant, dialect, data),) = answers.calls
    assert (recipient, tenant, dialect, data["action"]) == ("alice", "acme", "rest", "yes")
    assert data["notification"] == responses[0].json()
    emitted = [event for event in answering.published if isinstance(event, LiveEvent)]
    assert [(event.name, event.recipient, event.tenant) for event in emitted] == [("answered", "alice", "acme")]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [(Refused("The booking is gone."), 403, "forbidden"), (RuntimeError("bug"), 502, "handler_failed")],
    ids=["refused", "failed"],
)
async def test_action_stays_recorded_when_its_handler_fails(answering, answers, error, status, code):
    id = await answering.send("alice", "one", actions=BUTTONS)
    alice = answering.recipient("alice")
    answers.error = error
    assert refused(await alice.post(f"/v1/inbox/{id}/actions/yes"), status, code)
    assert (await alice.get(f"/v1/inbox/{id}")).json()["acted"]["key"] == "yes"
    assert (await alice.post(f"/v1/inbox/{id}/actions/yes")).status_code == 200
    assert len(answers.calls) == 1


async def test_timeline_names_the_action_and_the_snooze(rest):
    id = await rest.send("alice", "one", actions=BUTTONS)
    alice = rest.recipient("alice")
    until = rest.clock.now() + 60_000
    await alice.post("/v1/inbox/snooze", json={"ids": [id], "for": 60})
    await alice.post(f"/v1/inbox/{id}/actions/no")
    timeline = (await rest.app.get(f"/v1/notifications/{id}")).json()["timeline"]
    entries = [(one["what"], one["detail"], one["channel"]) for one in timeline]
    assert ("acted", "no", "inbox") in entries
    end = times.to_rfc3339(until).isoformat(timespec="seconds").replace("+00:00", "Z")
    assert ("snoozed", f"until {end}", "inbox") in entries
    assert "archived" not in [what for what, _, _ in entries]


async def test_timeline_names_a_snooze_that_has_ended(rest):
    id = await rest.send("alice", "one")
    alice = rest.recipient("alice")
    await alice.post("/v1/inbox/snooze", json={"ids": [id], "until": "back"})
    await alice.post("/v1/inbox/back")
    shown = (await rest.app.get(f"/v1/notifications/{id}")).json()
    assert shown["snoozed_until"] is None
    assert [one["what"] for one in shown["timeline"]] == ["created", "snoozed"]


async def test_template_has_buttons_and_a_format(tmp_path):
    part = {
        "title": "Booking",
        "body": "by **{{ data.client }}**",
        "body_format": "markdown",
        "actions": [{"key": "open", "label": "Open {{ data.number }}", "url": "{{ data.url }}"}],
    }
    async with channels_app(tmp_path) as (_, client):
        assert (await client.put("/v1/templates/booking", json={"inbox": part})).status_code == 201
        data = {"client": "Ann", "number": 7, "url": "/b/7"}
        draft = {"to": "alice", "template": "booking", "data": data}
        (sent,) = (await client.post("/v1/notifications", json=draft)).json()["notifications"]
        row = (await client.get(f"/v1/notifications/{sent['id']}")).json()
        assert (row["body"], row["body_format"]) == ("by **Ann**", "markdown")
        assert [(one["label"], one["url"]) for one in row["actions"]] == [("Open 7", "/b/7")]
        (sent,) = (await client.post("/v1/notifications", json={**draft, "body": "*"})).json()["notifications"]
        row = (await client.get(f"/v1/notifications/{sent['id']}")).json()
        assert (row["body"], row["body_format"]) == ("*", "plain")
        hostile = {**draft, "data": {**data, "url": "javascript:alert(1)"}}
        assert fields(await client.post("/v1/notifications", json=hostile)).keys() == {"template.0.url"}
        bad = {"title": "x", "actions": [{"key": "a b", "label": "{{", "url": "/"}]}
        refusal = await client.put("/v1/templates/bad", json={"inbox": bad})
        assert fields(refusal).keys() == {"inbox.actions.0.key", "inbox.actions.0.label"}


async def test_snoozed_notifications_leave_the_counts(rest):
    await rest.send("alice", "one")
    alice = rest.recipient("alice")
    id = (await ids(alice))["one"]
    response = await alice.post("/v1/inbox/snooze", json={"ids": [id], "for": "3h"})
    assert response.json() == {"changed": 1, "unread": 0, "unseen": 0}
    assert await titles(alice) == []
    assert await titles(alice, view="snoozed") == ["one"]
    for body in (
        {"ids": [id]},
        {"ids": [id], "until": "2001-01-01T00:00:00Z"},
        {"ids": [id], "for": "400d"},
        {"ids": [id], "until": "later"},
    ):
        assert (await alice.post("/v1/inbox/snooze", json=body)).status_code == 422


async def test_snooze_until_back_ends_on_every_device(rest):
    await rest.send("alice", "one")
    await rest.send("alice", "two")
    laptop, phone = rest.recipient("alice"), rest.recipient("alice")
    named = await ids(laptop)
    assert (await laptop.get("/v1/inbox")).json()["awaits_return"] is False
    snooze = {"ids": [named["one"]], "until": "back"}
    assert (await laptop.post("/v1/inbox/snooze?dry_run=true", json=snooze)).json()["changed"] == 1
    assert (await laptop.get("/v1/inbox")).json()["awaits_return"] is False
    assert (await laptop.post("/v1/inbox/snooze", json=snooze)).json() == {"changed": 1, "unread": 1, "unseen": 1}
    (row,) = (await phone.get("/v1/inbox", params={"view": "snoozed"})).json()["notifications"]
    assert datetime.fromisoformat(row["snoozed_until"]) == times.to_rfc3339(rest.clock.now()) + timedelta(days=30)
    assert row["awaits_return"] is True
    assert "awaits_return" not in (await phone.get("/v1/inbox")).json()["notifications"][0]
    assert (await phone.get("/v1/inbox")).json()["awaits_return"] is True
    assert (await rest.recipient("bob").post("/v1/inbox/back")).json() == {"changed": 0, "unread": 0, "unseen": 0}
    rest.clock.advance(1)
    assert (await phone.post("/v1/inbox/back")).json() == {"changed": 1, "unread": 2, "unseen": 2}
    assert await titles(laptop) == ["one", "two"]
    assert (await phone.post("/v1/inbox/back")).json()["changed"] == 0
    assert refused(await rest.app.post("/v1/inbox/back"), 403, "forbidden")


async def test_more_rows_than_one_step_return(rest, monkeypatch):
    monkeypatch.setattr("bellcast.inbox.inboxes.WAKE_BATCH_ROWS", 1)
    for title in ("one", "two", "three"):
        await rest.send("alice", title)
    alice = rest.recipient("alice")
    await alice.post("/v1/inbox/snooze", json={"ids": list((await ids(alice)).values()), "until": "back"})
    assert (await alice.post("/v1/inbox/back")).json() == {"changed": 3, "unread": 3, "unseen": 3}


async def test_filters_may_be_repeated(rest):
    await rest.send("alice", "one", type="a", tags=["x"], priority="high")
    await rest.send("alice", "two", type="b")
    await rest.send("alice", "three", type="c", tags=["x"])
    alice = rest.recipient("alice")
    assert await titles(alice, type=["a", "b"]) == ["two", "one"]
    assert await titles(alice, type=["a", "b"], priority="high") == ["one"]
    counts = (await alice.get("/v1/inbox/counts", params={"tag": "x"})).json()
    assert (counts["unread"], counts["by_type"]) == (2, {"a": 1, "c": 1})


async def test_all_read_can_be_archived(rest):
    await rest.send("alice", "one", tags=["x"])
    await rest.send("alice", "two")
    alice = rest.recipient("alice")
    await alice.post("/v1/inbox/read", json={"all": True, "of": {"tag": "x"}})
    await alice.post("/v1/inbox/archive", json={"all": True, "of": {"view": "read"}})
    assert await titles(alice) == ["two"]
    assert (await alice.post("/v1/inbox/archive", json={"all": True, "of": {}})).status_code == 422
