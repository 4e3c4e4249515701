"""`bellcast key`: API keys created, used and revoked in a shell."""

import httpx
import pytest

from tests.journey.shell import bellcast

PAGE = 200  # keys in one response


@pytest.fixture
def project(bellcast_server):
    return {"BELLCAST_URL": bellcast_server.url, "BELLCAST_SECRET": bellcast_server.secret}


def test_key_grants_its_scopes_until_it_is_revoked(project):
    created = bellcast("key", "create", "booking service", "--scope", "send", **project)
    assert created.status == 0
    key = created.out.strip()
    assert "has the scope send." in created.err
    as_key = project | {"BELLCAST_SECRET": key}

    assert bellcast("notify", "key-alice", "Hello", **as_key).status == 0
    refused = bellcast("key", "list", **as_key)
    assert refused.status == 1
    assert "lacks the scope manage" in refused.err

    id = key.split("_")[1]
    # Keys of other tests have more scopes, and leave less of 80 columns for the names.
    table = bellcast("key", "list", **project, COLUMNS="300").out
    assert table.splitlines()[0].split()[-1] == "STATE"
    (listed,) = [line for line in table.splitlines() if id in line]
    assert listed.split()[:4] == [id, "booking", "service", "send"]
    assert " used 20" in listed
    assert bellcast("key", "revoke", id, **project).status == 0
    refused = bellcast("notify", "key-alice", "Hello", **as_key)
    assert refused.status == 1
    assert "does not accept this secret (from BELLCAST_SECRET)" in refused.err


def test_key_commands_print_json_for_scripts(project):
    created = bellcast("key", "create", "backoffice", "--scope", "manage,read", "--json", **project).json
    assert created["scopes"] == ["read", "manage"]
    assert created["key"].startswith(f"bc_{created['id']}_")
    listed = bellcast("key", "list", "--json", **project).json
    assert created["id"] in [key["id"] for key in listed]
    assert created["key"] not in str(listed)
    assert bellcast("key", "revoke", created["id"], "--json", **project).json == {"revoked": created["id"]}


def test_unknown_key_and_scope_are_reported(project):
    unknown = bellcast("key", "revoke", "nosuchkey", **project)
    assert unknown.status == 1
    assert "No API key has this id" in unknown.err
    wrong = bellcast("key", "create", "ci", "--scope", "destroy", **project)
    assert wrong.status == 2
    assert "expected one or more of send, read, manage" in wrong.err


def test_key_name_cannot_control_the_terminal(project):
    bellcast("key", "create", "tidy \u009b31m name", "--scope", "read", **project)
    assert "\u009b" not in bellcast("key", "list", **project).out


def test_keys_of_several_pages_are_listed(project, bellcast_server):
    with httpx.Client(base_url=bellcast_server.url, headers=bellcast_server.as_app()) as http:
        for number in range(PAGE + 1):
            http.post("/v1/keys", json={"name": f"key {number}", "scopes": ["send"]}).raise_for_status()
    listed = bellcast("key", "list", "--json", **project).json
    assert {f"key {number}" for number in range(PAGE + 1)} <= {key["name"] for key in listed}
