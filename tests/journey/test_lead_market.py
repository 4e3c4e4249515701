"""The lead market over HTTP: sign-in, leads in a file, the Pusher settings, and an outage of Bellcast."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.faults.raw_sockets import eventually
from tests.lead_market_app import Market
from tests.sqlite_dump import sqlite_dump


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


def test_leadwell_sign_in_needs_the_password_and_sign_out_ends_the_session(market: Market):
    with market.visitor("43") as roofer:
        token, cookies = roofer.get("/bell-token").json()["token"], dict(roofer.cookies)
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


def test_form_that_is_sent_twice_is_one_lead(market: Market, ruth: httpx.Client):
    first, second = (add(ruth, "Twice", requestId="form-1").json() for _ in range(2))
    assert first["id"] == second["id"]
    assert eventually(lambda: market.titles("ruth").count("Lead from Twice") == 1)


def test_settings_are_stored_tested_and_never_shown(market: Market, ruth: httpx.Client):
    page = ruth.get("/admin/settings").text
    assert market.server.key in page
    assert market.server.secret not in page
    assert ruth.post("/admin/settings/test").json() == {"ok": True, "message": "Connection test successful."}
    form = {"enabled": "on", "app_id": market.server.project, "key": market.server.key, "host": "127.0.0.1"}
    assert ruth.post("/admin/settings", data={**form, "port": "x"}).status_code == 422
    wrong = ruth.post("/admin/settings", data={**form, "port": str(market.server.port), "secret": "wrong"})
    assert wrong.headers["location"] == "/admin/settings?saved"
    assert ruth.post("/admin/settings/test").json()["ok"] is False
    ruth.post("/admin/settings", data={**form, "port": str(market.server.port), "secret": market.server.secret})
    assert ruth.post("/admin/settings/test").json()["ok"] is True
    assert "signature" in ruth.get("/admin/troubleshooting").text


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
