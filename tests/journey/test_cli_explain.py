"""`bellcast explain` on a running server."""

import re

import pytest

from tests.journey.shell import bellcast


@pytest.fixture
def project(bellcast_server):
    return {"BELLCAST_URL": bellcast_server.url, "BELLCAST_SECRET": bellcast_server.secret}


def test_explanation_of_a_sent_notification(project):
    sent = bellcast("notify", "explain-alice", "Hi", "--json", **project).json["notifications"][0]["id"]
    shown = bellcast("explain", "explain-alice", "--notification", sent, **project)
    assert shown.out.startswith("The notification was put into the inbox.\n")
    now = bellcast("explain", "explain-alice", "--type", "news", "--channel", "email", "--json", **project).json
    assert [(one["outcome"], one["rule"]) for one in now["channels"]] == [("skip", "no_address")]


def test_explanation_names_the_missing_provider_and_how_to_add_one(project):
    bellcast("notify", "explain-fred", "Hi", **project)
    ask = ("explain", "explain-fred", "--type", "news", "--channel")
    missing = "No provider delivers text messages, so they are only stored: set BELLCAST_SMS, or add a provider with `bellcast provider put`."
    shown = " ".join(bellcast(*ask, "sms", **project).out.split())
    assert missing in shown
    assert "Add a provider of text messages. bellcast api PUT /v1/providers/sms --body JSON" in shown
    assert "provider" not in bellcast(*ask, "inbox", **project).out
    assert "Register a browser or an app." in bellcast(*ask, "push", **project).out


def test_recipient_alone_is_explained_with_facts(project):
    bellcast("notify", "explain-carol", "Hi", **project)
    shown = bellcast("explain", "explain-carol", **project).out
    assert re.match(r"The last notification was sent at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\. ", shown)
    assert "inbox item created" in shown
    later = bellcast("explain", "explain-carol", "--since", "2100-01-01T00:00:00Z", **project).out
    assert "inbox item created" not in later
    since = ("--since", "2020-01-01T00:00:00Z")
    assert "inbox item created" in bellcast("explain", "explain-carol", "--type", "general", *since, **project).out
    assert bellcast("explain", "explain-carol", "--run", "missing", **project).status == 1


def test_facts_are_grouped_by_notification(project):
    first = bellcast("notify", "explain-erin", "First", "--json", **project).json["notifications"][0]["id"]
    bellcast("notify", "explain-erin", "Mailed", "--type", "news", "--channel", "email", **project)
    groups = bellcast("explain", "explain-erin", **project).out.split("\n\n")[1:]
    assert groups[0].startswith(f"First (general, {first})\n")
    assert groups[1].startswith("Mailed (news, ")
    assert groups[1].rstrip().endswith("e-mail not sent: the recipient has no address for it")


def test_wrong_question_is_a_usage_error(project):
    assert bellcast("explain", "alice", "--type", "news", "--notification", "x", **project).status == 2
    assert bellcast("explain", "explain-nobody", "--type", "news", **project).status == 1
