"""Alice opens the preferences link of an e-mail and turns a type off, without a login."""

import asyncio
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from bellcast.kernel.events import Event
from bellcast.preferences.http.preferences_page import MAX_FORM_FIELDS
from bellcast.preferences.types import CHANNELS, PreferencesChanged
from tests.journey.channels import World, opened
from tests.journey.channels_app import app, ended

FORM = {"content-type": "application/x-www-form-urlencoded"}


async def link(world: World) -> str:
    created = await world.request("POST", "/v1/recipients/alice/preferences-link", {"ttl": "1h"})
    url: str = created["url"]
    assert url.startswith("https://bell.example/preferences/")
    return url.removeprefix("https://bell.example")


class DisplayedForm(HTMLParser):
    """The fields that a browser sends for the unchanged form of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.fields: list[tuple[str, str]] = []
        self._select = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "select":
            self._select = attributes["name"] or ""
        elif tag == "option" and "selected" in attributes:
            self.fields.append((self._select, attributes["value"] or ""))
        elif tag == "input" and "disabled" not in attributes and self._is_sent(attributes):
            self.fields.append((attributes["name"] or "", attributes.get("value") or "on"))

    def _is_sent(self, attributes: dict[str, str | None]) -> bool:
        return attributes["type"] != "checkbox" or "checked" in attributes


def displayed(page: str, **changes: str | None) -> list[tuple[str, str]]:
    """Return the fields of the form after changes: None unchecks a box."""
    kept = [field for field in DisplayedForm(page).fields if field[0] not in changes]
    return kept + [(name, value) for name, value in changes.items() if value is not None]


async def test_page_shows_what_applies_and_saves_only_changes(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        await world.put("/v1/types/invoice", {"name": "Invoices <b>", "required": ["email"]})
        await world.put("/v1/types/news", {"defaults": {"sms": False}, "channels": ["inbox", "push"]})
        await world.put("/v1/recipients/alice/preferences", {"types": {"old": {"email": False}}})
        path = await link(world)
        page = (await world.client.get(path, headers={"authorization": ""})).text
        assert "Invoices &lt;b&gt;" in page
        assert 'value="email:invoice" aria-label="Invoices &lt;b&gt;: E-mail (required)" checked disabled' in page
        saved = await world.client.post(path, data=_fields(displayed(page)))
        assert "Your preferences are saved." in saved.text
        assert (await world.get("/v1/recipients/alice/preferences"))["types"] == {"old": {"email": False}}
        fields = displayed(page, quiet="on", **{"digest.news": "daily", "digest_at": "09:15"})
        fields = [("on", "sms:news"), *(pair for pair in fields if pair != ("on", "push:news"))]
        await world.client.post(path, data=_fields(fields))
        stored = await world.get("/v1/recipients/alice/preferences")
        assert stored["types"] == {"old": {"email": False}, "news": {"push": False, "sms": True}}
        assert stored["quiet_hours"] == {"start": "22:00", "end": "07:00"}
        assert (stored["digest"], stored["digest_at"]) == ({"news": "daily"}, "09:15")
        again = (await world.client.get(path)).text
        assert re.search(r'value="push:news"[^>]*: Push">', again)
        await world.client.post(path, data=_fields(displayed(again, quiet=None, muted="on")))
        muted = await world.get("/v1/recipients/alice/preferences")
        assert (muted["muted"], muted["quiet_hours"]) == ({"*": True}, False)


async def test_page_offers_channels_with_a_provider_or_an_address(tmp_path: Path) -> None:
    own = "/v1/recipients/alice/preferences"

    async def offered() -> list[str]:
        page = (await world.client.get(await link(world))).text
        (general, *_) = (await world.get(own))["effective"]
        available = [key for key, status in general["channels"].items() if status.get("available", True)]
        assert [key for key in CHANNELS if f'value="{key}:general"' in page] == available
        assert ("name=digest_at " in page) is ("email" in available)
        return available

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


async def test_page_has_no_switch_for_a_channel_that_a_type_does_not_have(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        await world.put("/v1/types/news", {"channels": ["inbox", "push"]})
        await world.put("/v1/types/alert", {"channels": ["inbox", "sms"]})
        page = (await world.client.get(await link(world))).text
        assert re.findall(r'name=on value="(\w+):(news|alert)"', page) == [
            ("inbox", "alert"),
            ("sms", "alert"),
            ("inbox", "news"),
            ("push", "news"),
        ]


async def test_only_type_has_the_only_row_unless_a_channel_is_off(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:

        async def rows() -> list[str]:
            return re.findall(r'role=group aria-label="([^"]*)"', (await world.client.get(await link(world))).text)

        assert await rows() == ["All notifications"]
        await world.put("/v1/recipients/alice/preferences", {"channels": {"inbox": False}})
        assert await rows() == ["All notifications", "Other notifications"]
        await world.put("/v1/recipients/alice/preferences", {})
        await world.put("/v1/types/news", {"name": "News"})
        assert await rows() == ["All notifications", "Other notifications", "News"]


async def test_element_of_the_page_reads_and_changes_preferences_with_the_link(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        await world.put("/v1/types/invoice", {"name": "Invoices", "required": ["email"]})
        path = await link(world)
        json = {"authorization": "", "accept": "application/json"}
        read = await world.client.get(path, headers=json)
        assert [(one["type"], one["name"]) for one in read.json()["effective"]][-1] == ("invoice", "Invoices")
        assert read.headers["cache-control"] == "no-store"
        changed = await world.client.patch(path, headers=json, json={"types": {"invoice": {"sms": False}}})
        assert changed.json()["types"] == {"invoice": {"sms": False}}
        again = await world.client.patch(path, headers=json, json={"muted": {"*": True}})
        stored = await world.get("/v1/recipients/alice/preferences")
        assert again.json() == stored
        assert (stored["types"], stored["muted"]) == ({"invoice": {"sms": False}}, {"*": True})
        for refused in (
            {"types": {"invoice": {"email": False}}},
            {"workflows": {"absent": {"email": False}}},
            {"x": 1},
        ):
            assert (await world.client.patch(path, headers=json, json=refused)).status_code == 422
        forged = await world.client.patch("/preferences/AAAA", headers=json, json={"muted": {}})
        assert (forged.status_code, forged.json()["code"]) == (404, "not_found")
        await world.client.delete("/v1/recipients/alice/sessions")
        assert (await world.client.patch(path, headers=json, json={"muted": {}})).status_code == 404


DEFAULTS = {
    "digest": {"news": "daily"},
    "digest_at": "09:00",
    "quiet_hours": {"start": "21:00", "end": "06:00"},
}


async def test_unchanged_page_changes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        await world.put("/v1/types/news", {})
        await world.put("/v1/preference-defaults", DEFAULTS)
        await world.put("/v1/recipients/alice", {"timezone": "Europe/Vienna"})
        own = "/v1/recipients/alice/preferences"
        until = {"muted": {"*": "2027-12-01T00:00:00Z", "news": True}}
        await world.put(own, until)
        path = await link(world)
        page = (await world.client.get(path)).text
        assert re.search(r"Until 2027-12-01 01:00 \(Europe/Vienna\)\.<.*name=muted checked>", page)
        for _ in range(2):
            page = (await world.client.post(path, data=_fields(displayed(page)))).text
            stored = await world.get(own)
            assert {
                name: stored[name] for name in stored if name not in ("updated_at", "effective", "inherited")
            } == until
        await world.client.post(path, data=_fields(displayed(page, muted=None)))
        assert (await world.get(own))["muted"] == {"news": True}
        assert "Until I turn this off" in (await world.client.get(path)).text


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
        for part, title in (
            ("u", "E-Mails zu „News“ abbestellen?"),
            ("preferences", "Mitteilungen von Oriel &amp; Co"),
        ):
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


async def test_page_opened_before_a_change_keeps_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        await world.put("/v1/types/news", {})
        path, own = await link(world), "/v1/recipients/alice/preferences"
        page = (await world.client.get(path)).text
        await world.put(own, {**DEFAULTS, "muted": {"*": True}})
        await world.client.post(path, data=_fields(displayed(page)))
        stored = await world.get(own)
        assert {name: stored[name] for name in (*DEFAULTS, "muted")} == {**DEFAULTS, "muted": {"*": True}}
        # A field that the user changed is saved, even if another request changed it in the meantime.
        changes = {"digest.news": "hourly", "quiet": "on", "start": "23:00", "digest_at": "10:00"}
        await world.client.post(path, data=_fields(displayed(page, **changes)))
        stored = await world.get(own)
        assert (stored["digest"], stored["digest_at"]) == ({"news": "hourly"}, "10:00")
        assert (stored["quiet_hours"], stored["muted"]) == ({"start": "23:00", "end": "07:00"}, {"*": True})


async def test_empty_time_on_the_page_keeps_the_stored_one(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        path, own = await link(world), "/v1/recipients/alice/preferences"
        await world.put(own, DEFAULTS)
        page = (await world.client.get(path)).text
        await world.client.post(path, data=_fields(displayed(page, start="", digest_at="")))
        stored = await world.get(own)
        assert {name: stored[name] for name in DEFAULTS} == DEFAULTS


async def test_page_shows_only_a_mute_that_has_not_ended(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        path, own = await link(world), "/v1/recipients/alice/preferences"
        await world.put("/v1/recipients/alice", {"timezone": "Pacific/Kiritimati"})
        await world.put(own, {"muted": {"*": "9999-12-31T23:59:59Z"}})
        assert "Until 9999-12-31 23:59 (UTC)" in (await world.client.get(path)).text
        await world.put(own, {"muted": {"*": "2026-06-10T12:30:00Z"}})
        assert "name=muted checked" in (await world.client.get(path)).text
        await world.advance("31m")
        ended = (await world.client.get(path)).text
        assert "name=muted>" in ended
        assert "Until I turn this off" in ended
        await world.client.post(path, data=_fields(displayed(ended, muted="on")))
        assert (await world.get(own))["muted"] == {"*": True}


async def test_page_offers_no_digest_of_required_email(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        await world.put("/v1/types/invoice", {"required": ["email"]})
        await world.put("/v1/types/alert", {"required": ["sms"]})
        page = (await world.client.get(await link(world))).text
        assert "digest.alert" in page
        assert "digest.invoice" not in page


async def test_form_with_many_fields_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        path = await link(world)
        response = await world.client.post(path, content=b"a&" * 500_000, headers=FORM)
        assert (response.status_code, response.json()["code"]) == (413, "too_large")
        largest = b"&".join([b"was=email:general"] * MAX_FORM_FIELDS)
        assert (await world.client.post(path, content=largest, headers=FORM)).status_code == 200


async def test_type_with_a_line_break_is_switched(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        key = 'late\norders: 100 %"<&é'
        await world.put(f"/v1/types/{quote(key, safe='')}", {"channels": ["email"]})
        path = await link(world)
        page = (await world.client.get(path)).text
        # Browsers send each line break in a form as CRLF (HTML, "append an entry").
        fields = [(name.replace("\n", "\r\n"), value.replace("\n", "\r\n")) for name, value in displayed(page)]
        (switch,) = (value for name, value in fields if name == "on" and value.startswith("email:late"))
        (digest,) = (name for name, _ in fields if name.startswith("digest.late"))
        fields = [pair for pair in fields if pair[0] != digest and pair != ("on", switch)]
        await world.client.post(path, data=_fields([*fields, (digest, "daily")]))
        stored = await world.get("/v1/recipients/alice/preferences")
        assert (stored["types"], stored["digest"]) == ({key: {"email": False}}, {key: "daily"})


async def test_type_added_while_the_page_was_open_is_not_switched(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        for key in ("booking", "news"):
            await world.put(f"/v1/types/{key}", {"channels": ["email"]})
        path = await link(world)
        page = (await world.client.get(path)).text
        await world.put("/v1/types/alerts", {})
        fields = _fields([pair for pair in displayed(page) if pair != ("on", "email:news")])
        await world.client.post(path, data=fields)
        assert (await world.get("/v1/recipients/alice/preferences"))["types"] == {"news": {"email": False}}


async def test_page_keeps_changes_of_another_device(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        await world.put("/v1/types/news", {"channels": ["email", "sms"]})
        path = await link(world)
        page = (await world.client.get(path)).text
        await world.put("/v1/recipients/alice/preferences", {"types": {"news": {"sms": False}}})
        fields = _fields([pair for pair in displayed(page) if pair != ("on", "email:news")])
        await world.client.post(path, data=fields)
        stored = await world.get("/v1/recipients/alice/preferences")
        assert stored["types"] == {"news": {"sms": False, "email": False}}


async def test_concurrent_changes_are_all_kept(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        patches = [{"types": {f"type-{number}": {"email": False}}} for number in range(10)]
        for path in ("/v1/recipients/alice/preferences", "/v1/preference-defaults"):
            await world.request("PATCH", path, {"digest_at": "09:00"})
            await asyncio.gather(*(world.request("PATCH", path, patch) for patch in patches))
            assert len((await world.get(path))["types"]) == 10


def _fields(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return fields


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
        for method in ("GET", "POST"):
            for url in (path, "/u/AAAA"):
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
            assert (await world.client.post(path, data={"muted": "on"})).status_code == 404
            assert (await world.client.get("/v1/recipients/alice")).status_code == 404
        await world.put("/v1/recipients/alice", {})
        assert (await world.client.post(path, data={"muted": "on"})).status_code == 404
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
            assert (await client.post(path, data={"muted": "on"})).status_code == 404
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
