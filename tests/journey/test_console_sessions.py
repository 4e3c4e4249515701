"""Sessions of the console's operators: how they end, and which an operator lists and ends."""

import pytest

from bellcast.operators import sign_in
from bellcast.operators.types import MAX_USER_AGENT
from tests.journey.operators import PASSWORD, as_cookie, browser, set_up, signed_in, user_agents
from tests.journey.rest import Rest, refused

pytestmark = pytest.mark.usefixtures("cheap_hashes")

HOUR = 60 * 60  # seconds
RIGHT = {"name": "owner", "password": PASSWORD}


async def test_servers_at_two_ports_of_a_machine_keep_their_sessions(rest: Rest) -> None:
    """Browsers send the cookies of a host to all its ports."""
    await set_up(rest)
    body = {"name": "owner", "password": PASSWORD}
    both = browser(rest, "http://127.0.0.1:8787")
    await both.post("/v1/session", json=body)
    other = {"origin": "http://127.0.0.1:8788", "host": "127.0.0.1:8788"}
    assert (await both.post("/v1/session", json=body, headers=other)).status_code == 200
    assert (await both.delete("/v1/session", headers=other)).status_code == 204
    assert refused(await both.get("/v1/me", headers=other), 401, "unauthenticated")
    assert (await both.get("/v1/me")).status_code == 200


async def test_sign_out_ends_the_session_on_the_server(rest: Rest) -> None:
    owner = await set_up(rest)
    stolen = dict(owner.cookies)
    assert (await owner.delete("/v1/session")).status_code == 204
    assert refused(await browser(rest).get("/v1/me", headers=as_cookie(stolen)), 401, "unauthenticated")


async def test_planted_session_is_not_upgraded_by_sign_in(rest: Rest) -> None:
    await set_up(rest)
    victim = browser(rest)
    planted = {"__Host-bellcast": "planted-by-an-attacker"}
    response = await victim.post(
        "/v1/session", json={"name": "owner", "password": PASSWORD}, headers=as_cookie(planted)
    )
    assert response.status_code == 200
    assert "planted" not in response.headers["set-cookie"]
    assert refused(await browser(rest).get("/v1/me", headers=as_cookie(planted)), 401, "unauthenticated")


async def test_sign_in_again_ends_the_earlier_session(rest: Rest) -> None:
    owner = await set_up(rest)
    earlier = dict(owner.cookies)
    assert (await owner.post("/v1/session", json={"name": "owner", "password": PASSWORD})).status_code == 200
    assert (await owner.get("/v1/me")).status_code == 200
    assert refused(await browser(rest).get("/v1/me", headers=as_cookie(earlier)), 401, "unauthenticated")


async def test_session_ends_when_idle_and_after_a_week(rest: Rest) -> None:
    owner = await set_up(rest)
    rest.clock.advance(12 * HOUR)
    assert refused(await owner.get("/v1/me"), 401, "unauthenticated")
    await owner.post("/v1/session", json={"name": "owner", "password": PASSWORD})
    for _ in range(16):
        rest.clock.advance(10 * HOUR)
        assert (await owner.get("/v1/me")).status_code == 200
    rest.clock.advance(8 * HOUR)
    assert refused(await owner.get("/v1/me"), 401, "unauthenticated")


async def test_owner_sees_and_ends_the_sessions_of_an_operator(rest: Rest) -> None:
    owner = await set_up(rest)
    bob = await signed_in(rest, "bob", "developer")
    rest.clock.advance(11 * HOUR)
    assert (await owner.get("/v1/me")).status_code == 200
    listed = (await rest.app.get("/v1/operators")).json()["operators"]
    assert {one["name"]: one["sessions"] for one in listed} == {"bob": 1, "owner": 1}
    ended = await rest.app.delete(f"/v1/operators/{listed[0]['id']}/sessions")
    assert ended.status_code == 204
    assert refused(await bob.get("/v1/me"), 401, "unauthenticated")
    rest.clock.advance(HOUR)
    listed = (await rest.app.get("/v1/operators")).json()["operators"]
    assert [one["sessions"] for one in listed] == [0, 1]
    assert refused(await rest.app.delete("/v1/operators/unknown/sessions"), 404, "not_found")


async def test_operator_lists_and_ends_its_own_sessions(rest: Rest) -> None:
    here = await set_up(rest)
    stranger = await signed_in(rest, "vera", "viewer")
    rest.clock.advance(HOUR)
    there = browser(rest)
    assert (await there.post("/v1/session", json=RIGHT)).status_code == 200
    listed = (await here.get("/v1/me/sessions")).json()["sessions"]
    assert sorted(one["current"] for one in listed) == [False, True]
    other = next(one for one in listed if not one["current"])
    (foreign,) = (await stranger.get("/v1/me/sessions")).json()["sessions"]
    for id in (foreign["id"], "unknown"):
        assert refused(await here.delete(f"/v1/me/sessions/{id}"), 404, "not_found")
    assert (await here.delete(f"/v1/me/sessions/{other['id']}")).status_code == 204
    assert refused(await there.get("/v1/me"), 401, "unauthenticated")
    assert [one["current"] for one in (await here.get("/v1/me/sessions")).json()["sessions"]] == [True]
    newest = (await here.get("/v1/audit?limit=1")).json()["entries"][0]
    assert (newest["action"], newest["actor"]) == ("DELETE /v1/me/sessions/{id}", "owner")
    ended = [(change["field"], change["from"], change["to"]) for change in newest["changes"]]
    assert ended == [("created_at", other["created_at"], None), ("seen_at", other["seen_at"], None)]
    assert refused(await here.delete(f"/v1/me/sessions/{other['id']}"), 404, "not_found")
    # A key has no session.
    assert refused(await rest.app.get("/v1/me/sessions"), 401, "unauthenticated")


async def test_operator_ends_a_session_without_its_password(rest: Rest) -> None:
    here, there = await set_up(rest), browser(rest)
    assert (await there.post("/v1/session", json=RIGHT)).status_code == 200
    rest.clock.advance(HOUR)
    assert refused(await here.delete("/v1/me/mfa"), 403, "password_required")
    other = (await here.get("/v1/me/sessions")).json()["sessions"][1]
    assert (await here.delete(f"/v1/me/sessions/{other['id']}")).status_code == 204


async def test_own_session_is_listed_first_and_those_beyond_the_limit_can_be_ended(
    rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sign_in, "MAX_LISTED_SESSIONS", 2)
    here, others = await set_up(rest), [browser(rest) for _ in range(3)]
    for other in others:
        rest.clock.advance(1)
        assert (await other.post("/v1/session", json=RIGHT)).status_code == 200
    unlisted = (await others[0].get("/v1/me/sessions")).json()["sessions"][0]["id"]
    listed = (await here.get("/v1/me/sessions")).json()["sessions"]
    assert [one["current"] for one in listed] == [True, False]
    assert unlisted not in [one["id"] for one in listed]
    assert (await here.delete(f"/v1/me/sessions/{unlisted}")).status_code == 204
    assert refused(await others[0].get("/v1/me"), 401, "unauthenticated")


async def test_sessions_that_have_ended_are_not_listed(rest: Rest) -> None:
    await set_up(rest)
    rest.clock.advance(13 * HOUR)
    later = browser(rest)
    assert (await later.post("/v1/session", json=RIGHT)).status_code == 200
    assert [one["current"] for one in (await later.get("/v1/me/sessions")).json()["sessions"]] == [True]


async def test_sessions_name_the_browser_of_their_sign_in(rest: Rest) -> None:
    here = await set_up(rest)
    first = here.headers["user-agent"]
    there = browser(rest)
    assert (await there.post("/v1/session", json=RIGHT, headers={"user-agent": "Second"})).status_code == 200
    # A later request of the same session by another program changes nothing.
    assert (await there.get("/v1/me", headers={"user-agent": "Third"})).status_code == 200
    assert await user_agents(here) == [first, "Second"]
    assert await user_agents(there) == ["Second", first]
    entries = (await here.get("/v1/audit")).text
    other = (await here.get("/v1/me/sessions")).json()["sessions"][1]
    assert (await here.delete(f"/v1/me/sessions/{other['id']}")).status_code == 204
    assert "Second" not in entries + (await here.get("/v1/audit")).text
    change = {"current": PASSWORD, "password": PASSWORD + "!"}
    assert (await here.put("/v1/me/password", json=change, headers={"user-agent": "Fourth"})).status_code == 200
    assert await user_agents(here) == ["Fourth"]


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("a" * (MAX_USER_AGENT + 1), "a" * MAX_USER_AGENT),
        ("Fire\tfox\x7f/1 \x85(X11)", "Firefox/1 (X11)"),
        ("\t", None),
        ("", None),
    ],
)
async def test_name_of_a_browser_is_cut_and_has_no_control_characters(
    rest: Rest, sent: str, stored: str | None
) -> None:
    await set_up(rest)
    client = browser(rest)
    header = {"user-agent": sent.encode("latin-1")}
    assert (await client.post("/v1/session", json=RIGHT, headers=header)).status_code == 200
    assert (await user_agents(client))[0] == stored


async def test_session_without_the_name_of_its_browser_is_listed(rest: Rest) -> None:
    """A browser need not send it."""
    await set_up(rest)
    client = browser(rest)
    del client.headers["user-agent"]
    assert (await client.post("/v1/session", json=RIGHT)).status_code == 200
    assert (await user_agents(client))[0] is None
