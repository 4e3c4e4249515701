"""An author tries a workflow: a simulation does what a run does, and changes nothing."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from bellcast.channels import links
from bellcast.kernel.clock import TestClock
from bellcast.server import parts
from tests.journey.channels import World, opened
from tests.sqlite_dump import sqlite_dump

MAIL = {"key": "mail", "type": "email", "subject": "Booked by {{ data.client }}", "text": "At {{ data.client }}"}
BELL = {"key": "bell", "type": "inbox", "title": "New booking by {{ data.client }}"}
LOOKED = {"key": "looked", "type": "wait_for", "event": "seen", "step": "bell", "timeout": "30m"}
BOOKING = {"type": "booking", "steps": [BELL, LOOKED, MAIL]}


async def simulate(world: World, key: str = "booking", **request: Any) -> dict[str, Any]:
    body = {"to": ["alice"], "data": {"client": "Ann"}, **request}
    found: dict[str, Any] = await world.request("POST", f"/v1/workflows/{key}/simulate", body)
    return found


async def path_of(world: World, key: str = "booking", **request: Any) -> dict[str, dict[str, Any]]:
    """Return the steps of the only recipient by their keys."""
    (run,) = (await simulate(world, key, **request))["recipients"]
    return {step["step"]: step for step in run["path"]}


async def refused(world: World, status: int, key: str = "booking", **request: Any) -> Any:
    body = {"to": ["alice"], "data": {"client": "Ann"}, **request}
    response = await world.client.post(f"/v1/workflows/{key}/simulate", json=body)
    assert response.status_code == status, response.text
    return response.json()


async def test_simulation_shows_the_path_with_times_decisions_and_content(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        await world.put("/v1/recipients/alice", {"email": "alice@example.com", "timezone": "Europe/Vienna"})
        await world.put("/v1/workflows/booking", BOOKING)
        found = await simulate(world)
        (run,) = found["recipients"]
        assert (run["recipient"], run["timezone"], run["state"]) == ("alice", "Europe/Vienna", "completed")
        assert (run["ends_at"], found["truncated"]) == ("2026-06-10T12:30:00Z", False)
        bell, looked, mail = run["path"]
        assert (bell["content"], bell["decision"]["text"]) == (
            {"title": "New booking by Ann"},
            "The inbox item would be sent immediately.",
        )
        assert (looked["at"], looked["until"], looked["reason"]) == (
            "2026-06-10T12:00:00Z",
            "2026-06-10T12:30:00Z",
            "timeout",
        )
        assert (mail["at"], mail["decision"]["outcome"]) == ("2026-06-10T12:30:00Z", "send")
        assert mail["content"]["subject"] == "Booked by Ann"
        seen = {"events": [{"step": "bell", "event": "seen", "after": "10m"}]}
        path = await path_of(world, **seen)
        assert [*path] == ["bell", "looked"]
        assert (path["looked"]["until"], path["looked"]["reason"]) == ("2026-06-10T12:10:00Z", "matched")
        assert await simulate(world, **seen) == await simulate(world, **seen)


async def test_given_values_are_simulated_else_the_draft_else_the_current_version(tmp_path: Path) -> None:
    def titled(title: str) -> dict[str, Any]:
        return {"steps": [{"key": "bell", "type": "inbox", "title": title}]}

    async def title(**request: Any) -> str:
        path = await path_of(world, **request)
        found: str = path["bell"]["content"]["title"]
        return found

    async with opened(tmp_path) as world:
        await refused(world, 404)
        assert await title(values=titled("Given")) == "Given"
        await world.put("/v1/workflows/booking", titled("Current"))
        assert await title() == "Current"
        await world.put("/v1/workflows/booking/draft", {"values": titled("Draft"), "base": 1})
        assert await title() == "Draft"
        assert await title(values=titled("Given")) == "Given"
        refusal = await refused(world, 422, values={"steps": [{"key": "d", "type": "delay", "for": "soon"}]})
        assert [one["field"] for one in refusal["errors"]] == ["values.steps.0.for"]
        await world.put("/v1/workflows/booking/draft", {"values": {"steps": []}, "base": 1})
        assert [one["field"] for one in (await refused(world, 422))["errors"]] == ["draft.steps"]


DIGEST = {"key": "all", "type": "digest", "cron": "0 8 * * *"}
LATER = {"key": "later", "type": "delay", "until": "2026-03-29T04:30:00"}
DAY = {"key": "day", "type": "delay", "for": "24h"}


@pytest.mark.parametrize("zone", ["Europe/Vienna", "America/New_York"])
async def test_simulation_over_a_change_of_summer_time_equals_a_run(tmp_path: Path, zone: str) -> None:
    """Vienna skips an hour on 29 March 2026: its next 8 o'clock is 23 hours after the last."""
    steps = [BELL, LATER, DIGEST, DAY, {**DIGEST, "key": "more"}, MAIL]
    async with opened(tmp_path, "2026-03-28T06:59:00+00:00") as world:
        await world.put("/v1/recipients/alice", {"email": "alice@example.com", "timezone": zone})
        await world.put("/v1/recipients/alice/preferences", {"quiet_hours": {"start": "07:00", "end": "09:00"}})
        await world.put("/v1/workflows/booking", {"steps": steps})
        (simulated,) = (await simulate(world))["recipients"]
        body = {"to": "alice", "data": {"client": "Ann"}}
        run = (await world.request("POST", "/v1/workflows/booking/trigger", body))["run"]
        await world.advance("5d")
        real = await world.get(f"/v1/runs/{run}")
        assert [(one["step"], one["at"], one["state"]) for one in simulated["path"]] == [
            (one["key"], one["started_at"], one["state"]) for one in real["steps"]
        ]
        assert (simulated["state"], simulated["ends_at"]) == (real["state"], real["ended_at"])
        (message,) = await world.messages(run=run)
        mail = simulated["path"][-1]
        assert (mail["decision"]["outcome"], mail["decision"]["rule"]) == ("hold", "quiet_hours")
        (explained,) = [
            one
            for one in (await world.get("/v1/explain", recipient="alice", run=run))["channels"]
            if one["channel"] == "email"
        ]
        assert (explained["outcome"], explained["rule"], explained["at"]) == (
            mail["decision"]["outcome"],
            mail["decision"]["rule"],
            mail["decision"]["at"],
        )
        text = re.sub(r"(/u|/preferences)/[\w-]+", rf"\1/{links.PLACEHOLDER}", message["content"]["text"])
        assert (mail["content"]["subject"], mail["content"]["text"]) == (message["content"]["subject"], text)
        assert f"/u/{links.PLACEHOLDER}" in text


async def test_template_writes_no_link_of_a_recipient_in_any_form(tmp_path: Path) -> None:
    """An author decides the form of a text: a token that is hidden afterwards could be written otherwise."""
    text = "|{{ preferences_url | list | join('~') }}|{{ unsubscribe_url | list | join('~') }}|"
    mail = {"key": "mail", "type": "email", "subject": "x", "text": text}
    async with opened(tmp_path) as world:
        await world.put("/v1/recipients/alice", {"email": "alice@example.com"})
        await world.put("/v1/workflows/booking", BOOKING)
        await world.put("/v1/templates/booking", {"sms": {"text": text}})
        path = await path_of(world, values={"steps": [mail]})
        preview = await world.request("POST", "/v1/templates/booking/preview", {"recipient": "alice"})
        for shown in (path["mail"]["content"]["text"], preview["sms"]["text"]):
            urls = [one.replace("~", "") for one in shown.split("|")[1:3]]
            assert [url.rsplit("/", 1)[1] for url in urls] == [links.PLACEHOLDER] * 2


EXPLAINED = {
    "muted": ({"email": "a@example.com"}, {"muted": {"booking": True}}),
    "no_address": ({"email": None}, {}),
    "quiet_hours": ({"email": "a@example.com"}, {"quiet_hours": {"start": "11:00", "end": "18:00"}}),
    "digest": ({"email": "a@example.com"}, {"digest": {"booking": "daily"}}),
    "channel": ({"email": "a@example.com"}, {"channels": {"email": False}}),
}


@pytest.mark.parametrize("rule", EXPLAINED)
async def test_simulated_decisions_are_those_of_explanations_and_nothing_is_stored(tmp_path: Path, rule: str) -> None:
    fields, preferences = EXPLAINED[rule]
    async with opened(tmp_path) as world:
        await world.put("/v1/recipients/alice", {"timezone": "Europe/Vienna", **fields})
        await world.put("/v1/recipients/alice/preferences", preferences)
        await world.put("/v1/workflows/booking", {"type": "booking", "steps": [MAIL]})
        database = tmp_path / "bellcast.db"
        before = sqlite_dump(database)
        path = await path_of(world)
        assert sqlite_dump(database) == before
        explained = await world.get("/v1/explain", recipient="alice", type="booking", channel="email")
        (channel,) = explained["channels"]
        decision = path["mail"]["decision"]
        assert decision["rule"] == rule
        names = ("channel", "outcome", "rule", "by", "at")
        assert {name: decision[name] for name in names} == {name: channel[name] for name in names}
        assert channel["text"].startswith(decision["text"])


async def test_simulated_call_opens_no_socket(tmp_path: Path) -> None:
    connected: list[object] = []

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.append(writer.get_extra_info("peername"))
        writer.close()

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/score"
    risky = {"var": "steps.score.result.risk", "op": "gte", "value": 10}
    steps = [{"key": "score", "type": "http", "url": url}, {**BELL, "if": risky}]
    async with server, opened(tmp_path, environment={"BELLCAST_HTTP_ALLOW": "127.0.0.1"}) as world:
        await world.put("/v1/workflows/booking", {"steps": steps})
        path = await path_of(world)
        assert (path["score"]["state"], path["score"]["assumed"], path["bell"]["state"]) == ("done", True, "skipped")
        assert path["bell"]["conditions"] == [
            {"if": risky, "values": {"steps.score.result.risk": None}, "result": False}
        ]
        path = await path_of(world, results={"score": {"risk": 12}})
        assert (path["score"]["assumed"], path["bell"]["state"]) == (False, "done")
        assert path["bell"]["conditions"][0]["values"] == {"steps.score.result.risk": 12}
        assert not connected


async def test_branch_shows_the_conditions_that_were_evaluated(tmp_path: Path) -> None:
    def more_than(total: int) -> dict[str, Any]:
        return {"var": "data.total", "op": "gt", "value": total}

    inner = {"key": "inner", "type": "inbox", "title": "Some", "if": {"var": "data.vip", "op": "exists"}}
    branches = [
        {"if": more_than(100), "steps": [{"key": "much", "type": "inbox", "title": "Much", "if": more_than(1)}]},
        {"if": more_than(10), "steps": [inner]},
        {"if": more_than(5), "steps": [{"key": "few", "type": "inbox", "title": "Few"}]},
    ]
    rest = [{"key": "none", "type": "stop"}]
    gate = {"key": "gate", "type": "branch", "branches": branches, "else": rest}
    async with opened(tmp_path) as world:
        await world.put("/v1/workflows/booking", {"steps": [gate]})
        path = await path_of(world, data={"total": 50})
        assert path["gate"]["branch"] == 1
        assert [(one["if"]["value"], one["result"]) for one in path["gate"]["conditions"]] == [(100, False), (10, True)]
        assert [one["result"] for one in path["inner"]["conditions"]] == [False]
        assert [(path[key]["state"], path[key]["conditions"]) for key in ("much", "few", "none")] == [
            ("skipped", [])
        ] * 3
        path = await path_of(world, data={"total": 1})
        assert (path["gate"]["branch"], path["none"]["state"]) == ("else", "done")
        assert [one["result"] for one in path["gate"]["conditions"]] == [False] * 3


async def test_throttles_and_digests_count_the_runs_of_the_request_only(tmp_path: Path) -> None:
    collect = {"key": "all", "type": "digest", "window": "1h"}
    title = "{{ digest.count }}: {% for one in digest['items'] %}{{ one.client }} {% endfor %}"
    limit = {"key": "limit", "type": "throttle", "window": "1d", "limit": 2}
    async with opened(tmp_path) as world:
        await world.put(
            "/v1/workflows/booking", {"steps": [limit, collect, {"key": "bell", "type": "inbox", "title": title}]}
        )
        for _ in range(2):
            await world.request("POST", "/v1/workflows/booking/trigger", {"to": "alice", "data": {"client": "Eve"}})
        await world.run_due()
        path = await path_of(world, digest={"all": [{"client": "Bob"}, {"client": "Cy"}]})
        assert path["bell"]["content"]["title"].split() == ["3:", "Ann", "Bob", "Cy"]
        assert path["all"]["until"] == "2026-06-10T13:00:00.001000Z"
        (run,) = (await simulate(world, throttled={"limit": 2}))["recipients"]
        assert (run["state"], [one["step"] for one in run["path"]]) == ("throttled", ["limit"])


@pytest.mark.parametrize("event", ["read", "acted"])
async def test_item_that_was_read_has_been_seen(tmp_path: Path, event: str) -> None:
    unseen = {**MAIL, "if": {"var": "steps.bell.seen_at", "op": "empty"}}
    async with opened(tmp_path) as world:
        await world.put("/v1/workflows/booking", {"steps": [BELL, {**LOOKED, "on_match": "continue"}, unseen]})
        path = await path_of(world, events=[{"step": "bell", "event": event, "after": "10m"}])
        assert (path["looked"]["reason"], path["mail"]["reason"]) == ("matched", "condition")


async def test_live_event_ends_the_wait_that_it_matches(tmp_path: Path) -> None:
    condition = {"var": "event.data.total", "op": "gt", "value": 10}
    wait = {"key": "paid", "type": "wait_for", "event": "paid", "topic": "shop.{{ data.client }}", "match": condition}
    bell = {"key": "bell", "type": "inbox", "title": "{{ event.topic }} {{ event.data.total }}"}
    async with opened(tmp_path) as world:
        await world.put("/v1/workflows/booking", {"steps": [{**wait, "timeout": "1h", "on_match": "continue"}, bell]})
        events = [
            {"name": "paid", "data": {"total": 1}, "after": "1m"},
            {"name": "other", "data": {"total": 100}, "after": "2m"},
            {"name": "paid", "data": {"total": 20}, "after": "3m"},
        ]
        path = await path_of(world, events=events)
        assert (path["paid"]["reason"], path["paid"]["until"]) == ("matched", "2026-06-10T12:03:00Z")
        assert path["bell"]["content"]["title"] == "shop.Ann 20"


async def test_fields_and_preferences_of_the_request_replace_those_of_the_record(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        await world.put("/v1/recipients/alice", {"name": "Alice", "email": "alice@example.com"})
        await world.put("/v1/suppressions/email/bad@example.com", {})
        await world.put("/v1/workflows/booking", {"steps": [MAIL]})
        to = [
            "alice",
            {"key": "bob", "email": "bob@example.com", "timezone": "Asia/Tokyo"},
            {"key": "cy", "email": "bad@example.com"},
            {"key": "dan"},
        ]
        found = await simulate(world, to=to, preferences={"bob": {"muted": {"*": True}}})
        rules = [run["path"][0]["decision"]["rule"] for run in found["recipients"]]
        assert rules == [None, "muted", "suppressed", "no_address"]
        assert found["recipients"][1]["timezone"] == "Asia/Tokyo"


async def test_decision_names_the_type_as_an_explanation_does(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        await world.put("/v1/recipients/alice", {"name": "Alice", "email": "alice@example.com"})
        await world.put("/v1/types/booking", {"name": "Bookings"})
        await world.put("/v1/recipients/alice/preferences", {"types": {"booking": {"email": False}}})
        await world.put("/v1/workflows/booking", {"type": "booking", "steps": [MAIL]})
        text = "The e-mail would not be sent, because e-mails of the type Bookings are switched off for Alice."
        assert (await path_of(world))["mail"]["decision"]["text"] == text
        explained = await world.get("/v1/explain", recipient="alice", type="booking", channel="email")
        assert [one["text"] for one in explained["channels"]] == [text]


async def test_missing_variables_fail_the_step_as_in_a_run(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        await world.put("/v1/recipients/alice", {"email": "alice@example.com"})
        steps = [{"key": "mail", "type": "email", "subject": "{{ data.a }}", "text": "{{ data.b }}"}]
        await world.put("/v1/workflows/booking", {"steps": steps})
        (simulated,) = (await simulate(world, data={}))["recipients"]
        assert simulated["path"][0]["missing"] == ["data.a", "data.b"]
        run = (await world.request("POST", "/v1/workflows/booking/trigger", {"to": "alice"}))["run"]
        await world.run_due()
        real = await world.get(f"/v1/runs/{run}")
        assert (simulated["state"], simulated["reason"]) == (real["state"], real["reason"]) != ("failed", None)


DARK = "<style>@media (prefers-color-scheme: dark) { h1 { color: #fff } }</style>"


async def test_email_of_a_step_is_html_for_a_frame(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        await world.put(
            "/v1/workflows/booking", {"steps": [BELL, {**MAIL, "html": f"{DARK}<h1>Hello {{{{ data.client }}}}</h1>"}]}
        )
        path = "/v1/workflows/booking/simulate"
        to = ["alice", {"key": "bob", "email": "bob@example.com"}]
        body = {"to": to, "data": {"client": "<Ann>"}}
        for sent in ({"json": body}, {"data": {"request": json.dumps(body)}}):
            response = await world.client.post(f"{path}?html=1.mail", **sent)
            assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
            assert "<h1>Hello &lt;Ann&gt;</h1>" in response.text
            assert "prefers-color-scheme" not in response.text  # light, also in a dark browser
            assert "sandbox" in response.headers["content-security-policy"]
        light, dark = [
            (await world.client.post(f"{path}?html=1.mail&scheme={scheme}", json=body)).text
            for scheme in ("light", "dark")
        ]
        assert light == response.text
        assert dark != light
        assert "prefers-color-scheme" not in dark
        assert (await world.client.post(f"{path}?html=1.bell", json=body)).status_code == 409
        assert (await world.client.post(f"{path}?html=2.mail", json=body)).status_code == 422


async def test_simulation_ends_at_its_limits(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        await world.put("/v1/workflows/long", {"steps": [{**DAY, "for": "300d"}, {**DAY, "key": "on", "for": "300d"}]})
        found = await simulate(world, "long")
        assert found["truncated"] is True
        assert [(run["state"], run["ends_at"]) for run in found["recipients"]] == [("waiting", None)]
        text = "{{ data.long }}"
        large = [{"key": f"m{number}", "type": "inbox", "title": "T", "body": text} for number in range(10)]
        await world.put("/v1/workflows/large", {"steps": large})
        body = {"to": ["alice", "bob"], "data": {"long": "x" * 60_000}}
        response = await world.client.post("/v1/workflows/large/simulate", json=body)
        assert response.json()["truncated"] is True
        assert 900_000 < len(response.content) < 1_048_576 + 1000
        wrong = [
            ({"to": [f"r{number}" for number in range(11)]}, "to"),
            ({"to": ["alice", "alice"]}, "to.1"),
            ({"events": [{"step": "bell", "event": "seen"}]}, "events.0.step"),
            ({"events": [{"step": "day", "event": "seen"}]}, "events.0.event"),
            ({"events": [{"step": "day"}]}, "events.0"),
            ({"results": {"none": 1}}, "results.none"),
            ({"preferences": {"alice": {"digest_at": "noon"}}}, "preferences.alice.digest_at"),
        ]
        for request, field in wrong:
            refusal = await refused(world, 422, "long", **request)
            assert [one["field"] for one in refusal["errors"]] == [field]


@pytest.fixture
def system_clock(monkeypatch: pytest.MonkeyPatch) -> TestClock:
    """The system time of servers that are opened."""
    clock = TestClock(1_750_000_000_000)
    monkeypatch.setattr(parts, "SystemClock", lambda: clock)
    return clock


async def test_thirty_first_simulation_within_a_minute_of_the_system_time_is_refused(
    tmp_path: Path, system_clock: TestClock
) -> None:
    async with opened(tmp_path) as world:
        await world.put("/v1/workflows/booking", {"steps": [BELL]})
        for _ in range(30):
            await simulate(world)
        await world.advance("1m")
        assert (await refused(world, 429))["code"] == "too_many"
        system_clock.set(system_clock.now() + 60_000)
        await simulate(world)


async def test_counts_are_repeated_for_ten_seconds_of_the_system_time(tmp_path: Path, system_clock: TestClock) -> None:
    async with opened(tmp_path) as world:
        await world.put("/v1/workflows/booking", {"steps": [DAY]})
        for seconds, counted in ((0, {}), (9, {}), (2, {"waiting": 2})):
            system_clock.set(system_clock.now() + seconds * 1000)
            assert (await world.get("/v1/workflows/booking/stats"))["runs"] == counted
            await world.request("POST", "/v1/workflows/booking/trigger", {"to": "alice"})
            await world.run_due()
