"""Workflows and runs over REST."""

import msgspec
import pytest

from bellcast.workflows.types.runs import RunCommit, RunState, StepState, encode
from tests.journey.rest import Rest, fields, refused

STEPS = [
    {"key": "bell", "type": "inbox", "title": "Hello {{ data.name }}"},
    {"key": "later", "type": "delay", "for": "30m"},
]
YAML = """
type: booking
steps:
  - key: bell
    type: inbox
    title: New booking
  - key: later
    type: delay
    for: {duration}
"""
YAML_TYPE = {"content-type": "application/yaml"}


async def put(rest: Rest, key: str = "booking", **options):
    return await rest.app.put(f"/v1/workflows/{key}", **{"json": {"steps": STEPS}, **options})


async def test_version_that_names_a_deleted_template_cannot_be_made_current(rest: Rest) -> None:
    await rest.app.put("/v1/templates/hello", json={"inbox": {"title": "Hello"}})
    for step in ({"template": "hello"}, {"title": "Hello"}):
        steps = [{"key": "bell", "type": "inbox", **step}]
        assert (await rest.app.put("/v1/workflows/welcome", json={"steps": steps})).status_code in (200, 201)
    assert (await rest.app.delete("/v1/templates/hello")).status_code == 204
    refused = await rest.app.patch("/v1/workflows/welcome", json={"version": 1})
    assert (refused.status_code, refused.json()["detail"]) == (
        409,
        "Version 1 cannot be used any more: steps.0.template: there is no template 'hello'",
    )
    assert (await rest.app.get("/v1/workflows/welcome")).json()["version"] == 2
    assert (await rest.app.patch("/v1/workflows/welcome", json={"active": False})).status_code == 200


async def test_unknown_templates_are_reported_in_the_order_of_the_steps(rest: Rest) -> None:
    unknown = {"type": "inbox", "template": "none"}
    branch = {"if": {"var": "data.total", "op": "exists"}, "steps": [{"key": "inner", **unknown}]}
    steps = [
        {"key": "size", "type": "branch", "branches": [branch], "else": [{"key": "other", **unknown}]},
        {"key": "last", **unknown},
    ]
    response = await rest.app.put("/v1/workflows/booking", json={"steps": steps})
    assert list(fields(response)) == [
        "steps.0.branches.0.steps.0.template",
        "steps.0.else.0.template",
        "steps.1.template",
    ]


class TestDefinitions:
    async def test_changed_content_is_a_new_version_and_equal_content_is_not(self, rest):
        created = await put(rest)
        assert (created.status_code, created.json()["version"], created.json()["active"]) == (201, 1, True)
        same = await put(rest, json=created.json())
        assert (same.status_code, same.json()["version"]) == (200, 1)
        other = await put(rest, json={"steps": STEPS[:1]})
        assert other.json()["version"] == 2
        assert len((await rest.app.get("/v1/workflows/booking?version=1")).json()["steps"]) == 2
        versions = (await rest.app.get("/v1/workflows/booking/versions")).json()["versions"]
        assert [one["version"] for one in versions] == [2, 1]
        assert [one["key"] for one in (await rest.app.get("/v1/workflows")).json()["workflows"]] == ["booking"]

    async def test_dry_run_only_validates(self, rest):
        planned = await put(rest, params={"dry_run": "true"})
        assert refused(await rest.app.get("/v1/workflows/booking"), 404, "not_found")
        assert (planned.status_code, planned.json()) == (
            200,
            (await put(rest)).json() | {"effects": [], "findings": []},
        )
        again = [await put(rest, params={"dry_run": "true"}, json={"steps": steps}) for steps in (STEPS, STEPS[:1])]
        assert [one.json()["version"] for one in again] == [1, 2]
        assert refused(await put(rest, params={"dry_run": "true"}, json={"steps": []}), 422, "invalid")

    async def test_url_of_a_step_leads_to_public_addresses(self, rest):
        step = {"key": "call", "type": "http"}
        for url, fields_of in (("http://10.0.0.1/x", {"steps.0.url"}), ("https://{{ data.host }}/x", set())):
            response = await put(rest, json={"steps": [step | {"url": url}]})
            assert set(fields(response) if response.status_code == 422 else ()) == fields_of

    async def test_older_version_becomes_current_again(self, rest):
        await put(rest)
        await put(rest, json={"steps": STEPS[:1]})
        changed = await rest.app.patch("/v1/workflows/booking", json={"version": 1})
        assert (changed.json()["version"], len(changed.json()["steps"])) == (1, 2)
        assert refused(await rest.app.patch("/v1/workflows/booking", json={"version": 9}), 422, "invalid")

    async def test_null_in_a_change_changes_nothing(self, rest):
        before = (await put(rest)).json()
        changed = await rest.app.patch("/v1/workflows/booking", json={"active": None, "version": None})
        assert (changed.status_code, changed.json()["active"], changed.json()["version"]) == (
            200,
            before["active"],
            before["version"],
        )

    async def test_yaml_errors_name_path_and_line(self, rest):
        good = await put(rest, json=None, content=YAML.replace("{duration}", "30m"), headers=YAML_TYPE)
        assert (good.status_code, good.json()["type"]) == (201, "booking")
        bad = await put(rest, json=None, content=YAML.replace("{duration}", "soon"), headers=YAML_TYPE)
        (error,) = bad.json()["errors"]
        assert (error["field"], error["line"]) == ("steps.1.for", 9)
        assert "duration" in error["message"]

    @pytest.mark.parametrize("text", ["steps: [", "a: &x [1]\nb: *x", "steps: 1\nsteps: 2", "\x00"])
    async def test_unreadable_yaml_is_refused(self, rest, text):
        assert refused(await put(rest, json=None, content=text, headers=YAML_TYPE), 400, "bad_request")

    async def test_references_to_unknown_objects_are_refused_with_their_path(self, rest):
        template = {"key": "a", "type": "inbox", "template": "none"}
        branch = {"key": "b", "type": "branch", "branches": [{"if": {"all": []}, "steps": [template]}]}
        trigger = {"key": "c", "type": "trigger", "workflow": "none", "to": "x"}
        response = await put(rest, json={"steps": [branch, trigger]})
        assert refused(response, 422, "invalid")
        assert fields(response).keys() == {"steps.0.branches.0.steps.0.template", "steps.1.workflow"}

    async def test_unknown_fields_keys_and_parameters_are_refused(self, rest):
        assert refused(await put(rest, json={"steps": STEPS, "x": 1}), 422, "invalid")
        assert refused(await put(rest, "a b"), 422, "invalid")
        assert refused(await put(rest, params={"x": "1"}), 422, "invalid")

    async def test_tenant_override_applies_to_its_triggers(self, rest):
        await put(rest)
        await put(rest, params={"tenant": "acme"}, json={"steps": STEPS[1:]})
        assert len((await rest.app.get("/v1/workflows/booking?tenant=acme")).json()["steps"]) == 1
        assert (await rest.app.get("/v1/workflows/booking?tenant=acme")).json()["tenant"] == "acme"
        assert (await rest.app.get("/v1/workflows/booking?tenant=globex")).json()["tenant"] is None
        run = (await rest.app.post("/v1/workflows/booking/trigger?tenant=acme", json={"to": "alice"})).json()["run"]
        assert refused(await rest.app.get(f"/v1/runs/{run}"), 404, "not_found")
        shown = (await rest.app.get(f"/v1/runs/{run}?tenant=acme")).json()
        assert [step["key"] for step in shown["steps"]] == ["later"]
        assert (await rest.app.delete("/v1/workflows/booking?tenant=acme")).status_code == 204
        assert (await rest.app.get("/v1/workflows/booking?tenant=acme")).json()["tenant"] is None


class TestTriggers:
    async def test_response_names_the_runs(self, rest):
        await put(rest)
        one = (await rest.app.post("/v1/workflows/booking/trigger", json={"to": "alice"})).json()
        assert one["runs"] == [{"id": one["trigger"], "recipient": "alice"}]
        two = (await rest.app.post("/v1/workflows/booking/trigger", json={"to": ["alice", "bob", "bob"]})).json()
        assert [run["recipient"] for run in two["runs"]] == ["alice", "bob"]
        listed = (await rest.app.get(f"/v1/runs?trigger={two['trigger']}")).json()
        assert (listed["fanout"], listed["counts"]) == ("done", {"running": 2})
        many = (await rest.app.post("/v1/workflows/booking/trigger", json={"to": {"topic": "room"}})).json()
        assert "runs" not in many
        assert (await rest.app.get(f"/v1/runs?trigger={many['trigger']}")).json()["fanout"] == "running"

    async def test_run_shows_every_step(self, rest):
        await put(rest)
        run = (
            await rest.app.post("/v1/workflows/booking/trigger", json={"to": "alice", "data": {"name": "x"}})
        ).json()["run"]
        shown = (await rest.app.get(f"/v1/runs/{run}")).json()
        assert shown["steps"][0] == {
            "key": "bell", "type": "inbox", "state": "pending", "reason": None, "result": None,
            "notification": None, "messages": [], "attempts": 0, "started_at": None, "ended_at": None, "due_at": None,
        }  # fmt: skip
        assert {name: shown[name] for name in ("workflow", "version", "recipient", "state", "data", "ended_at")} == {
            "workflow": "booking", "version": 1, "recipient": "alice", "state": "running", "data": {"name": "x"},
            "ended_at": None,
        }  # fmt: skip
        assert [one["id"] for one in (await rest.app.get("/v1/runs?recipient=alice&state=running")).json()["runs"]] == [
            run
        ]

    async def test_schema_of_the_data_is_checked(self, rest):
        schema = {"type": "object", "required": ["total"], "properties": {"total": {"type": "integer", "minimum": 1}}}
        await put(rest, json={"steps": STEPS, "data": schema})
        missing = await rest.app.post("/v1/workflows/booking/trigger", json={"to": "alice"})
        assert fields(missing) == {"data.total": "is missing"}
        wrong = await rest.app.post("/v1/workflows/booking/trigger", json={"to": "alice", "data": {"total": "7"}})
        assert "data.total" in fields(wrong)
        assert refused(await put(rest, json={"steps": STEPS, "data": {"typo": 1}}), 422, "invalid")

    async def test_inactive_and_unknown_workflows_are_refused(self, rest):
        await put(rest)
        await rest.app.patch("/v1/workflows/booking", json={"active": False})
        assert refused(await rest.app.post("/v1/workflows/booking/trigger", json={"to": "a"}), 409, "conflict")
        assert refused(await rest.app.post("/v1/workflows/none/trigger", json={"to": "a"}), 404, "not_found")

    async def test_repeated_idempotency_key_returns_the_first_response(self, rest):
        await put(rest)
        header = {"idempotency-key": "k"}
        first, again = [
            (await rest.app.post("/v1/workflows/booking/trigger", json={"to": "alice"}, headers=header)).json()
            for _ in range(2)
        ]
        assert first == again
        other = await rest.app.post("/v1/workflows/booking/trigger", json={"to": "bob"}, headers=header)
        assert refused(other, 422, "idempotency_mismatch")

    async def test_key_of_a_workflow_that_has_changed_returns_the_first_response(self, rest):
        path, trigger = "/v1/workflows/booking", {"json": {"to": "alice"}, "headers": {"idempotency-key": "k"}}
        await put(rest)
        first = await rest.app.post(f"{path}/trigger", **trigger)
        await rest.app.patch(path, json={"active": False})
        assert (await rest.app.post(f"{path}/trigger", **trigger)).content == first.content
        other = await rest.app.post(f"{path}/trigger", json={"to": "bob"}, headers=trigger["headers"])
        assert refused(other, 422, "idempotency_mismatch")
        assert refused(await rest.app.post(f"{path}/trigger", json={"to": "alice"}), 409, "conflict")
        await rest.app.delete(path)
        assert (await rest.app.post(f"{path}/trigger", **trigger)).content == first.content

    async def test_cancel_by_key_and_by_id(self, rest):
        await put(rest)
        body = {"to": ["alice", "bob"], "cancel_key": "b7"}
        trigger = (await rest.app.post("/v1/workflows/booking/trigger", json=body)).json()["trigger"]
        key = {"cancel_key": "b7"}
        for named, count in (({}, 2), ({"to": ["bob", "carol"]}, 1), ({"to": "carol"}, 0), ({"cancel_key": "b8"}, 0)):
            planned = await rest.app.post("/v1/workflows/booking/cancel?dry_run=true", json=key | named)
            assert (planned.status_code, planned.json()) == (200, {"cancelled": count})
        one = await rest.app.post("/v1/workflows/booking/cancel", json=key | {"to": "bob"})
        assert one.json() == {"cancelled": 1}
        assert (await rest.app.delete(f"/v1/runs/{trigger}")).status_code == 204
        assert refused(await rest.app.delete(f"/v1/runs/{trigger}"), 409, "conflict")
        assert refused(await rest.app.delete("/v1/runs/none"), 404, "not_found")
        assert (await rest.app.get(f"/v1/runs?trigger={trigger}")).json()["counts"] == {"cancelled": 2}

    async def test_failed_run_is_retried_once_and_not_by_a_dry_run(self, rest):
        await put(rest)
        id = (await rest.app.post("/v1/workflows/booking/trigger", json={"to": "alice"})).json()["run"]
        retry = f"/v1/runs/{id}/retry"
        assert refused(await rest.app.post(f"{retry}?dry_run=true"), 409, "conflict")
        run, state = await rest.store.runs.get(id), RunState(status="failed", steps={"bell": StepState(state="failed")})
        failed = msgspec.structs.replace(run, state="failed", ended_at=rest.clock.now(), body=encode(state))
        await rest.store.runs.commit([RunCommit(run=failed, now=rest.clock.now())])
        for _ in range(2):
            planned = await rest.app.post(f"{retry}?dry_run=true")
            assert (planned.status_code, planned.json()) == (200, {"id": id})
        assert refused(await rest.app.post(f"{retry}?dry_run=true&tenant=acme"), 404, "not_found")
        retried = await rest.app.post(retry)
        assert (retried.status_code, retried.json()) == (202, {"id": id})
        assert refused(await rest.app.post(retry), 409, "conflict")


class TestStats:
    async def test_counts_are_of_a_tenant_a_range_and_a_version(self, rest):
        await put(rest)
        await rest.app.post("/v1/workflows/booking/trigger", json={"to": ["alice", "bob"]})
        await rest.app.post("/v1/workflows/booking/trigger?tenant=acme", json={"to": "alice"})
        unreached = {"done": 0, "waiting": 0, "skipped": {}, "failed": 0}
        counted = (await rest.app.get("/v1/workflows/booking/stats")).json()
        assert counted == {"runs": {"running": 2}, "steps": {"bell": unreached, "later": unreached}, "exact": True}
        for query, runs in (
            ("tenant=*", 3),
            ("tenant=acme", 1),
            ("version=1", 2),
            ("version=2", 0),
            ("from=2031-01-01T00:00:00Z", 0),
        ):
            counted = (await rest.app.get(f"/v1/workflows/booking/stats?{query}")).json()
            assert counted["runs"].get("running", 0) == runs, query
        assert refused(await rest.app.get("/v1/workflows/none/stats"), 404, "not_found")

    async def test_list_of_runs_is_filtered_by_the_state_of_a_step(self, rest):
        await put(rest)
        trigger = (await rest.app.post("/v1/workflows/booking/trigger", json={"to": ["alice", "bob"]})).json()["runs"]
        await rest.app.delete(f"/v1/runs/{trigger[0]['id']}")
        for query, shown in (("step=bell&step_state=skipped", ["alice"]), ("step=bell&step_state=pending", ["bob"]),
                             ("step=bell", ["alice"]), ("step=later&step_state=waiting", []), ("step_state=skipped", ["alice"])):  # fmt: skip
            listed = (await rest.app.get(f"/v1/runs?workflow=booking&{query}")).json()
            assert ([run["recipient"] for run in listed["runs"]], listed["total"]["exact"]) == (shown, True), query
        assert refused(await rest.app.get("/v1/runs?step=a%25"), 422, "invalid")
