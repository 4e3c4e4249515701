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


def test_template_is_written_previewed_and_sent_as_a_test(project, tmp_path):
    headers = {"authorization": f"Bearer {project['BELLCAST_SECRET']}"}
    alice = f"{project['BELLCAST_URL']}/v1/recipients/cli-alice"
    httpx.put(alice, json={"email": "cli-alice@example.com"}, headers=headers).raise_for_status()
    file = written(tmp_path, "cli-hello", {"email": {"subject": "Hi {{ data.name }}", "html": "<p>Hi</p>"}})
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
    page = httpx.get(bellcast("mailbox", **project).out.strip())
    assert "Hi Ann" in page.text
    type = written(tmp_path, "file", {"key": "cli-greeting", "template": "cli-hello"})
    bellcast("type", "put", type, **project)
    assert bellcast("template", "delete", "cli-hello", **project).status == 1
    bellcast("type", "delete", "cli-greeting", **project)
    assert bellcast("template", "delete", "cli-hello", **project).status == 0


def test_preferences_and_suppressions(project, tmp_path):
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


def test_file_that_is_no_object_is_refused(project, tmp_path):
    broken = tmp_path / "t.json"
    broken.write_text("[]")
    assert bellcast("template", "put", str(broken), **project).status == 1
    assert bellcast("template", "put", str(tmp_path / "none.json"), **project).status == 2
    assert bellcast("template", **project).status == 2
