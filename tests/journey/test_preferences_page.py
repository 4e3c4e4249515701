"""Alice opens the preferences link of an e-mail and turns a type off, without a login."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from bellcast.kernel.events import Event
from bellcast.preferences.types import PreferencesChanged
from tests.journey.channels import World, opened
from tests.journey.channels_app import app, ended

JSON = {"authorization": "", "accept": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


MUTED = {"muted": {"*": True}}


async def link(world: World) -> str:
    created = await world.request("POST", "/v1/recipients/alice/preferences-link", {"ttl": "1h"})
    url: str = created["url"]
    assert url.startswith("https://bell.example/preferences/")
    return url.removeprefix("https://bell.example")


async def test_page_offers_channels_with_a_provider_or_an_address(tmp_path: Path) -> None:
    async def offered() -> list[str]:
        (general, *_) = (await world.client.get(await link(world), headers=JSON)).json()["effective"]
        return [key for key, status in general["channels"].items() if status.get("available", True)]

    async with opened(tmp_path) as world:
        await world.put("/v1/recipients/alice", {"email": "alice@example.com", "phone": "+4366012345"})
        assert await offered() == ["inbox"]
        # Without a provider, the e-mail is only stored; the page that its footer links to can still turn e-mails off.
        await world.put("/v1/recipients/carl", {"email": "carl@example.com"})
        await world.send(to="carl", channels=["inbox", "email"])
        (general, *_) = (await world.get("/v1/recipients/carl/preferences"))["effective"]
        assert general["channels"]["email"].get("available", True)
        await world.put("/v1/providers/mail", {"url": "smtp://93.184.215.14?from=a@example.com", "channel": "email"})
        assert await offered() == ["inbox", "email"]
        await world.put("/v1/recipients/alice", {"chat": {"slack": "https://hooks.slack.com/services/1"}})
        assert await offered() == ["inbox", "email", "chat"]
        await world.put("/v1/types/alert", {"channels": [{"channel": "sms"}], "defaults": {"push": False}})
        assert await offered() == ["inbox", "email", "sms", "push", "chat"]


async def test_element_of_the_page_reads_and_changes_preferences_with_the_link(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        await world.put("/v1/types/invoice", {"name": "Invoices", "required": ["email"]})
        path = await link(world)
        read = await world.client.get(path, headers=JSON)
        assert [(one["type"], one["name"]) for one in read.json()["effective"]][-1] == ("invoice", "Invoices")
        assert read.headers["cache-control"] == "no-store"
        changed = await world.client.patch(path, headers=JSON, json={"types": {"invoice": {"sms": False}}})
        assert changed.json()["types"] == {"invoice": {"sms": False}}
        again = await world.client.patch(path, headers=JSON, json={"muted": {"*": True}})
        stored = await world.get("/v1/recipients/alice/preferences")
        assert again.json() == stored
        assert (stored["types"], stored["muted"]) == ({"invoice": {"sms": False}}, {"*": True})
        for refused in (
            {"types": {"invoice": {"email": False}}},
            {"workflows": {"absent": {"email": False}}},
            {"x": 1},
        ):
            assert (await world.client.patch(path, headers=JSON, json=refused)).status_code == 422
        forged = await world.client.patch("/preferences/AAAA", headers=JSON, json={"muted": {}})
        assert (forged.status_code, forged.json()["code"]) == (404, "not_found")
        await world.client.delete("/v1/recipients/alice/sessions")
        assert (await world.client.patch(path, headers=JSON, json={"muted": {}})).status_code == 404


async def test_pages_of_links_use_the_recipients_language_and_the_brand(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        brand = {"name": "Oriel & Co", "color": "#7a1f3d", "logo_url": "https://oriel.example/logo.png"}
        await world.put("/v1/tenants/oriel", {"settings": {"brand": brand}})
        await world.put("/v1/recipients/alice?tenant=oriel", {"locale": "de-AT", "email": "alice@example.com"})
        draft = {"to": "alice", "tenant": "oriel", "type": "news", "title": "Hi", "channels": ["email"]}
        await world.request("POST", "/v1/notifications", draft)
        (message,) = await world.messages(tenant="oriel")
        message = await world.get(f"/v1/messages/{message['id']}", tenant="oriel")
        assert ">Abbestellen</a>" in message["content"]["html"]
        assert "Abbestellen: https://bell.example/u/" in message["content"]["text"]
        for part, title in (("u", "Abbestellen?"), ("preferences", "Mitteilungen von Oriel &amp; Co")):
            url = re.search(rf"https://bell\.example(/{part}/[\w-]+)", message["content"]["text"])
            assert url is not None
            shown = await world.client.get(url[1], headers={"accept-language": "fr"})
            assert '<html lang="de" dir="ltr">' in shown.text
            assert f"<h1>{title}</h1>" in shown.text
            assert 'img src="https://oriel.example/logo.png" alt="Oriel &amp; Co"' in shown.text
            assert "light-dark(#7a1f3d," in shown.text
            assert "img-src http: https:;" in shown.headers["content-security-policy"]


async def test_page_of_a_recipient_without_a_locale_uses_the_browsers_language(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        path = await link(world)
        for accepted, language in (("pt-BR, fr-CH;q=0.8, en;q=0.5", "fr"), ("ar", "ar"), ("xx, *", "en"), ("", "en")):
            for url in (path, "/u/AAAA"):
                shown = await world.client.get(url, headers={"accept-language": accepted, "accept": "text/html"})
                assert f'<html lang="{language}" dir="{"rtl" if language == "ar" else "ltr"}">' in shown.text


async def test_concurrent_changes_are_all_kept(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        patches = [{"types": {f"type-{number}": {"email": False}}} for number in range(10)]
        for path in ("/v1/recipients/alice/preferences", "/v1/preference-defaults"):
            await world.request("PATCH", path, {"digest_at": "09:00"})
            await asyncio.gather(*(world.request("PATCH", path, patch) for patch in patches))
            assert len((await world.get(path))["types"]) == 10


async def test_link_ends_with_its_time_and_cannot_be_forged(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        path = await link(world)
        assert (await world.client.get(path[:-2])).status_code == 404
        unsubscribe = path.replace("/preferences/", "/u/")
        assert (await world.client.get(unsubscribe)).status_code == 404
        await world.advance("3601s")
        assert (await world.client.get(path)).status_code == 404
        for ttl in ("0", "-1h", "400d", "soon"):
            response = await world.client.post("/v1/recipients/alice/preferences-link", json={"ttl": ttl})
            assert response.status_code == 422, ttl
        assert (await world.client.post("/v1/recipients/alice/preferences-link")).status_code == 201


async def test_person_with_an_old_link_sees_a_page(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        path = await link(world)
        await world.advance("3601s")
        for method, url in (("GET", path), ("GET", "/u/AAAA"), ("POST", "/u/AAAA")):
            shown = await world.client.request(method, url, headers={**FORM, "accept": "text/html,*/*;q=0.8"})
            assert (shown.status_code, shown.headers["content-type"]) == (404, "text/html; charset=utf-8")
            assert "Link not valid" in shown.text
            read = await world.client.request(method, url, headers=FORM)
            assert (read.status_code, read.json()["code"]) == (404, "not_found")


async def test_link_of_an_erased_recipient_creates_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        path = await link(world)
        assert (await world.client.get(path)).status_code == 200
        await world.request("DELETE", "/v1/recipients/alice")
        for _ in range(2):
            assert (await world.client.get(path)).status_code == 404
            assert (await world.client.patch(path, json=MUTED)).status_code == 404
            assert (await world.client.get("/v1/recipients/alice")).status_code == 404
        await world.put("/v1/recipients/alice", {})
        assert (await world.client.patch(path, json=MUTED)).status_code == 404
        assert "muted" not in await world.get("/v1/recipients/alice/preferences")


async def test_links_to_preferences_end_with_the_sessions_and_unsubscribe_links_stay(tmp_path: Path) -> None:
    async with app(tmp_path, PUBLIC_URL="https://bell.example") as (_, client):
        await client.put("/v1/recipients/alice", json={"email": "alice@example.com"})
        draft = {"to": "alice", "type": "news", "title": "Hi", "channels": ["email"]}
        await client.post("/v1/notifications", json=draft)
        (message,) = await ended(client)
        in_mail = re.search(r"/preferences/[\w-]+", message["content"]["text"])
        assert in_mail
        created = (await client.post("/v1/recipients/alice/preferences-link")).json()["url"]
        old = [in_mail[0], created.removeprefix("https://bell.example")]
        assert [(await client.get(path)).status_code for path in old] == [200, 200]
        unsubscribe = "/u/" + message["content"]["unsubscribe_url"].rpartition("/")[2]
        for method in ("GET", "POST"):
            assert f'<a href="..{in_mail[0]}">' in (await client.request(method, unsubscribe)).text
        assert (await client.delete("/v1/recipients/alice/sessions")).status_code == 204
        for path in old:
            assert (await client.get(path)).status_code == 404
            assert (await client.patch(path, json=MUTED)).status_code == 404
        assert "muted" not in (await client.get("/v1/recipients/alice/preferences")).json()
        new = (await client.post("/v1/recipients/alice/preferences-link")).json()["url"]
        assert (await client.get(new.removeprefix("https://bell.example"))).status_code == 200
        shown = await client.get(unsubscribe)
        assert (shown.status_code, "/preferences/" in shown.text) == (200, False)


async def test_clients_get_a_frame_when_preferences_change(tmp_path: Path) -> None:
    async with app(tmp_path) as (server, client):
        events: list[Event] = []
        server.broker.listen(events.append)
        await client.put("/v1/recipients/alice/preferences", json={"channels": {"sms": False}})
        (changed,) = [event for event in events if isinstance(event, PreferencesChanged)]
        assert (changed.recipient, changed.preferences.channels) == ("alice", {"sms": False})


LATE, EARLY = "9999-12-31T23:59:59-23:00", "1969-12-31T23:59:59Z"


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"types": {"x" * 101: {"email": False}}}, "types." + "x" * 100),
        ({"workflows": {"x" * 101: {"email": False}}}, "workflows." + "x" * 100),
        ({"digest": {"a\0b": "daily"}}, "digest.a\0b"),
        ({"muted": {"": True}}, "muted."),
        ({"muted": {"news": LATE}}, "muted.news"),
        ({"muted": {"news": EARLY}}, "muted.news"),
        ({"muted": {"news": "2030-01-01T00:00:00"}}, "muted.news"),
    ],
    ids=["long type", "long workflow", "NUL", "empty", "after the calendar", "before 1970", "no offset"],
)
async def test_name_or_time_that_no_send_has_is_refused(tmp_path: Path, document: Any, field: str) -> None:
    async with opened(tmp_path) as world:
        for path in ("/v1/recipients/alice/preferences", "/v1/preference-defaults"):
            for method in ("PUT", "PATCH"):
                response = await world.client.request(method, path, json=document)
                assert response.status_code == 422, response.text
                assert [error["field"] for error in response.json()["errors"]] == [field]


async def test_dry_run_writes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        await world.put("/v1/recipients/alice", {"email": "alice@example.com"})
        for method, path, body in (
            ("PUT", "/v1/recipients/alice/preferences", {"channels": {"email": False}}),
            ("PATCH", "/v1/recipients/alice/preferences", {"channels": {"email": False}}),
            ("PUT", "/v1/preference-defaults", {"channels": {"email": False}}),
            ("PUT", "/v1/suppressions/email/alice@example.com", {}),
            ("PUT", "/v1/types/news", {"required": True}),
            ("POST", "/v1/messages/retry", {}),
            ("POST", "/v1/recipients/alice/preferences-link", {}),
        ):
            response = await world.client.request(method, f"{path}?dry_run=true", json=body)
            assert response.status_code == 200, (path, response.text)
        explained = await world.get("/v1/explain", recipient="alice", type="news", channel="email")
        assert explained["channels"][0]["outcome"] == "send"
        assert (await world.get("/v1/types"))["types"] == []


async def test_defaults_of_a_tenant_override_those_of_the_project_until_they_are_deleted(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        path, own = "/v1/preference-defaults", "/v1/preference-defaults?tenant=acme"
        assert (await world.get(own))["tenant"] is None
        await world.put(path, {"channels": {"sms": False}})
        applies = await world.get(own)
        assert (applies["tenant"], applies["channels"]) == (None, {"sms": False})
        written = await world.client.put(own, json={**applies, "channels": {"sms": True}})
        assert (written.json()["tenant"], written.json()) == ("acme", await world.get(own))
        assert (await world.client.delete(own)).status_code == 204
        assert (await world.client.delete(own)).status_code == 404
        assert await world.get(own) == applies
        assert (await world.client.post("/v1/messages/retry?dry_run=true")).json() == {"retried": 0}
