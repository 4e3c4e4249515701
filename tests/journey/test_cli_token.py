"""`bellcast token`: signed without a server, accepted by one."""

import httpx
import jwt

from tests.journey.shell import bellcast
from tests.servers import PROJECT

OURS = {"BELLCAST_PROJECT": ":".join(PROJECT)}


def claims(token: str) -> dict:
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT", "kid": PROJECT[1]}
    return jwt.decode(token, PROJECT[2], ["HS256"])


def test_token_opens_the_inbox_of_its_recipient(bellcast_server):
    token = bellcast("token", "token-alice", **OURS).out.strip()
    response = httpx.get(f"{bellcast_server.url}/v1/inbox", headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 200
    assert response.json()["unread"] == 0


def test_token_has_the_requested_claims():
    options = ["--tenant", "acme", "--ttl", "2h", "--topic", "a.*", "--topic", "b", "--publish", "chat-*"]
    shown = bellcast(
        "token", "alice", *options, "--role", "admin", "--name", "Alice A.", "--since", "1750000000.5", **OURS
    )
    payload = claims(shown.out.strip())
    assert payload["exp"] - payload["iat"] == 7200
    assert {name: payload[name] for name in payload.keys() - {"iat", "exp"}} == {
        "sub": "alice",
        "tenant": "acme",
        "topics": ["a.*", "b"],
        "publish": ["chat-*"],
        "roles": ["admin"],
        "name": "Alice A.",
        "since": 1750000000.5,
    }


def test_token_is_printed_as_json_for_scripts():
    result = bellcast("token", "alice", "--json", **OURS).json
    assert result.keys() == {"token", "recipient", "tenant", "expires_at"}
    assert (result["recipient"], result["tenant"]) == ("alice", None)
    assert claims(result["token"])["sub"] == "alice"


def test_token_without_credentials_creates_no_folder(tmp_path):
    refused = bellcast("token", "alice", "--data", tmp_path / "typo")
    assert refused.status == 1
    assert "has no credentials to sign with; start `bellcast serve`" in refused.err
    assert not (tmp_path / "typo").exists()


def test_invalid_claims_are_refused_before_signing():
    assert "must not be empty" in bellcast("token", "", **OURS).err
    assert "at most 200 characters" in bellcast("token", "x" * 201, **OURS).err
    for since in ("soon", "2026-01-31T12:00:00"):
        assert "--since" in bellcast("token", "alice", "--since", since, **OURS).err
    for ttl in ("soon", "0", "-1", "100d", "2592001"):
        refused = bellcast("token", "alice", "--ttl", ttl, **OURS)
        assert (refused.status, refused.out) == (2, "")
        assert "--ttl" in refused.err
