"""Writes while their tenant is erased, which get 409 and store nothing, or while others write the same object."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bellcast.preferences.types import DEFAULTS_KEY, DEFAULTS_KIND
from tests.journey.rest import Rest

NEWS = {"to": "alice", "title": "News"}
STEPS = {"steps": [{"key": "bell", "type": "inbox", "title": "News"}]}
CHRISTMAS = "2025-12-24T12:00:00Z"
TYPE = {"kind": "types", "key": "news", "tenant": "acme", "values": {}}
URL = "twilio://AC1:token@default?from=%2B12025550123"
WRITES: dict[str, tuple[str, str, Any]] = {
    "type": ("PUT", "/v1/types/news?tenant=acme", {}),
    "template": ("PUT", "/v1/templates/news?tenant=acme", {"inbox": {"title": "News"}}),
    "workflow": ("PUT", "/v1/workflows/news?tenant=acme", STEPS),
    "draft": ("PUT", "/v1/templates/news/draft?tenant=acme", {"values": {}, "base": None}),
    "schedule": ("PUT", "/v1/schedules/news?tenant=acme", {"cron": "0 * * * *", "notification": NEWS}),
    "send for later": ("POST", "/v1/notifications?tenant=acme", NEWS | {"send_at": CHRISTMAS}),
    "trigger for later": ("POST", "/v1/workflows/known/trigger?tenant=acme", {"to": "alice", "send_at": CHRISTMAS}),
    "provider": ("PUT", "/v1/providers/texts?tenant=acme", {"channel": "sms", "url": URL}),
    "webhook": ("POST", "/v1/webhooks?tenant=acme", {"url": "https://app.example.com/hooks", "events": ["*"]}),
    "preference defaults": ("PUT", "/v1/preference-defaults?tenant=acme", {"channels": {"sms": False}}),
    "recipient": ("PUT", "/v1/recipients/bob?tenant=acme", {"name": "Bob"}),
    "preferences": ("PUT", "/v1/recipients/bob/preferences?tenant=acme", {"channels": {"sms": False}}),
    "subscription": ("PUT", "/v1/topics/news/subscriptions/bob?tenant=acme", {}),
    "suppressed address": ("PUT", "/v1/suppressions/email/bob@example.com?tenant=acme", {"reason": "requested"}),
    "tenant": ("PUT", "/v1/tenants/acme", {"name": "Acme"}),
    "replay": ("POST", "/v1/replays", {"tenant": "acme", "filter": {"channel": "email"}}),
    "push of files": ("POST", "/v1/bundle", {"source": "git", "objects": [TYPE]}),
}


@pytest.mark.parametrize("subject", WRITES)
async def test_write_to_a_tenant_that_is_erased_meanwhile_is_refused(rest: Rest, subject: str) -> None:
    method, path, value = WRITES[subject]
    assert (await rest.app.put("/v1/recipients/alice?tenant=acme", json={})).status_code == 201
    assert (await rest.app.put("/v1/workflows/known", json=STEPS)).status_code == 201

    async def body() -> AsyncIterator[bytes]:
        text = json.dumps(value).encode()
        yield text[:1]
        rest.clock.advance(1)
        assert (await rest.app.delete("/v1/tenants/acme")).status_code == 204
        yield text[1:]

    headers = {"content-type": "application/json"}
    refused = await rest.app.request(method, path, content=body(), headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict"), refused.text
    assert "being erased, or was since" in refused.json()["detail"]
    assert (await rest.app.get("/v1/tenants/acme")).status_code == 404
    assert (await rest.app.delete("/v1/tenants/acme")).status_code == 404  # it has no objects
    assert (await rest.app.request(method, path, json=value)).is_success


@pytest.mark.parametrize("subject", ["type", "template", "provider", "preferences", "preference defaults"])
async def test_object_that_is_written_meanwhile_gets_no_earlier_time(rest: Rest, subject: str) -> None:
    method, path, value = WRITES[subject]

    async def body() -> AsyncIterator[bytes]:
        text = json.dumps(value).encode()
        yield text[:1]
        rest.clock.advance(60)
        assert (await rest.app.request(method, path, json=value)).status_code in (200, 201)
        yield text[1:]

    began = rest.clock.now()
    assert (
        await rest.app.request(method, path, content=body(), headers={"content-type": "application/json"})
    ).is_success
    places = [("types", "news"), ("templates", "news"), ("providers", "texts"), (DEFAULTS_KIND, DEFAULTS_KEY)]
    found = await rest.store.documents.several([(kind, "acme", key) for kind, key in places])
    times = {one.updated_at for one in found.values()} | {(await rest.store.preferences.get("acme", "bob"))[1]}
    assert times - {None} == {began + 60_000}
