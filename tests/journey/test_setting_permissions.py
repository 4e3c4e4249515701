"""Who may change each setting in the database: an allowed change must not have an effect that its caller's scopes and role
do not permit. A new setting needs a row here and, if it is owner-only, in docs/design/auth.md."""

from pathlib import Path
from typing import Literal, NamedTuple

import httpx
import pytest

from bellcast.auth.keys import SCOPES
from bellcast.operators.types import VERIFIED_MS
from bellcast.settings import database as database_settings
from tests.journey.operators import PASSWORD, keyed, set_up, signed_in
from tests.journey.rest import Caller, Rest, fields

DESIGN = Path(__file__).parents[2] / "docs/design/auth.md"
URL = "https://app.example.com/bell"


class Row(NamedTuple):
    """Who may change a setting besides the project secret: operators always need a recent password. `value` is a valid
    change, and `minimum` the lowest value above 0."""

    by: Literal["configure", "owner"]
    value: str
    minimum: str | None = None


LIMITS = [
    *("key", "topic", "title", "body", "type", "group", "url", "tags", "tag", "data", "event_name", "event_data", "to"),
    *(
        "bulk",
        "bulk_items",
        "frame",
        "frames_per_second",
        "topics_per_connection",
        "unsent",
        "connections_per_recipient",
    ),
    *("connections_per_address", "connections", "replay", "ids", "sends_per_second", "sends_per_day"),
]
ROWS = {
    # which sessions and pages are accepted, and what clients may follow, see and publish
    "jwks_url": Row("owner", URL),
    "jwks_issuer": Row("owner", "issuer"),
    "jwks_audience": Row("owner", "bell"),
    "jwt_claims": Row("owner", "recipient=sub"),
    "session_url": Row("owner", URL),
    "origins": Row("owner", "https://evil.example"),
    "anonymous": Row("owner", "allow"),
    "public_topics": Row("owner", "*"),
    "presence_topics": Row("owner", "*"),
    "pusher_aliases": Row("owner", "private-x.{recipient}"),
    "pusher_client_events": Row("owner", "off"),
    "pusher_watchlists": Row("owner", "off"),
    # where data and recipients of all tenants are sent
    "handler_url": Row("owner", URL),
    "pusher_webhook_url": Row("owner", URL),
    "app_url": Row("owner", "https://evil.example"),
    # what recipients of all tenants receive
    "newcomers": Row("owner", "3d"),
    "simulate": Row("owner", "email"),
    "retries": Row("owner", "10,60"),
    "brand": Row("owner", '{"name": "Shop", "color": "#0a5c36"}'),
    # when data of all tenants is deleted
    "retention": Row("owner", "90d", minimum="1d"),
    "run_retention": Row("owner", "7d", minimum="1d"),
    "tombstones": Row("owner", "20d", minimum="1d"),
    "topic_history": Row("owner", "*=1s"),
    "limit_history": Row("owner", "1"),
    # the rest can be taken back
    "access_log": Row("configure", "errors"),
    "log_requests": Row("configure", "on"),
    "locale": Row("configure", "de"),
    "locales": Row("configure", "en,de"),
    "timezone": Row("configure", "Europe/Vienna"),
    "pusher_enabled": Row("configure", "off"),
    "pusher_activity_timeout": Row("configure", "90"),
    "pusher_client_events_per_second": Row("configure", "5"),
    "pusher_subscription_count": Row("configure", "off"),
    "pusher_watchlist": Row("configure", "50"),
    "pusher_authorized_within": Row("configure", "10"),
    "pusher_presence_members": Row("configure", "100"),
    "pusher_channels_per_event": Row("configure", "50"),
    "pusher_batch": Row("configure", "5"),
    "pusher_cache_ttl": Row("configure", "600"),
    "limit_request": Row("configure", "70000", minimum="65536"),
    "limit_requests_per_second": Row("configure", "50000", minimum="5"),
    **{f"limit_{name}": Row("configure", "5000") for name in LIMITS},
}


@pytest.fixture
async def owner(rest: Rest, cheap_hashes: None) -> httpx.AsyncClient:
    return await set_up(rest)


async def revision(rest: Rest) -> int:
    number: int = (await rest.app.get("/v1/settings")).json()["revision"]
    return number


async def attempts(rest: Rest, caller: Caller | httpx.AsyncClient, name: str, value: str) -> list[httpx.Response]:
    """Set a setting, restore a revision without it, reset it, and plan to set it, each after the project secret has
    prepared it. Return the responses to the caller."""
    made: list[httpx.Response] = []
    number = await revision(rest)

    async def prepared(**body: object) -> int:
        nonlocal number
        if made and made[-1].status_code == 200:
            number = made[-1].json()["revision"]
        changed = await rest.app.patch("/v1/settings", json={"revision": number, **body})
        assert changed.status_code == 200, changed.text
        number = changed.json()["revision"]
        return number

    before = await prepared(reset=[name])
    made.append(await caller.patch("/v1/settings", json={"revision": before, "set": {name: value}}))
    body = {"revision": await prepared(set={name: value}), "to": before}
    made.append(await caller.post("/v1/settings/rollback", json=body))
    made.append(
        await caller.patch("/v1/settings", json={"revision": await prepared(set={name: value}), "reset": [name]})
    )
    body = {"revision": await prepared(reset=[name]), "set": {name: value}, "dry_run": True}
    return [*made, await caller.patch("/v1/settings", json=body)]


async def outcome(rest: Rest, caller: Caller | httpx.AsyncClient, name: str) -> str:
    """Return the outcome of all attempts of a caller to change a setting, which must be the same."""
    responses = await attempts(rest, caller, name, ROWS[name].value)
    outcomes = {"ok" if one.status_code == 200 else one.json()["code"] for one in responses}
    assert len(outcomes) == 1, (name, [one.text for one in responses])
    return outcomes.pop()


async def test_every_setting_has_a_row(rest: Rest) -> None:
    shown = {one["name"]: one for one in (await rest.app.get("/v1/settings")).json()["settings"]}
    assert shown.keys() == ROWS.keys()
    owners = {name for name, row in ROWS.items() if row.by == "owner"}
    assert {name for name, one in shown.items() if one["is_owner_only"]} == owners
    documented = DESIGN.read_text()
    assert [name for name in owners if f"`{name}`" not in documented] == []


async def test_setting_is_changed_only_by_the_callers_of_its_row(rest: Rest, owner: httpx.AsyncClient) -> None:
    """By setting it, a rollback, resetting it, and a dry run."""
    key, all_scopes = await keyed(rest, "configure"), await keyed(rest, *SCOPES)
    developer = await signed_in(rest, "dev", "developer")
    for name, row in ROWS.items():
        for caller in (key, developer) if row.by == "configure" else (key, developer, all_scopes):
            assert await outcome(rest, caller, name) == ("ok" if row.by == "configure" else "forbidden"), name
        assert await outcome(rest, owner, name) == "ok", name


async def test_operators_need_a_recent_password_for_every_setting(rest: Rest, owner: httpx.AsyncClient) -> None:
    developer = await signed_in(rest, "dev", "developer")
    rest.clock.advance(VERIFIED_MS / 1000)
    for name in ROWS:
        assert await outcome(rest, owner, name) == "password_required", name
    assert await outcome(rest, developer, "limit_title") == "password_required"
    for operator in (owner, developer):
        assert (await operator.put("/v1/session/verification", json={"password": PASSWORD})).status_code == 204
    assert await outcome(rest, owner, "retention") == "ok"
    assert await outcome(rest, developer, "limit_title") == "ok"


async def test_roles_and_keys_without_the_scope_change_no_setting(rest: Rest, owner: httpx.AsyncClient) -> None:
    callers: list[Caller | httpx.AsyncClient] = [await signed_in(rest, role, role) for role in ("support", "viewer")]
    callers += [await keyed(rest, *(one for one in SCOPES if one != "configure"))]
    callers += [await signed_in(rest, "bound", "developer", ["acme"])]
    for caller in callers:
        for name in ("retention", "limit_title"):
            assert await outcome(rest, caller, name) == "forbidden"


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.minimum is not None])
async def test_values_below_the_minimum_are_refused_also_by_a_rollback(
    rest: Rest, owner: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    minimum = ROWS[name].minimum
    assert minimum is not None
    setting = database_settings.SETTINGS[name]
    below = str(int(setting.parse(minimum)) - 1)
    for caller in (rest.app, owner):
        body = {"revision": await revision(rest), "set": {name: below}}
        refusal = await caller.patch("/v1/settings", json=body)
        assert fields(refusal).keys() == {f"set.{name}"}
        assert minimum in fields(refusal)[f"set.{name}"]
    with monkeypatch.context() as earlier:  # a revision of a version without minimums
        earlier.setattr(database_settings, "MINIMUMS", {})
        stored = (await rest.app.patch("/v1/settings", json=body)).json()["revision"]
    body = {"revision": stored, "set": {"locale": "de"}}
    assert (await owner.patch("/v1/settings", json=body)).status_code == 200  # another setting can still be changed
    assert (await owner.patch("/v1/settings", json={"revision": stored + 1, "set": {name: minimum}})).status_code == 200
    refusal = await owner.post("/v1/settings/rollback", json={"revision": stored + 2, "to": stored})
    assert name in fields(refusal)["to"]
    assert (await rest.app.get("/v1/settings")).json()["revision"] == stored + 2
