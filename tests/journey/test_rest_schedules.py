"""Schedules over REST."""

from tests.journey.rest import fields, refused

BODY = {"cron": "0 8 * * 1", "timezone": "Europe/Vienna", "notification": {"to": "alice", "title": "Plan the week"}}


async def test_schedule_is_written_listed_fired_and_deleted(rest):
    created = await rest.app.put("/v1/schedules/week", json=BODY)
    assert created.status_code == 201, created.text
    shown = created.json()
    assert (shown["key"], shown["last_at"], shown["missed"], shown["active"]) == ("week", None, "latest", True)
    assert (await rest.app.put("/v1/schedules/week", json=shown)).status_code == 200
    times = (await rest.app.get("/v1/schedules/week/next?count=2")).json()["times"]
    assert (times[0], len(times)) == (shown["next_at"], 2)
    assert [one["key"] for one in (await rest.app.get("/v1/schedules")).json()["schedules"]] == ["week"]
    assert (await rest.app.get("/v1/schedules?tenant=acme")).json()["schedules"] == []
    fired = await rest.app.post("/v1/schedules/week/run")
    assert (fired.status_code, fired.json()["notifications"][0]["recipient"]) == (202, "alice")
    assert (await rest.app.delete("/v1/schedules/week")).status_code == 204
    assert refused(await rest.app.get("/v1/schedules/week"), 404, "not_found")


async def test_wrong_schedules_are_refused(rest):
    unknown = await rest.app.put("/v1/schedules/x", json={"cron": "0 8 * * 1", "workflow": "none", "to": "alice"})
    assert "workflow" in fields(unknown)
    assert refused(await rest.app.put("/v1/schedules/x", json={**BODY, "typo": 1}), 422, "invalid")
    assert refused(await rest.app.put("/v1/schedules/a b", json=BODY), 422, "invalid")
    assert (await rest.app.put("/v1/schedules/x?dry_run=true", json=BODY)).status_code == 200
    assert refused(await rest.app.get("/v1/schedules/x"), 404, "not_found")
