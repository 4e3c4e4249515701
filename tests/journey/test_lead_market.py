"""The lead market over HTTP: sign-in, leads in a file, the Pusher settings, and an outage of Bellcast."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from bellcast.client import Bellcast
from bellcast.examples.app_kit import Database
from bellcast.examples.lead_market import create_app, settings
from tests.faults.raw_sockets import eventually
from tests.lead_market_app import Market
from tests.sqlite_dump import sqlite_dump
from tests.wire.pusher_clients import bare


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory, two_workers: bool) -> Iterator[Market]:
    with Market(tmp_path_factory.mktemp("market"), two_workers=two_workers) as market:
        yield market


@pytest.fixture(scope="module")
def ruth(market: Market) -> Iterator[httpx.Client]:
    with market.visitor("ruth") as ruth:
        yield ruth


@pytest.fixture(scope="module")
def plumber(market: Market) -> Iterator[httpx.Client]:
    with market.visitor("42") as plumber:
        yield plumber


def add(ruth: httpx.Client, customer: str, **fields: object) -> httpx.Response:
    return ruth.post("/api/leads", json={"customer": customer, "service": "Burst pipe", "city": "Leeds", **fields})


@pytest.mark.thorough
def test_leadwell_sign_in_needs_the_password_and_sign_out_ends_the_session(market: Market):
    with market.visitor("43") as roofer:
        token, cookies = roofer.get("/api/bell-token").json()["token"], dict(roofer.cookies)
        form = {"socket_id": "1.2", "channel_name": "private-provider.43"}
        assert roofer.post("/broadcasting/auth", data=form).status_code == 200
        roofer.post("/logout")
        with httpx.Client(base_url=market.url, cookies=cookies) as thief:
            assert thief.get("/leads").status_code == 401
            assert thief.post("/broadcasting/auth", data=form).status_code == 401
            assert thief.get("/desk", headers={"accept": "text/html"}).headers["location"] == "/login"
        headers = {"authorization": f"Bearer {token}"}
        assert eventually(lambda: httpx.get(f"{market.server.url}/v1/inbox", headers=headers).status_code == 401)
        assert roofer.post("/login", data={"username": "43", "password": "wrong"}).status_code == 401
    assert "scrypt$" in sqlite_dump(market.data / "leadwell.db")


def test_name_of_a_page_leads_to_it(market: Market, ruth: httpx.Client, plumber: httpx.Client):
    for person, page in ((ruth, "/admin"), (plumber, "/provider")):
        response = person.get(page)
        assert (response.status_code, response.headers["location"]) == (307, "desk")


def test_browser_gets_a_page_with_the_reason_of_a_refusal(plumber: httpx.Client):
    for path, status in (("/missing", 404), ("/admin/settings", 403)):
        page = plumber.get(path, headers={"Accept": "text/html"})
        assert (page.status_code, page.headers["Content-Type"]) == (status, "text/html; charset=utf-8")
        assert plumber.get(path).json()["message"].replace("Not Found", "Page not found") in page.text
        assert 'class="button" href="/desk">Back to the leads</a>' in page.text


def test_provider_cannot_use_another_provider_s_channel_or_leads(ruth: httpx.Client, plumber: httpx.Client):
    form = {"socket_id": "1.2", "channel_name": "private-provider.43"}
    assert plumber.post("/broadcasting/auth", data=form).status_code == 403
    assert plumber.patch("/api/provider/leads/102", json={"status": "won"}).status_code == 404
    assert plumber.patch("/api/admin/leads/101", json={"status": "won"}).status_code == 403
    assert {lead["provider"] for lead in plumber.get("/leads").json()} == {"42"}
    for path in ("/admin/settings", "/admin/troubleshooting"):
        assert plumber.get(path).status_code == 403
    assert ruth.post("/api/leads", json={}, headers={"origin": "https://evil.example"}).status_code == 403


@pytest.mark.parametrize(
    "fields", [{"provider": {"a": 1}}, {"provider": "ghost"}, {"status": ["x"]}, {"status": "sold"}, {"provider": 42}]
)
def test_wrong_change_is_refused(ruth: httpx.Client, fields: dict[str, object]):
    refused = ruth.patch("/api/admin/leads/101", json=fields)
    assert (refused.status_code, bool(refused.json()["message"])) == (422, True)
    assert add(ruth, "").status_code == 422
    assert add(ruth, "x" * 20_000).status_code == 413
    assert ruth.patch(f"/api/admin/leads/{10**20}", json=fields).status_code == 404


def test_admin_receives_every_lead_and_a_provider_its_own(market: Market, ruth: httpx.Client):
    add(ruth, "Ada Byron")
    lead = add(ruth, "Alan Turing", provider="42").json()
    assert eventually(lambda: {"Lead from Ada Byron", "Lead from Alan Turing"} <= set(market.titles("ruth")))
    assert eventually(lambda: market.titles("42")[:1] == ["New lead for you"])
    assert "New lead for you" not in market.titles("43")
    ruth.patch(f"/api/admin/leads/{lead['id']}", json={"status": "won"})
    assert eventually(lambda: "Alan Turing: won" in market.titles("42"))
    assert "Alan Turing: won" not in market.titles("ruth")


def test_lead_can_be_unassigned_and_reassigned_after_it_was_lost(market: Market, ruth: httpx.Client):
    lead = add(ruth, "Grace Hopper", provider="42").json()["id"]
    changed = ruth.patch(f"/api/admin/leads/{lead}", json={"provider": ""}).json()
    assert (changed["provider"], changed["status"]) == (None, "new")
    ruth.patch(f"/api/admin/leads/{lead}", json={"status": "lost"})
    changed = ruth.patch(f"/api/admin/leads/{lead}", json={"provider": "43", "status": "contacted"}).json()
    assert (changed["provider"], changed["status"]) == ("43", "contacted")
    assert eventually(lambda: "New lead for you" in market.titles("43"))


def test_provider_that_loses_a_lead_is_notified(market: Market, ruth: httpx.Client):
    lead = add(ruth, "Bob Ray", provider="42").json()["id"]
    ruth.patch(f"/api/admin/leads/{lead}", json={"provider": "43"})
    assert eventually(lambda: "Lead withdrawn: Bob Ray" in market.titles("42"))
    assert eventually(lambda: "Bob Ray: assigned to Oak Roofing" in market.titles("ruth"))
    ruth.patch(f"/api/admin/leads/{lead}", json={"provider": ""})
    assert eventually(lambda: "Lead withdrawn: Bob Ray" in market.titles("43"))
    assert eventually(lambda: "Bob Ray: unassigned" in market.titles("ruth"))
    assert market.titles("ruth").count("Lead from Bob Ray") == 1


def test_provider_that_loses_a_lead_gets_its_id_only(market: Market, ruth: httpx.Client):
    lead = add(ruth, "Karen Jones", provider="42").json()["id"]
    market.empty_outbox()
    with bare(market.server) as plumber, bare(market.server) as roofer:
        plumber.subscribe("private-provider.42")
        roofer.subscribe("private-provider.43")
        ruth.patch(f"/api/admin/leads/{lead}", json={"provider": "43", "status": "contacted"})
        assert json.loads(roofer.until("lead.assigned")["data"])["customer"] == "Karen Jones"
        roofer.until("lead.status.updated")
        frames = [plumber.next()]
        while frames[-1]["event"] != "lead.withdrawn":
            frames.append(plumber.next())
        assert json.loads(frames[-1]["data"]) == {"id": lead}
        assert not {"lead.assigned", "lead.status.updated"} & {frame["event"] for frame in frames}


def test_sign_out_of_the_admin_ends_its_live_connection(market: Market):
    with market.visitor("ruth") as ruth, bare(market.server) as page:
        for channel in ("private-admin", "private-App.Models.User.ruth"):
            form = {"socket_id": page.socket_id, "channel_name": channel}
            auth = ruth.post("/broadcasting/auth", data=form).json()["auth"]
            page.send_frame("pusher:subscribe", {"channel": channel, "auth": auth})
            page.until("pusher_internal:subscription_succeeded")
        ruth.post("/logout")
        with pytest.raises(ConnectionClosed):
            page.until("never")


def test_closed_lead_is_not_reassigned_by_accident(ruth: httpx.Client):
    lead = add(ruth, "Closed Case", provider="42").json()["id"]
    ruth.patch(f"/api/admin/leads/{lead}", json={"status": "won"})
    refused = ruth.patch(f"/api/admin/leads/{lead}", json={"provider": "43"})
    assert (refused.status_code, refused.json()["message"][:18]) == (409, "This lead is won: ")
    changed = ruth.patch(f"/api/admin/leads/{lead}", json={"provider": "43", "status": "assigned"}).json()
    assert (changed["provider"], changed["status"]) == ("43", "assigned")


def test_request_form_makes_leads_without_a_sign_in(market: Market, ruth: httpx.Client):
    fields = {"contact": "01632 960 146", "service": "Blocked drain", "city": "York"}
    with httpx.Client(base_url=market.url, timeout=60) as customer:
        assert "Request a quote" in customer.get("/request").text
        for _ in range(2):  # a double click
            sent = customer.post("/request", data={"customer": "Joan Clarke", "requestId": "once", **fields})
            assert sent.headers["location"] == "/request?sent"
        assert "Thank you" in customer.get("/request?sent").text
        assert customer.post("/request", data={"customer": "", **fields}).status_code == 422
        unreachable = customer.post("/request", data={"customer": "No Contact", **fields, "contact": ""})
        assert (unreachable.status_code, "contact: must have" in unreachable.text) == (422, True)
        forged = customer.post("/request", data={"customer": "Forged", "provider": "42", **fields})
        assert forged.status_code == 303
        for page in ("/request", "/login"):
            assert customer.post(page, data={"customer": "x" * 20_000}).status_code == 413
        while customer.post("/request", data={"customer": "Many", **fields}).status_code != 429:
            pass
        assert customer.post("/api/leads", json={"customer": "X", **fields}).status_code == 401
    named = {lead["customer"]: lead for lead in ruth.get("/leads").json()}
    assert (named["Joan Clarke"]["provider"], named["Forged"]["provider"]) == (None, None)
    assert eventually(lambda: market.titles("ruth").count("Lead from Joan Clarke") == 1)


def test_contact_of_a_lead_reaches_its_provider_and_is_in_no_event(
    market: Market, ruth: httpx.Client, plumber: httpx.Client
):
    with bare(market.server) as live:
        live.subscribe("private-provider.42")
        add(ruth, "Dorothy Vaughan", contact="01632 960 147", provider="42")
        published = json.loads(live.until("lead.assigned")["data"])
    assert (published["customer"], "contact" in published) == ("Dorothy Vaughan", False)
    for desk in (ruth, plumber):
        shown = {lead["customer"]: lead["contact"] for lead in desk.get("/leads").json()}
        assert shown["Dorothy Vaughan"] == "01632 960 147"


def test_partner_sends_leads_with_the_api_key(market: Market, ruth: httpx.Client, plumber: httpx.Client):
    lead = {"customer": "Mary Lee", "service": "New tap", "city": "Leeds", "provider": "42"}
    assert plumber.post("/admin/settings/key").status_code == 403
    keys = [re.search(r"key is <code>([^<]+)", ruth.post("/admin/settings/key").text)[1] for _ in range(2)]
    assert keys[1] not in ruth.get("/admin/settings").text + sqlite_dump(market.data / "leadwell.db")
    with httpx.Client(base_url=market.url, timeout=60) as partner:
        for key, status in ((keys[0], 401), ("x", 401), (keys[1], 201)):
            response = partner.post("/api/leads", json=lead, headers={"authorization": f"Bearer {key}"})
            assert response.status_code == status, key
        patch = partner.patch("/api/admin/leads/101", json={}, headers={"authorization": f"Bearer {keys[1]}"})
        assert patch.status_code == 401  # a key only adds leads
    assert eventually(lambda: "Lead from Mary Lee" in market.titles("ruth"))


def test_admins_can_have_a_private_channel(market: Market, ruth: httpx.Client, plumber: httpx.Client):
    form = {"socket_id": "1.2", "channel_name": "private-admin"}
    assert ruth.post("/broadcasting/auth", data=form).status_code == 200
    assert plumber.post("/broadcasting/auth", data=form).status_code == 403


def test_form_that_is_sent_twice_is_one_lead(market: Market, ruth: httpx.Client):
    first, second = (add(ruth, "Twice", requestId="form-1").json() for _ in range(2))
    assert first["id"] == second["id"]
    assert eventually(lambda: market.titles("ruth").count("Lead from Twice") == 1)


def test_settings_are_stored_tested_and_never_shown(market: Market, ruth: httpx.Client):
    page = ruth.get("/admin/settings").text
    assert market.server.key in page
    assert market.server.secret not in page
    form = {"enabled": "on", "app_id": market.server.project, "key": market.server.key, "host": "127.0.0.1"}
    form["port"] = str(market.server.port)
    successful = {"ok": True, "message": "Connection test successful."}
    assert ruth.post("/admin/settings/test", data=form).json() == successful
    assert ruth.post("/admin/settings", data={**form, "port": "x"}).status_code == 422
    assert "port" in ruth.post("/admin/settings/test", data={**form, "port": "x"}).json()["message"]
    # The form is tested before it is saved.
    assert ruth.post("/admin/settings/test", data={**form, "secret": "wrong"}).json()["ok"] is False
    assert ruth.post("/admin/settings/test", data=form).json() == successful
    wrong = ruth.post("/admin/settings", data={**form, "secret": "wrong"})
    assert wrong.headers["location"] == "/admin/settings?saved"
    assert ruth.post("/admin/settings/test", data=form).json()["ok"] is False
    ruth.post("/admin/settings", data={**form, "secret": market.server.secret})
    assert ruth.post("/admin/settings/test", data=form).json()["ok"] is True
    assert "signature" in ruth.get("/admin/troubleshooting").text


def test_settings_follow_the_server_of_each_start_until_the_admin_chooses_others(tmp_path: Path):
    def started(port: int, key: str) -> settings.PusherSettings:
        url, secret = f"http://127.0.0.1:{port}", "a secret of at least forty characters in all"
        create_app(url, secret, tmp_path, app_id="1", key=key)
        with database.transaction() as connection:
            return settings.read(connection)

    def save(stored: settings.PusherSettings, **changes: object) -> None:
        with database.transaction() as connection:
            settings.store(connection, replace(stored, **changes))

    database = Database(tmp_path / "leadwell.db", "")
    started(8787, "first")
    stored = started(49152, "second")
    assert (stored.port, stored.key) == (49152, "second")
    save(stored, private_admin=True)  # no credentials
    stored = started(8787, "third")
    assert (stored.port, stored.key, stored.private_admin) == (8787, "third", True)
    save(stored, host="push.example")
    assert started(49152, "fourth").host == "push.example"


@pytest.mark.parametrize(("key", "expected"), [("chosen", ("chosen", "chosen")), ("first", ("first", "second"))])
def test_credentials_from_before_the_column_are_chosen_if_they_differ(
    tmp_path: Path, key: str, expected: tuple[str, str]
):
    database = Database(tmp_path / "leadwell.db", settings.SCHEMA)
    with database.transaction() as connection:
        connection.execute("INSERT INTO pusher_settings VALUES (1, 1, '1', ?, 'secret', '127.0.0.1', 8787, 0)", [key])
    database = Database(tmp_path / "leadwell.db", settings.SCHEMA, settings.ADDED)
    for given, kept in zip(("first", "second"), expected, strict=True):
        with database.transaction() as connection:
            settings.seed(connection, "http://127.0.0.1:8787", "1", given, "secret")
            assert settings.read(connection).key == kept


@pytest.mark.thorough
def test_outage_of_leadwell_loses_and_duplicates_nothing(tmp_path: Path, two_workers: bool):
    with (
        Market(tmp_path, two_workers=two_workers) as market,
        market.visitor("ruth") as ruth,
        market.visitor("42") as plumber,
    ):
        market.server.kill()
        assert add(ruth, "During the outage", provider="42").status_code == 201
        assert plumber.patch("/api/provider/leads/101", json={"status": "won"}).status_code == 200
        market.stop()  # the rows survive a restart of the site, too
        market.start()
        market.server.start()
        assert eventually(lambda: len(market.titles("ruth")) == 2)
        assert sorted(market.titles("ruth")) == ["Lead from During the outage", "Priya Nair: won"]
        assert eventually(lambda: market.titles("42") == ["New lead for you"])
        assert [lead["status"] for lead in plumber.get("/leads").json()] == ["assigned", "won"]


def test_form_id_of_another_sender_is_another_lead(market: Market, ruth: httpx.Client):
    key = re.search(r"key is <code>([^<]+)", ruth.post("/admin/settings/key").text)[1]
    partner = {"headers": {"authorization": f"Bearer {key}"}}
    fields = {"service": "New bath", "city": "York", "requestId": "shared"}
    numbers = set()
    for customer, options in (("Of the partner", partner), ("Of the admin", {}), ("Of the partner", partner)):
        lead = ruth.post("/api/leads", json={"customer": customer, **fields}, **options).json()
        assert lead["customer"] == customer
        numbers.add(lead["id"])
    assert len(numbers) == 2


def test_new_lead_reaches_its_provider_by_e_mail_too(market: Market, ruth: httpx.Client):
    add(ruth, "Hedy Lamarr", provider="43")
    with Bellcast(market.server.url, market.server.secret) as bell:

        def texts():
            return [
                bell.messages.get(one.id).content["text"]
                for one in bell.messages.list(channel="email", recipient="43").messages
            ]

        assert eventually(lambda: any("Hedy Lamarr" in text for text in texts()))
        assert bell.messages.list(channel="email", recipient="ruth").messages == []
