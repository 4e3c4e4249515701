"""`bellcast notify`: every field as an option, and every reason for a failure."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import httpx
import pytest

from tests.journey.shell import bellcast


@pytest.fixture
def project(bellcast_server):
    return {"BELLCAST_URL": bellcast_server.url, "BELLCAST_SECRET": bellcast_server.secret}


def inbox(server, recipient, **claims):
    headers = server.as_recipient(recipient, **claims)
    return httpx.get(f"{server.url}/v1/inbox", headers=headers).json()["notifications"]


def test_all_fields_arrive(bellcast_server, project):
    draft = {
        "body": "Saturday, 14:00",
        "type": "booking",
        "priority": "high",
        "action_url": "/bookings/7",
        "action_text": "Open",
        "icon": "calendar",
        "group": "bookings",
        "expires_at": "2035-01-31T12:00:00Z",
    }
    options = [f"--{name.replace('_', '-')}={value}" for name, value in draft.items() if name != "expires_at"]
    options += ["--expires", draft["expires_at"], "--tag", "vip", "--tag", "new", "--payload", '{"id": 7}']
    sent = bellcast("notify", "fields-alice", "New booking", *options, "--actor", "Clara", "--json", **project).json
    (found,) = inbox(bellcast_server, "fields-alice")
    assert sent == {"notifications": [{"id": found["id"], "recipient": "fields-alice"}]}
    assert {name: found[name] for name in draft} == draft
    assert found["actor"]["name"] == "Clara"
    assert (found["title"], found["tags"], found["data"]) == ("New booking", ["vip", "new"], {"id": 7})


def test_channels_and_template_are_sent(bellcast_server, project):
    url, app = bellcast_server.url, bellcast_server.as_app()
    httpx.put(f"{url}/v1/templates/cli-booked", headers=app, json={"inbox": {"title": "Booked by {{ data.client }}"}})
    httpx.put(f"{url}/v1/recipients/channel-alice", headers=app, json={"email": "alice@example.com"})
    options = ["--template", "cli-booked", "--payload", '{"client": "Bob"}', "--channel", "inbox", "--channel", "email"]
    assert bellcast("notify", "channel-alice", *options, **project).status == 0
    assert inbox(bellcast_server, "channel-alice")[0]["title"] == "Booked by Bob"
    (message,) = httpx.get(f"{url}/v1/messages?recipient=channel-alice", headers=app).json()["messages"]
    assert (message["channel"], message["content"]["subject"]) == ("email", "Booked by Bob")
    assert bellcast("notify", *options, **project).status == 2


def test_body_can_be_piped(bellcast_server, project):
    sent = bellcast("notify", "pipe-alice", "Disk report", "--body", "-", stdin="80 %\n\u2713 fine\n", **project)
    assert "Sent to pipe-alice" in sent.out
    assert inbox(bellcast_server, "pipe-alice")[0]["body"] == "80 %\n\u2713 fine"


def test_audiences_can_be_addressed_by_topic_role_and_tenant(bellcast_server, project):
    url, app = bellcast_server.url, bellcast_server.as_app()
    httpx.put(f"{url}/v1/topics/ops/subscriptions/many-alice", headers=app)
    httpx.put(f"{url}/v1/recipients/many-bob", headers=app, json={"roles": ["admin"]})
    httpx.put(f"{url}/v1/recipients/many-carol?tenant=notify-acme", headers=app, json={})
    to_topic = bellcast("notify", "--to-topic", "ops", "For the topic", "--json", **project).json
    assert to_topic["announcement"]["id"] == inbox(bellcast_server, "many-alice")[0]["id"]
    bellcast("notify", "--to-role", "admin", "For the role", **project)
    assert inbox(bellcast_server, "many-bob")[0]["title"] == "For the role"
    result = bellcast("notify", "--all", "For all", "--tenant", "notify-acme", "--expires", "1h", **project)
    assert "Announced to everyone" in result.out
    assert inbox(bellcast_server, "many-carol", tenant="notify-acme")[0]["title"] == "For all"


def test_send_at_schedules_a_send(bellcast_server, project):
    def schedules(*options):
        sent = bellcast("notify", "later-alice", "Later", *options, "--json", **project).json
        url = f"{bellcast_server.url}/v1/schedules/{sent['schedule']['key']}"
        return httpx.get(url, headers=bellcast_server.as_app()).json()

    day = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) + timedelta(days=30)
    there = f"{day.astimezone(ZoneInfo('Asia/Tokyo')):%Y-%m-%dT%H:%M}"
    local = schedules("--send-at", there, "--timezone", "Asia/Tokyo")
    assert (datetime.fromisoformat(local["next_at"]), local["notification"]["title"]) == (day, "Later")
    assert schedules("--send-at", "2h")["next_at"] is not None
    shown = bellcast("notify", "later-alice", "Later", "--send-at", day.isoformat(), **project)
    assert f"To be sent at {day:%Y-%m-%d} 12:00:00 UTC schedule send-" in shown.out
    assert inbox(bellcast_server, "later-alice") == []
    refused = bellcast("notify", "later-alice", "Later", "--send-at", there, **project)
    assert (refused.status, "one without an offset and a timezone" in refused.err) == (1, True)


def test_repeated_idempotency_key_sends_once(bellcast_server, project):
    ids = {
        bellcast("notify", "once-alice", "Once", "--idempotency-key", "o-1", "--json", **project).json["notifications"][
            0
        ]["id"]
        for _ in range(2)
    }
    assert len(ids) == 1
    assert len(inbox(bellcast_server, "once-alice")) == 1


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["alice"], "expected a recipient and a title; quote a title of several words"),
        (["alice", "Hello", "there"], "quote a title of several words"),
        (["alice", "Hello", "--all"], "expected only a title"),
        (["Hello", "--all", "--to-topic", "ops"], "expected only one of --to-topic, --to-role and --all"),
        (["alice", "Hello", "--payload", "{"], "--payload: expected JSON"),
    ],
    ids=["no title", "no quotes", "two addresses", "two audiences", "no JSON"],
)
def test_invalid_command_line_sends_nothing(bellcast_server, project, args, message):
    refused = bellcast("notify", *args, **project)
    assert (refused.status, refused.out) == (2, "")
    assert message in refused.err


def test_refused_field_is_named(project):
    refused = bellcast("notify", "alice", "Hello", "--action-url", "javascript:alert(1)", **project)
    assert refused.status == 1
    assert "action_url: must be a path or an http, https, mailto or tel URL" in refused.err


def test_unreachable_server_is_reported():
    refused = bellcast("notify", "alice", "Hello", "--url", "http://127.0.0.1:1", BELLCAST_SECRET="any")
    assert refused.status == 1
    assert "no server responds at http://127.0.0.1:1; start one with `bellcast serve`" in refused.err


def test_other_web_server_is_reported(bellcast_server):
    # This path of the server is not part of the API: the response is a page, as from any web server.
    url = f"{bellcast_server.url}/docs"
    refused = bellcast("notify", "alice", "Hello", "--url", url, BELLCAST_SECRET="any")
    assert refused.status == 1
    assert len(refused.err.splitlines()) == 1


def test_wrong_secret_is_reported(bellcast_server):
    refused = bellcast("notify", "alice", "Hello", "--url", bellcast_server.url, BELLCAST_SECRET="wrong")
    assert refused.status == 1
    assert "does not accept this secret (from BELLCAST_SECRET); set BELLCAST_SECRET" in refused.err
    assert "wrong" not in refused.err.replace("Error", "")


def test_missing_secret_is_reported(bellcast_server, tmp_path):
    refused = bellcast("notify", "alice", "Hello", "--url", bellcast_server.url, "--data", tmp_path)
    assert refused.status == 1
    assert "no secret: BELLCAST_SECRET is not set" in refused.err
