"""Preferences over REST: the time of the last change, and refused entries."""

import json
from typing import Any

import pytest

from bellcast.auth import link_tokens
from bellcast.channels import links
from bellcast.channels.links import Unsubscription
from bellcast.inbox import inboxes
from bellcast.kernel import times
from bellcast.preferences.types import MAX_ENTRIES
from tests.journey.rest import PROJECT, Rest, fields

OWN = "/v1/recipients/alice/preferences"
DEFAULTS = "/v1/preference-defaults"
FORM = {"content-type": "application/x-www-form-urlencoded"}


def after_a_minute(rest: Rest) -> str:
    """Advance the clock; return its time as REST sends it."""
    rest.clock.advance(60)
    return times.to_rfc3339(rest.clock.now()).isoformat().replace("+00:00", "Z")


async def updated_at(rest: Rest, path: str = OWN) -> str | None:
    text: str | None = (await rest.app.get(path)).json()["updated_at"]
    return text


async def test_every_change_sets_the_time(rest: Rest) -> None:
    assert await updated_at(rest) is None
    alice = rest.recipient("alice")
    for caller, method, path in (
        (rest.app, "PUT", OWN),
        (rest.app, "PATCH", OWN),
        (alice, "PUT", "/v1/preferences"),
        (alice, "PATCH", "/v1/preferences"),
    ):
        now = after_a_minute(rest)
        changed = await caller.request(method, path, json={"channels": {"sms": False}})
        assert changed.json()["updated_at"] == now == await updated_at(rest)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/v1/preferences", {"channels": {"sms": False}}),
        ("PATCH", "/v1/preferences", {"channels": {"sms": False}}),
        ("POST", "/v1/push-endpoints", {"kind": "fcm", "token": "cVx3:APA91bH"}),
    ],
)
async def test_own_request_does_not_create_a_recipient_that_was_erased_meanwhile(
    rest: Rest, monkeypatch: pytest.MonkeyPatch, method: str, path: str, body: dict[str, Any]
) -> None:
    alice, enter = rest.recipient("alice"), inboxes.enter

    async def erased(*args: Any) -> Any:
        entered = await enter(*args)
        assert (await rest.app.delete("/v1/recipients/alice")).status_code == 204
        return entered

    monkeypatch.setattr(inboxes, "enter", erased)
    response = await alice.request(method, path, json=body)
    assert (response.status_code, response.json()["code"]) == (401, "unauthenticated")
    assert (await rest.app.get("/v1/recipients/alice")).status_code == 404


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"channels": {"fax": False}}, "channels.fax"),
        ({"types": {"booking": {"email": "no"}}}, "types.booking.email"),
        ({"digest": {"booking": "yearly"}}, "digest.booking"),
    ],
)
async def test_wrong_entry_is_named(rest: Rest, document: dict[str, Any], field: str) -> None:
    assert list(fields(await rest.app.put("/v1/recipients/alice/preferences", json=document))) == [field]
    assert list(fields(await rest.app.put("/v1/preference-defaults", json=document))) == [field]


async def test_error_names_every_invalid_field(rest: Rest) -> None:
    document = {
        "types": {"booking": {"fax": False}, "bill": OFF},
        "quiet_hours": {"start": "22", "end": "07:00"},
        "digest_at": "8",
    }
    assert (await rest.app.put("/v1/types/bill", json={"name": "Bills", "required": True})).status_code == 201
    for method, path in (("PUT", OWN), ("PATCH", OWN), ("PUT", DEFAULTS), ("PATCH", DEFAULTS)):
        refused = await rest.app.request(method, path, json=document)
        assert list(fields(refused)) == ["types.booking.fax", "digest_at", "quiet_hours.start"]


OFF = {"email": False}
OWN_OF_ALICE, DEFAULTS_OF_ACME = "/v1/preferences", f"{DEFAULTS}?tenant=acme"


@pytest.mark.parametrize("path", [OWN, OWN_OF_ALICE, DEFAULTS, DEFAULTS_OF_ACME])
async def test_unknown_workflow_is_named(rest: Rest, path: str) -> None:
    caller = rest.recipient("alice") if path == OWN_OF_ALICE else rest.app
    steps = [{"key": "bell", "type": "inbox", "title": "Hi"}]
    assert (await rest.app.put("/v1/workflows/order", json={"steps": steps})).status_code == 201
    document = {"workflows": {"order": OFF}}
    wrong = {"workflows": {"order": OFF, "odrer": OFF, "orders": None}}
    for method in ("PUT", "PATCH"):
        for query in ("", "&dry_run=true" if "?" in path else "?dry_run=true"):
            refused = await caller.request(method, path + query, json=wrong)
            assert (refused.status_code, list(fields(refused))) == (422, ["workflows.odrer"])
        assert (await caller.request(method, path, json=document)).status_code == 200
    # The preferences for a deleted workflow may stay or be removed, but not added again.
    assert (await rest.app.delete("/v1/workflows/order")).status_code == 204
    stored = (await caller.get(path)).json()
    assert stored["workflows"] == document["workflows"]
    assert (await caller.request("PUT", path, json=stored)).status_code == 200
    assert (await caller.request("PATCH", path, json={"workflows": {"order": {"sms": False}}})).status_code == 200
    assert (await caller.request("PATCH", path, json={"workflows": {"order": None}})).status_code == 200
    assert list(fields(await caller.request("PATCH", path, json=document))) == ["workflows.order"]


@pytest.mark.parametrize("path", [OWN, OWN_OF_ALICE, DEFAULTS, DEFAULTS_OF_ACME])
async def test_switch_stored_before_its_type_was_required_may_stay(rest: Rest, path: str) -> None:
    caller = rest.recipient("alice") if path == OWN_OF_ALICE else rest.app
    document = {"types": {"booking": {"email": False, "sms": "urgent"}}}
    for type in ("booking", "invoice"):
        assert (await rest.app.put(f"/v1/types/{type}", json={})).is_success
    assert (await caller.request("PATCH", path, json=document)).status_code == 200
    for type in ("booking", "invoice"):
        assert (await rest.app.put(f"/v1/types/{type}", json={"required": True})).is_success
    stored = (await caller.get(path)).json()
    assert stored["types"] == document["types"]
    # Everything that is sent back unchanged is accepted.
    for query in ("&dry_run=true" if "?" in path else "?dry_run=true", ""):
        for method, body in (("PUT", stored), ("PATCH", document), ("PATCH", {"channels": {"sms": False}})):
            assert (await caller.request(method, path + query, json=body)).status_code == 200
        # New switches are refused, each by its name.
        for method in ("PUT", "PATCH"):
            body = {"types": {"booking": {"email": False, "sms": False, "push": False}, "invoice": OFF}}
            refused = fields(await caller.request(method, path + query, json=body))
            assert list(refused) == ["types.booking.sms", "types.booking.push", "types.invoice.email"]
    assert (await caller.request("PATCH", path, json={"types": {"booking": {"email": None}}})).status_code == 200
    assert list(fields(await caller.request("PATCH", path, json={"types": {"booking": OFF}}))) == [
        "types.booking.email"
    ]


async def test_workflow_of_a_tenant_is_known_there_only(rest: Rest) -> None:
    steps = [{"key": "bell", "type": "inbox", "title": "Hi"}]
    assert (await rest.app.put("/v1/workflows/own?tenant=acme", json={"steps": steps})).status_code == 201
    document = {"workflows": {"own": OFF}}
    assert (await rest.app.put(f"{OWN}?tenant=acme", json=document)).status_code == 200
    assert list(fields(await rest.app.put(f"{OWN}?tenant=globex", json=document))) == ["workflows.own"]


async def test_error_names_ten_unknown_workflows_at_most(rest: Rest) -> None:
    document = {"workflows": {f"w{number}": OFF for number in range(20)}}
    assert list(fields(await rest.app.put(OWN, json=document))) == [f"workflows.w{number}" for number in range(10)]


async def test_inherited_are_the_defaults_of_tenant_and_project(rest: Rest) -> None:
    project = {"digest": {"news": "daily", "bill": "weekly"}, "quiet_hours": {"start": "22:00", "end": "07:00"}}
    tenant = {"digest": {"news": "hourly"}, "quiet_hours": False}
    both = {"digest": {"news": "hourly", "bill": "weekly"}, "quiet_hours": False}
    await rest.app.put(DEFAULTS, json=project)
    await rest.app.put(DEFAULTS_OF_ACME, json=tenant)
    for path, inherited in ((OWN, project), (f"{OWN}?tenant=acme", both), (DEFAULTS, {}), (DEFAULTS_OF_ACME, project)):
        read = (await rest.app.get(path)).json()
        assert read["inherited"] == inherited
        written = await rest.app.put(path, json=read)  # as it was read
        assert written.json()["inherited"] == inherited


async def test_links_set_the_time(rest: Rest) -> None:
    page = (await rest.app.post("/v1/recipients/alice/preferences-link")).json()["url"]
    token = link_tokens.sign(PROJECT, links.UNSUBSCRIBE_PURPOSE, Unsubscription("", "alice", rest.clock.now(), "news"))
    for path in (page, f"/u/{token}"):
        before, now = await updated_at(rest), after_a_minute(rest)
        assert (await rest.anonymous.get(path)).status_code == 200
        assert await updated_at(rest) == before
        assert (await rest.anonymous.post(path, headers=FORM)).status_code == 200
        assert await updated_at(rest) == now


@pytest.mark.parametrize("path", [OWN, DEFAULTS])
async def test_only_a_write_sets_the_time(rest: Rest, path: str) -> None:
    first = after_a_minute(rest)
    stored = (await rest.app.put(path, json={"digest_at": "09:00"})).json()
    assert stored["updated_at"] == first
    now = after_a_minute(rest)
    planned = await rest.app.patch(f"{path}?dry_run=true", json={"digest_at": "10:00"})
    assert planned.json()["updated_at"] == now
    assert (await rest.app.patch(path, json={"digest_at": "noon"})).status_code == 422
    assert await updated_at(rest, path) == first
    sent_back = await rest.app.put(path, json=stored)
    assert sent_back.json() == stored | {"updated_at": now}


async def test_unsubscribe_link_says_which_types_are_required_now(rest: Rest) -> None:
    await rest.app.put("/v1/recipients/alice", json={})
    await rest.app.put("/v1/types/bill", json={"required": ["email"]})
    digest, single = (
        f"/u/{link_tokens.sign(PROJECT, links.UNSUBSCRIBE_PURPOSE, Unsubscription('', 'alice', rest.clock.now(), *types))}"
        for types in (("bill", ("news",)), ("bill",))
    )
    for method in ("GET", "POST", "POST"):
        page = await rest.anonymous.request(method, single, headers=FORM)
        assert (page.status_code, "E-mails about “Bill” are required" in page.text) == (200, True)
        assert "nsubscribe" not in page.text
    assert await updated_at(rest) is None
    page = await rest.anonymous.post(digest, headers=FORM)
    assert "E-mails about “News” are off." in page.text
    assert "E-mails about “Bill” are required" in page.text
    assert (await rest.app.get(OWN)).json()["types"] == {"news": OFF}


async def test_unsubscribe_page_shows_the_names_of_types(rest: Rest) -> None:
    await rest.app.put("/v1/recipients/alice", json={})
    await rest.app.put("/v1/types/news", json={"name": "News & offers"})
    await rest.app.put("/v1/types/bill", json={"name": "Bills", "required": True})
    token = link_tokens.sign(
        PROJECT, links.UNSUBSCRIBE_PURPOSE, Unsubscription("", "alice", rest.clock.now(), "news", ("bill", "tips"))
    )
    for method, text in (
        ("GET", "Stop e-mails about “News &amp; offers”, “Tips”?"),
        ("POST", "E-mails about “News &amp; offers”, “Tips” are off."),
    ):
        page = (await rest.anonymous.request(method, f"/u/{token}", headers=FORM)).text
        assert text in page
        assert "E-mails about “Bills” are required" in page
    await rest.app.patch("/v1/recipients/alice", json={"locale": "de"})
    page = (await rest.anonymous.get(f"/u/{token}")).text
    assert "E-Mails zu „News &amp; offers“, „Tips“ abbestellen?" in page
    assert (await rest.app.get(OWN)).json()["types"] == {"news": OFF, "tips": OFF}


async def test_preferences_with_too_many_types_of_links_can_be_changed(rest: Rest) -> None:
    await rest.app.put("/v1/recipients/alice", json={})
    types = [f"type-{number}" for number in range(MAX_ENTRIES + 2)]
    token = link_tokens.sign(
        PROJECT, links.UNSUBSCRIBE_PURPOSE, Unsubscription("", "alice", rest.clock.now(), types[0], tuple(types[1:]))
    )
    assert (await rest.anonymous.post(f"/u/{token}", headers=FORM)).status_code == 200
    stored = (await rest.app.get(OWN)).json()
    assert len(stored["types"]) == len(types)
    assert (await rest.app.put(OWN, json=stored)).status_code == 200
    more = await rest.app.patch(OWN, json={"types": {"another": OFF}})
    assert fields(more) == {"types": f"must have at most {MAX_ENTRIES} entries"}
    for patch in ({"channels": {"sms": False}}, {"types": {types[0]: None}}):
        assert (await rest.app.patch(OWN, json=patch)).status_code == 200
    assert list(fields(await rest.app.put(OWN, json=stored))) == ["types"]


async def test_exports_contain_the_preferences(rest: Rest) -> None:
    await rest.app.put("/v1/recipients/alice?tenant=acme", json={})
    assert (await rest.app.get("/v1/recipients/alice/export?tenant=acme")).json()["preferences"] is None
    now = after_a_minute(rest)
    await rest.app.put(f"{OWN}?tenant=acme", json={"channels": {"sms": False}})
    await rest.app.put("/v1/recipients/bob?tenant=acme", json={})
    stored = {"channels": {"sms": False}, "updated_at": now}
    assert (await rest.app.get("/v1/recipients/alice/export?tenant=acme")).json()["preferences"] == stored
    lines = (await rest.app.get("/v1/tenants/acme/export")).text.splitlines()
    assert [json.loads(line)["preferences"] for line in lines if line.startswith('{"preferences"')] == [stored]


async def test_erased_recipient_has_no_time_of_change(rest: Rest) -> None:
    await rest.app.put(OWN, json={})
    await rest.app.delete("/v1/recipients/alice")
    assert await updated_at(rest) is None
