"""Templates, types, preferences, suppressions and messages on the command line of a running server."""

import json

import httpx
import pytest

from tests.journey.shell import bellcast


@pytest.fixture
def project(bellcast_server):
    return {"BELLCAST_URL": bellcast_server.url, "BELLCAST_SECRET": bellcast_server.secret}


def written(folder, name, value):
    path = folder / f"{name}.json"
    path.write_text(json.dumps(value))
    return str(path)


@pytest.mark.thorough
def test_template_is_written_previewed_and_sent_as_a_test(project, tmp_path):
    headers = {"authorization": f"Bearer {project['BELLCAST_SECRET']}"}
    alice = f"{project['BELLCAST_URL']}/v1/recipients/cli-alice"
    httpx.put(alice, json={"email": "cli-alice@example.com"}, headers=headers).raise_for_status()
    file = written(tmp_path, "cli-hello", {"email": {"subject": "Hi {{ data.name }}", "html": "<p>Hi</p>"}})
    assert "Would write cli-hello" in bellcast("template", "put", file, "--dry-run", **project).out
    assert bellcast("template", "show", "cli-hello", **project).status == 1
    bellcast("template", "put", file, **project)
    assert "cli-hello" in bellcast("template", "list", **project).out
    assert bellcast("template", "show", "cli-hello", **project).json["key"] == "cli-hello"
    shown = bellcast("template", "preview", "cli-hello", "--data", '{"name": "Ann"}', **project).json
    assert (shown["email"]["subject"], shown["missing"]) == ("Hi Ann", [])
    sent = bellcast(
        "template", "test", "cli-hello", "email", "cli-alice", "--data", '{"name": "Ann"}', "--json", **project
    )
    assert bellcast("message", "show", sent.json["message"], **project).json["to"] == "cli-alice@example.com"
    listed = bellcast("message", "list", "--recipient", "cli-alice", "--json", **project).json
    assert [one["id"] for one in listed] == [sent.json["message"]]
    assert bellcast("message", "retry", sent.json["message"], **project).status == 1
    refused = bellcast("message", "retry", sent.json["message"], "--channel", "sms", **project)
    assert (refused.status, "leave out ID" in refused.err) == (2, True)
    nothing = bellcast("message", "retry", "--since", "2100-01-01T00:00:00Z", **project)
    assert (nothing.status, nothing.err) == (0, "Nothing to retry: no such message failed or bounced.\n")
    page = httpx.get(bellcast("mailbox", **project).out.strip())
    assert "Hi Ann" in page.text
    empty = bellcast("mailbox", "--tenant", "cli-unused", **project)
    assert "/mailbox/" in empty.out
    assert "The tenant cli-unused has no stored messages yet" in empty.err
    assert "or pass another --tenant." in empty.err
    type = written(tmp_path, "file", {"key": "cli-greeting", "template": "cli-hello"})
    bellcast("type", "put", type, **project)
    assert bellcast("template", "delete", "cli-hello", **project).status == 1
    bellcast("type", "delete", "cli-greeting", **project)
    assert bellcast("template", "delete", "cli-hello", **project).status == 0


def test_template_is_imported_and_written(project, tmp_path):
    source = tmp_path / "cli-import.mjml"
    source.write_text(
        "<mjml><mj-head><mj-title>Hi</mj-title></mj-head><mj-body><mj-section><mj-column>"
        "<mj-text onclick='x()'>Hello {{ data.name }}</mj-text></mj-column></mj-section></mj-body></mjml>"
    )
    imported = bellcast("template", "import", str(source), **project)
    assert "line 1: The attribute onclick was removed" in imported.err
    assert (imported.json["email"]["subject"], imported.json["email"]["layout"]) == ("Hi", None)
    assert bellcast("template", "show", "cli-import", **project).status == 1
    bellcast("template", "put", written(tmp_path, "cli-import", imported.json), **project)
    shown = bellcast("template", "preview", "cli-import", "--data", '{"name": "Ann"}', **project).json
    assert "Hello Ann" in shown["email"]["text"]


@pytest.mark.parametrize(
    "kind", ["template", "workflow", "type", "source", "provider", "webhook", "run", "message", "schedule"]
)
def test_refusal_names_the_object_that_does_not_exist(project, kind):
    refused = bellcast(kind, "show", "no-such", **project)
    assert refused.status == 1
    assert refused.err.endswith(": no-such; check the key.\n")


def test_key_that_the_refusal_names_is_printed_once(project):
    refused = bellcast("template", "preview", "no-such", **project)
    assert refused.err == "Error: There is no template 'no-such'; check the key.\n"


@pytest.mark.thorough
def test_preferences_and_suppressions_are_written_and_deleted(project, tmp_path):
    file = written(tmp_path, "cli-bob", {"channels": {"sms": False}})
    assert bellcast("preference", "put", file, "--json", **project).json["channels"] == {"sms": False}
    assert bellcast("preference", "show", "cli-bob", **project).json["channels"] == {"sms": False}
    assert "Notifications" in httpx.get(bellcast("preference", "link", "cli-bob", **project).out.strip()).text
    bellcast("preference", "delete", "cli-bob", **project)
    assert bellcast("preference", "show", "cli-bob", **project).json.get("channels", {}) == {}
    bellcast("suppression", "put", "email", "cli-bob@example.com", "--reason", "left", **project)
    assert "email  cli-bob@example.com  left" in bellcast("suppression", "list", **project).out
    assert bellcast("suppression", "delete", "email", "cli-bob@example.com", **project).status == 0
    assert bellcast("suppression", "delete", "email", "cli-bob@example.com", **project).status == 1


@pytest.mark.thorough
def test_webhook_is_added_changed_replayed_and_removed(project):
    url = "https://app.example.com/hooks"
    created = bellcast("webhook", "create", url, "--event", "message.*", "--event", "run.failed", "--json", **project)
    id = created.json["id"]
    assert created.json["secret"].startswith("whsec_")
    assert f"{id}  {url}  message.*,run.failed" in bellcast("webhook", "list", **project).out
    assert bellcast("webhook", "change", id, **project).status == 2
    assert bellcast("webhook", "change", id, "--inactive", "--event", "run.*", **project).status == 0
    shown = bellcast("webhook", "show", id, **project).json
    assert (shown["active"], shown["events"], "secret" in shown) == (False, ["run.*"], False)
    assert f"{url}  run.*, not active" in bellcast("webhook", "list", **project).out
    assert "Would rotate" in bellcast("webhook", "rotate", id, "--dry-run", **project).out
    rotated = bellcast("webhook", "rotate", id, **project).out.strip()
    assert rotated.startswith("whsec_")
    assert rotated != created.json["secret"]
    assert "Replayed 0 events" in bellcast("webhook", "replay", id, "2030-01-31T08:00:00Z", **project).out
    assert bellcast("webhook", "delete", id, **project).status == 0
    assert bellcast("webhook", "delete", id, **project).status == 1
    planned = bellcast("webhook", "create", url, "--event", "*", "--dry-run", **project)
    assert f"Would add {url}" in planned.out
    assert bellcast("job", "list", "--json", **project).json == []
    assert bellcast("job", "list", **project)[1:] == ("", "Nothing found.\n")
    nothing = ("", "Nothing found. --tenant NAME lists those of another tenant.\n")
    assert bellcast("message", "list", "--recipient", "cli-none", **project)[1:] == nothing
    assert bellcast("job", "retry", "none", "--dry-run", **project).status == 1
    assert bellcast("job", "delete", "none", **project).status == 1
    assert bellcast("webhook", "create", "http://10.0.0.1/x", "--event", "*", **project).status == 1


def test_file_without_an_object_is_refused(project, tmp_path):
    broken = tmp_path / "t.json"
    broken.write_text("[]")
    assert bellcast("template", "put", str(broken), **project).status == 1
    assert bellcast("template", "put", str(tmp_path / "none.json"), **project).status == 2


@pytest.mark.thorough
def test_object_is_written_as_yaml(project, tmp_path):
    file = tmp_path / "cli-yaml.yaml"
    file.write_text("sms:\n  text: 'Hello {{ data.name }}'\n")
    assert bellcast("template", "put", file, **project).out == "✓ Wrote cli-yaml\n"
    assert bellcast("template", "put", "cli-named", file, **project).out == "✓ Wrote cli-named\n"
    assert "one file, got 3 arguments" in bellcast("template", "put", "a", "b", file, **project).err
    piped = bellcast("template", "put", "-", stdin="key: cli-piped\nsms: {text: Hello}\n", **project)
    assert piped.out == "✓ Wrote cli-piped\n"
    file.write_text("sms:\n  text: {{ data.name }}\n")
    refused = bellcast("template", "put", file, **project)
    assert "write quotes around a text with {{ or {% in line 2; correct the file." in refused.err


@pytest.mark.parametrize(
    ("kind", "body", "field"),
    [
        ("template", {"email": {"subject": 7}}, "email.subject"),
        ("workflow", {"steps": [{"type": "nothing"}]}, "steps.0.type"),
        ("type", {"description": 7}, "description"),
        ("source", {"topic": 7}, "topic"),
        ("schedule", {"cron": 7}, "cron"),
        ("provider", {"channel": 7}, "channel"),
    ],
)
def test_refusal_of_an_object_names_its_file_and_field(project, tmp_path, kind, body, field):
    file = written(tmp_path, "cli-wrong", body)
    refused = bellcast(kind, "put", file, **project)
    assert refused.status == 1
    assert file in refused.err
    assert field in refused.err


@pytest.mark.thorough
def test_schedule_is_written_fired_and_deleted(project, tmp_path):
    body = {"cron": "0 8 * * 1", "timezone": "Europe/Vienna", "notification": {"to": "cli-alice", "title": "Plan"}}
    assert bellcast("schedule", "put", written(tmp_path, "cli-week", body), **project).status == 0
    assert "cli-week" in bellcast("schedule", "list", **project).out
    times = bellcast("schedule", "next", "cli-week", "--count", "2", "--json", **project).json
    assert times[0] == bellcast("schedule", "show", "cli-week", **project).json["next_at"]
    assert bellcast("schedule", "run", "cli-week", "--dry-run", "--json", **project).json["recipients"] == 1
    fired = bellcast("schedule", "run", "cli-week", "--json", **project).json
    assert fired["notifications"][0]["recipient"] == "cli-alice"
    assert bellcast("schedule", "delete", "cli-week", **project).status == 0
    assert bellcast("schedule", "run", "cli-week", **project).status == 1


@pytest.mark.thorough
def test_source_is_written_and_deleted(project, tmp_path):
    body = {"event": "cli.event", "notification": {"to": "{{ event.recipient }}", "title": "Hi"}}
    assert bellcast("source", "put", written(tmp_path, "cli-source", body), **project).status == 0
    assert bellcast("source", "show", "cli-source", **project).json["last_error"] is None
    assert bellcast("source", "delete", "cli-source", **project).status == 0


def test_replay_needs_a_filter_and_waits_until_it_is_done(project):
    assert bellcast("replay", **project).status == 2
    assert bellcast("replay", "m1", "--channel", "sms", **project).status == 2
    assert "Would retry 0 failures" in bellcast("replay", "--workflow", "cli-none", "--dry-run", **project).out
    done = bellcast("replay", "--workflow", "cli-none", "--since", "2026-01-01T00:00:00Z", "--json", **project).json
    assert (done["state"], done["matched"], done["filter"]["workflow"]) == ("done", 0, "cli-none")
    assert "Retried 0 of 0" in bellcast("replay", "unknown-id", **project).out
