"""`bellcast audit`: the entries, and the verification of their chain."""

import pytest

from tests.journey.shell import bellcast


def test_audit_is_listed_and_verified(bellcast_server):
    project = {"BELLCAST_URL": bellcast_server.url, "BELLCAST_SECRET": bellcast_server.secret}
    id = bellcast("key", "create", "audited", "--scope", "send", "--json", **project).json["id"]
    assert bellcast("key", "revoke", id, **project).status == 0
    listed = bellcast("audit", "list", "--json", **project).json
    entry = next(one for one in listed if one["target"] == f"/v1/keys/{id}")
    assert entry["actor"] == "project secret"
    assert f"/v1/keys/{id}\tok" in bellcast("audit", "list", **project).out
    searched = ("audit", "list", "--text", id, "--actor", "project secret", "--json")
    assert [one["number"] for one in bellcast(*searched, "--outcome", "ok", **project).json] == [entry["number"]]
    assert bellcast(*searched, "--outcome", "refused", **project).json == []
    assert bellcast("audit", "verify", "--json", **project).json["checked"] >= 2
    assert "entries verified." in bellcast("audit", "verify", **project).out
    genuine = f"{entry['number']}:{entry['mac']}"
    assert bellcast("audit", "verify", "--head", genuine, **project).status == 0
    removed = bellcast("audit", "verify", "--head", f"{entry['number'] + 1000}:{entry['mac']}", **project)
    assert removed.status == 1
    assert "is missing or different" in removed.err
    assert bellcast("audit", "verify", "--head", "x", **project).status == 2


@pytest.mark.thorough
def test_audit_entries_are_limited_and_an_earlier_head_is_verified(bellcast_server):
    project = {"BELLCAST_URL": bellcast_server.url, "BELLCAST_SECRET": bellcast_server.secret}
    for name in ("first", "second"):
        bellcast("key", "create", name, "--scope", "send", **project)
    newest, earlier = bellcast("audit", "list", "--limit", "2", "--json", **project).json
    assert [one["number"] for one in (newest, earlier)] == [newest["number"], newest["number"] - 1]
    assert bellcast("audit", "verify", "--head", f"{earlier['number']}:{earlier['mac']}", **project).status == 0
    assert bellcast("audit", "list", "--tenant", "unknown", "--json", **project).json == []
    bellcast("settings", "set", "limit_title=400", **project)
    assert bellcast("settings", "unset", "limit_title", **project).status == 0  # other tests use this server
    assert len(bellcast("settings", "history", "--limit", "1", "--json", **project).json) == 1
