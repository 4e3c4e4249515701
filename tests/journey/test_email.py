"""A booking notification by e-mail: simulated without an SMTP setting, delivered with one."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.policy import default
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from bellcast.auth import link_tokens
from bellcast.channels import links
from bellcast.channels.store.messages import Messages
from bellcast.kernel.identities import Project
from bellcast.server.app import App, create_app
from bellcast.settings import load
from tests.journey.channels import opened
from tests.journey.channels_app import ended
from tests.smtp_server import smtp_server

PROJECT = Project("p", "key", "secret")


@asynccontextmanager
async def app(folder: Path, **settings: str) -> AsyncIterator[tuple[App, httpx.AsyncClient]]:
    environment = {
        "BELLCAST_PROJECT": "p:key:secret",
        **{f"BELLCAST_{name}": value for name, value in settings.items()},
    }
    server = create_app(load({"data": str(folder)}, environment))
    await server.start(is_mounted=False)
    transport = httpx.ASGITransport(server)  # type: ignore[arg-type]  # a scope is a dict
    headers = {"authorization": "Bearer secret"}
    async with httpx.AsyncClient(transport=transport, base_url="http://bell", headers=headers) as client:
        try:
            yield server, client
        finally:
            await server.stop()


async def eventually(read: Callable[[], Awaitable[Any]], is_right: Callable[[Any], bool]) -> Any:
    """Call `read` until its result is as expected; the server works in the background."""
    async with asyncio.timeout(60):
        while not is_right(found := await read()):  # noqa: ASYNC110  another component changes it
            await asyncio.sleep(0.01)
    return found


async def test_email_without_a_setting_is_stored_and_can_be_read(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        await client.put("/v1/recipients/alice", json={"name": "Alice", "email": "alice@example.com"})
        draft = {"to": "alice", "title": "New booking", "body": "Saturday, 14:00", "channels": ["inbox", "email"]}
        sent = await client.post("/v1/notifications", json=draft)
        assert sent.status_code == 201
        (message,) = await ended(client)
        assert message["state"] == "simulated"
        assert message["to"] == "alice@example.com"
        assert message["notification"] == sent.json()["notifications"][0]["id"]
        raw = await client.get(f"/v1/messages/{message['id']}/raw")
        mail = message_from_bytes(raw.content, policy=default)
        assert mail["Subject"] == "New booking"
        assert "Saturday, 14:00" in str(mail.get_body(("plain",)))
        assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        shown = await client.get(f"/v1/messages/{message['id']}/html")
        assert shown.headers["content-type"] == "text/html; charset=utf-8"
        policy = shown.headers["content-security-policy"].split("; ")
        assert {"default-src 'none'", "sandbox", "img-src data:", "frame-ancestors 'self'"} <= set(policy)
        assert "Saturday, 14:00" in shown.text


@pytest.mark.parametrize(
    ("title", "subject"),
    [
        ("commented on “Harbour”", "Farid Ito commented on “Harbour”"),
        ("New comment", "New comment"),
    ],
)
async def test_subject_names_the_actor_of_a_phrase(tmp_path: Path, title: str, subject: str) -> None:
    async with app(tmp_path) as (_, client):
        await client.put("/v1/recipients/alice", json={"email": "alice@example.com"})
        actor = {"id": "u-17", "name": "Farid Ito"}
        await client.post(
            "/v1/notifications", json={"to": "alice", "title": title, "actor": actor, "channels": ["email"]}
        )
        (message,) = await ended(client)
        shown = (await client.get(f"/v1/messages/{message['id']}")).json()["content"]
        assert shown["subject"] == subject
        assert "u-17" not in str(shown)


async def test_message_without_html_is_not_shown_as_a_page(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        await client.put("/v1/recipients/alice", json={"phone": "+4930123456"})
        await client.post("/v1/notifications", json={"to": "alice", "title": "Hi", "channels": ["sms"]})
        (message,) = await ended(client)
        refusal = await client.get(f"/v1/messages/{message['id']}/html")
        assert (refusal.status_code, refusal.json()["code"]) == (409, "conflict")


async def test_email_is_sent_once_if_the_reply_of_the_mail_server_is_not_utf8(tmp_path: Path) -> None:
    async with smtp_server() as mailbox:
        mailbox.replies["DATA"] = ["250 message accept\udce9"]
        url = f"smtp://127.0.0.1:{mailbox.port}?from=bells@example.com&tls=off"
        async with app(tmp_path, EMAIL=url) as (_, client):
            await client.put("/v1/recipients/alice", json={"email": "alice@example.com"})
            await client.post("/v1/notifications", json={"to": "alice", "title": "Hi", "channels": ["email"]})
            (message,) = await ended(client)
            assert (message["state"], message["attempts"][0]["response"]) == ("sent", "message accept?")
            assert len(mailbox.received) == 1


async def test_email_reaches_the_smtp_server(tmp_path: Path) -> None:
    async with smtp_server() as mailbox:
        url = f"smtp://127.0.0.1:{mailbox.port}?from=Shop <bells@example.com>&tls=off"
        async with app(tmp_path, EMAIL=url, APP_URL="https://shop.example") as (_, client):
            await client.put("/v1/recipients/alice", json={"name": "Alice", "email": "alice@example.com"})
            draft = {"to": ["alice", "bob"], "title": "Hi", "action_url": "/b/7", "channels": ["email"]}
            sent = await client.post("/v1/notifications", json=draft)
            assert len(sent.json()["notifications"]) == 2
            (message,) = await ended(client)
            (mail,) = mailbox.received
            assert (message["state"], message["provider"]) == ("sent", "env-email-1")
            assert message["attempts"][0]["outcome"] == "accepted"
            raw = message_from_bytes((await client.get(f"/v1/messages/{message['id']}/raw")).content, policy=default)
            assert raw.items() == [one for one in mail.items() if one[0] in raw]
            assert mail["From"] == "Shop <bells@example.com>"
            assert "https://shop.example/b/7" in str(mail.get_body(("plain",)))
            inbox = await client.get("/v1/recipients/alice")
            assert inbox.json()["unread"] == 0  # the send did not name the inbox as a channel


@pytest.mark.parametrize(
    ("preferences", "rule"),
    [
        ({"channels": {"email": False}}, "channel"),
        ({"types": {"booking": {"email": False}}}, "type"),
        ({"muted": {"*": True}}, "muted"),
    ],
)
async def test_opt_out_stops_the_email_and_not_the_inbox(
    tmp_path: Path, preferences: dict[str, Any], rule: str
) -> None:
    async with app(tmp_path) as (server, client):
        await client.put("/v1/recipients/alice", json={"email": "alice@example.com"})
        written = await client.put("/v1/recipients/alice/preferences", json=preferences)
        assert written.status_code == 200
        draft = {"to": "alice", "type": "booking", "title": "Hi", "channels": ["inbox", "email"]}
        sent = (await client.post("/v1/notifications", json=draft)).json()["notifications"][0]
        assert (await client.get("/v1/messages")).json()["messages"] == []
        assert (await client.get("/v1/recipients/alice")).json()["unread"] == 1
        decisions = await Messages(server.db).decisions("", sent["id"], "alice", 10)
        assert {d.channel: (d.outcome, d.rule) for d in decisions} == {"inbox": ("send", None), "email": ("skip", rule)}


async def unsubscribe_path(client: httpx.AsyncClient, draft: dict[str, Any]) -> str:
    """Send an e-mail to Alice, and return the path of its unsubscribe link."""
    await client.put("/v1/recipients/alice", json={"email": "alice@example.com"})
    await client.post("/v1/notifications", json=draft)
    (message,) = await ended(client)
    return "/u/" + str(message["content"]["unsubscribe_url"].rpartition("/")[2])


async def test_unsubscribe_link_turns_off_the_type(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        draft = {"to": "alice", "type": "news", "title": "Hi", "channels": ["email"]}
        path = await unsubscribe_path(client, draft)
        assert (await client.get(path)).status_code == 200
        await client.post("/v1/notifications", json=draft)
        await ended(client, 2)  # reading the page changed nothing
        for _ in range(2):
            assert (await client.post(path, content="List-Unsubscribe=One-Click")).status_code == 200
        await client.post("/v1/notifications", json=draft)
        assert len((await client.get("/v1/messages")).json()["messages"]) == 2
        shown = (await client.get("/v1/recipients/alice/preferences")).json()
        assert shown["types"] == {"news": {"email": False}}
        assert (await client.post("/u/AAAA")).status_code == 404


async def test_unsubscription_is_taken_back_by_the_page_that_follows_only(tmp_path: Path) -> None:
    async with app(tmp_path) as (server, client):
        path = await unsubscribe_path(client, {"to": "alice", "type": "news", "title": "Hi", "channels": ["email"]})
        preferences = "/v1/recipients/alice/preferences"
        await client.put(preferences, json={"types": {"news": {"email": "urgent", "push": False}}})
        question = (await client.get(path)).text
        assert ("Stop e-mails about “News”?" in question, "class=again" in question) == (True, False)
        off = (await client.post(path)).text
        assert "E-mails about “News” are off." in off
        found = re.search(r'action="\.\.(/u/[\w-]+)"', off)
        assert found
        assert 'action="' not in (await client.post(path)).text  # it was off before
        assert (await client.get(found[1])).status_code == 404
        assert "Your setting for e-mails about “News” is restored." in (await client.post(found[1])).text
        assert (await client.get(preferences)).json()["types"] == {"news": {"email": "urgent", "push": False}}
        late = links.Resubscription("", "alice", 0, 1, {"news": None})
        signed = link_tokens.sign(server.project, links.RESUBSCRIBE_PURPOSE, late)
        assert (await client.post(f"/u/{signed}")).status_code == 404


async def test_unsubscription_that_is_sent_twice_can_still_be_taken_back(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        path = await unsubscribe_path(client, {"to": "alice", "type": "news", "title": "Hi", "channels": ["email"]})
        button = re.search(r'action="\.\.(/u/[\w-]+)"', (await client.get(path)).text)
        assert button
        for _ in range(2):
            off = (await client.post(button[1])).text
        back = re.search(r'action="\.\.(/u/[\w-]+)" class=again', off)
        assert back
        await client.post(back[1])
        assert (await client.get("/v1/recipients/alice/preferences")).json()["types"] == {"news": {}}


async def test_unsubscription_from_what_is_off_by_default_is_not_taken_back(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        path = await unsubscribe_path(client, {"to": "alice", "type": "news", "title": "Hi", "channels": ["email"]})
        await client.put("/v1/types/news", json={"defaults": {"email": False}})
        assert "class=again" not in (await client.post(path)).text


async def test_unsubscribe_link_of_an_erased_recipient_creates_nothing(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        await client.put("/v1/recipients/alice", json={"tenant": "acme", "email": "alice@example.com"})
        draft = {"to": "alice", "tenant": "acme", "type": "news", "title": "Hi", "channels": ["email"]}
        await client.post("/v1/notifications", json=draft)
        read = partial(client.get, "/v1/messages", params={"tenant": "acme"})
        found = await eventually(read, lambda response: bool(response.json()["messages"]))
        (message,) = found.json()["messages"]
        path = "/u/" + message["content"]["unsubscribe_url"].rpartition("/")[2]
        assert (await client.delete("/v1/tenants/acme")).status_code == 204
        for method in ("GET", "POST"):
            assert (await client.request(method, path)).status_code == 404
        assert (await client.get("/v1/tenants/acme")).status_code == 404
        await client.put("/v1/recipients/alice", json={"tenant": "acme"})
        assert (await client.post(path)).status_code == 404
        shown = (await client.get("/v1/recipients/alice/preferences", params={"tenant": "acme"})).json()
        assert "types" not in shown


async def test_template_renders_in_the_recipients_language(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        template = {
            "inbox": {"title": "New booking by {{ data.client }}"},
            "email": {"subject": "Booking of {{ data.total | money('EUR') }}", "text": "Hi {{ recipient.name }}"},
            "translations": {"de": {"inbox": {"title": "Neue Buchung von {{ data.client }}"}}},
        }
        assert (await client.put("/v1/templates/booking", json=template)).status_code == 201
        await client.put("/v1/recipients/alice", json={"name": "Alice", "email": "a@example.com", "locale": "de-AT"})
        await client.put("/v1/recipients/bob", json={"name": "Bob", "email": "b@example.com"})
        draft = {
            "to": ["alice", "bob"],
            "template": "booking",
            "data": {"client": "Ann", "total": 1234.5},
            "channels": ["inbox", "email"],
        }
        sent = (await client.post("/v1/notifications", json=draft)).json()["notifications"]
        titles = [(await client.get(f"/v1/notifications/{one['id']}")).json()["title"] for one in sent]
        assert titles == ["Neue Buchung von Ann", "New booking by Ann"]
        messages = {message["recipient"]: message["content"] for message in await ended(client, 2)}
        assert messages["alice"]["subject"] == "Booking of €1,234.50"  # the text is English
        assert messages["bob"]["text"].startswith("Hi Bob")
        refused = await client.post("/v1/notifications", json={**draft, "data": {"total": 1}})
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["field"] == "data.client"
        template["translations"] = {"de_AT": {"inbox": {"title": "Neu"}}}
        refused = await client.put("/v1/templates/booking", json=template)
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "translations")
        refused = await client.put("/v1/templates/booking", json={"sms": {"text": "Hi\n{{ client }}"}})
        assert (refused.json()["errors"][0]["field"], refused.json()["errors"][0]["line"]) == ("sms.text", 2)


async def test_email_of_the_inbox_texts_has_their_language(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        template = {"inbox": {"title": "Hello"}, "translations": {"de": {"inbox": {"title": "Hallo"}}}}
        await client.put("/v1/templates/hello", json=template)
        await client.put("/v1/recipients/alice", json={"email": "a@example.com", "locale": "de-AT"})
        await client.post("/v1/notifications", json={"to": "alice", "template": "hello", "channels": ["email"]})
        (message,) = await ended(client, 1)
        assert '<html lang="de-AT">' in (await client.get(f"/v1/messages/{message['id']}/html")).text


async def test_link_gets_only_a_web_address_of_the_tenant_in_front(tmp_path: Path) -> None:
    async with app(tmp_path, APP_URL="https://app.example") as (_, client):
        for tenant, url in (("acme", "javascript:alert(1)//"), ("beta", "https://beta.example")):
            await client.put(f"/v1/tenants/{tenant}", json={"settings": {"app_url": url}})
            await client.put(f"/v1/recipients/alice?tenant={tenant}", json={"email": "alice@example.com"})
            draft = {"to": "alice", "title": "T", "action_url": "/7", "channels": ["email"], "tenant": tenant}
            await client.post("/v1/notifications", json=draft)
        content = {one["tenant"]: one["content"]["text"] for one in await ended(client, 2, tenant="*")}
        assert "\nhttps://app.example/7\n" in content["acme"]
        assert "\nhttps://beta.example/7\n" in content["beta"]


async def test_bounce_suppresses_the_address(tmp_path: Path) -> None:
    async with smtp_server() as mailbox:
        mailbox.replies["RCPT"] = ["550 5.1.1 unknown user"]
        url = f"smtp://127.0.0.1:{mailbox.port}?from=bells@example.com&tls=off"
        async with app(tmp_path, EMAIL=url) as (server, client):
            await client.put("/v1/recipients/alice", json={"email": "Alice@Example.com"})
            draft = {"to": "alice", "title": "Hi", "channels": ["email"]}
            await client.post("/v1/notifications", json=draft)
            (message,) = await ended(client)
            assert (message["state"], message["attempts"][0]["code"]) == ("bounced", "550")
            sent = (await client.post("/v1/notifications", json=draft)).json()["notifications"][0]
            (decision,) = await Messages(server.db).decisions("", sent["id"], "alice", 10)
            assert (decision.outcome, decision.rule) == ("skip", "suppressed")


@pytest.mark.parametrize(("is_allowed", "state", "attempts"), [(False, "suppressed", 1), (True, "sent", 2)])
async def test_retried_message_is_sent_to_an_allowed_address_only(
    tmp_path: Path, is_allowed: bool, state: str, attempts: int
) -> None:
    async with smtp_server() as mailbox:
        mailbox.replies["RCPT"] = ["550 5.1.1 unknown user"]
        url = f"smtp://127.0.0.1:{mailbox.port}?from=bells@example.com&tls=off"
        async with opened(tmp_path, email=(url,)) as world:
            await world.put("/v1/recipients/alice", {"email": "Alice@Example.com"})
            id = await world.send(channels=["email"])
            await world.run_due()
            (message,) = await world.messages()
            assert message["state"] == "bounced"
            if is_allowed:
                await world.request("DELETE", "/v1/suppressions/email/alice@example.com")
            await world.request("POST", f"/v1/messages/{message['id']}/retry")
            await world.run_due()
            (message,) = await world.messages()
            assert (message["state"], len(message["attempts"])) == (state, attempts)
            explained = await world.get("/v1/explain", recipient="alice", notification=id)
            assert explained["channels"][0]["rule"] == (None if is_allowed else "suppressed")


async def test_retried_message_is_sent_to_the_corrected_address(tmp_path: Path) -> None:
    async with smtp_server() as mailbox:
        mailbox.replies["RCPT"] = ["550 5.1.1 unknown user"]
        url = f"smtp://127.0.0.1:{mailbox.port}?from=bells@example.com&tls=off"
        async with opened(tmp_path, email=(url,)) as world:
            await world.put("/v1/recipients/alice", {"email": "alcie@example.com"})
            await world.send(channels=["email"])
            await world.run_due()
            (message,) = await world.messages()
            await world.put("/v1/recipients/alice", {"email": "alice@example.com"})
            await world.request("POST", f"/v1/messages/{message['id']}/retry")
            await world.run_due()
            (message,) = await world.messages()
            assert (message["state"], message["to"]) == ("sent", "alice@example.com")


async def test_retried_message_is_not_sent_to_an_address_that_was_removed(tmp_path: Path) -> None:
    async with smtp_server() as mailbox:
        mailbox.replies["RCPT"] = ["554 policy"]
        url = f"smtp://127.0.0.1:{mailbox.port}?from=bells@example.com&tls=off"
        async with opened(tmp_path, email=(url,)) as world:
            await world.put("/v1/recipients/alice", {"email": "alice@example.com"})
            id = await world.send(channels=["email"])
            await world.run_due()
            (message,) = await world.messages()
            assert message["state"] == "failed"
            await world.put("/v1/recipients/alice", {"email": None})
            await world.request("POST", f"/v1/messages/{message['id']}/retry")
            await world.run_due()
            (message,) = await world.messages()
            assert (message["state"], message["reason"], len(message["attempts"])) == ("cancelled", "no_address", 1)
            explained = await world.get("/v1/explain", recipient="alice", notification=id)
            assert explained["channels"][0]["rule"] == "no_address"


async def test_message_between_attempts_stops_when_its_address_is_suppressed(tmp_path: Path) -> None:
    async with opened(tmp_path, email=("smtp://127.0.0.1:1?from=bells@example.com&tls=off",)) as world:
        await world.put("/v1/recipients/alice", {"email": "alice@example.com"})
        await world.send(channels=["email"])
        await world.run_due()
        await world.put("/v1/suppressions/email/alice@example.com", {})
        await world.advance("1h")
        (message,) = await world.messages()
        assert (message["state"], message["reason"], len(message["attempts"])) == ("suppressed", "suppressed", 1)


async def test_markdown_body_is_html_in_e_mail_and_text_elsewhere(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        await client.put("/v1/recipients/bo", json={"email": "bo@example.com", "phone": "+436601234567"})
        body = {"body": "**bold** [l](https://x.example)", "body_format": "markdown"}
        draft = {"to": "bo", "title": "T", **body, "channels": ["email", "sms"]}
        assert (await client.post("/v1/notifications", json=draft)).status_code == 201
        mail, text = sorted([one["content"] for one in await ended(client, 2)], key=len, reverse=True)
        assert '<strong>bold</strong> <a href="https://x.example">l</a>' in mail["html"]
        assert mail["text"].startswith("T\n\nbold l (https://x.example)\n")
        assert text["text"] == "T\nbold l (https://x.example)"


async def test_e_mail_without_a_layout_is_sent_as_it_is_written(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        await client.put("/v1/recipients/bo", json={"email": "bo@example.com"})
        content = {"text": "Inner {{ unsubscribe_url }}", "html": "<p>Inner</p>", "subject": "S"}
        for layout, footers in ((None, 0), ("base", 1)):
            values = {"email": {**content, "layout": layout}}
            shown = (await client.post("/v1/templates/own/preview", json={"values": values, "recipient": "bo"})).json()
            assert shown["email"]["text"].count("\n-- \n") == footers
            assert shown["email"]["text"].count("/u/") == footers + 1
        assert (await client.put("/v1/templates/own", json={"email": {**content, "layout": None}})).status_code == 201
        draft = {"to": "bo", "title": "T", "template": "own", "channels": ["email"]}
        assert (await client.post("/v1/notifications", json=draft)).status_code == 201
        (message,) = await ended(client)
        assert (message["content"]["html"], "Preferences" in message["content"]["text"]) == ("<p>Inner</p>", False)


async def test_null_field_of_a_recipient_is_missing(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        await client.put("/v1/recipients/bo", json={"email": "bo@example.com"})
        for key, name in (("named", "recipient.name"), ("open", "recipient.name | default('you')")):
            template = {"inbox": {"title": f"Hi {{{{ {name} }}}}!"}, "email": {"subject": f"Hi {{{{ {name} }}}}!"}}
            assert (await client.put(f"/v1/templates/{key}", json=template)).status_code == 201
        draft = {"to": "bo", "channels": ["inbox", "email"]}
        refused = await client.post("/v1/notifications", json={**draft, "template": "named"})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "recipient.name")
        sent = (await client.post("/v1/notifications", json={**draft, "template": "open"})).json()["notifications"]
        assert (await client.get(f"/v1/notifications/{sent[0]['id']}")).json()["title"] == "Hi you!"
        everyone = {"to": {"all": True}, "title": "T", "template": "named", "channels": ["inbox", "email"]}
        assert (await client.post("/v1/notifications", json=everyone)).status_code == 201
        states = {(one["state"], one["reason"]) for one in await ended(client, 2)}
        reason = "invalid: recipient.name: is missing: email.subject of the template uses it without default()"
        assert states == {("simulated", None), ("failed", reason)}
