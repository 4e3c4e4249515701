"""`bellcast secrets`: keys of the stored secrets, and their rotation."""

import pytest

from tests.journey.shell import bellcast


@pytest.mark.thorough
def test_secrets_are_encrypted_again_and_counted_by_key(bellcast_server):
    project = {"BELLCAST_URL": bellcast_server.url, "BELLCAST_SECRET": bellcast_server.secret}
    app = bellcast("pusher-app", "create", "Secrets", "--json", **project).json
    rotated = bellcast("secrets", "rotate", "--json", **project).json
    assert (rotated["changed"], rotated["unreadable"]) == (0, 0)
    assert rotated["keys"][0]["secrets"] >= 1
    assert bellcast("secrets", "keys", "--json", **project).json["keys"] == rotated["keys"]
    shown = bellcast("secrets", "rotate", **project)
    id, count, use = shown.out.splitlines()[1].split("\t")
    assert (id, count.split()[0], use) == (rotated["keys"][0]["id"], str(rotated["keys"][0]["secrets"]), "encrypts")
    assert app["secret"] not in shown.out
    assert bellcast("pusher-app", "delete", app["id"], **project).status == 0
    key = bellcast("key", "create", "narrow", "--scope", "configure", "--json", **project).json["key"]
    refused = bellcast("secrets", "rotate", **project | {"BELLCAST_SECRET": key})
    assert refused.status == 1
    assert "scope" in refused.err
