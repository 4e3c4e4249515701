"""Unusual credentials and paths: which are accepted, and how the others are refused."""

import http.client
import json
import sys
import time

import httpx
import jwt
import pytest

from tests.journey.rest import Rest, refused


@pytest.fixture
def raw_request(bellcast_server):
    """Send a request with a path that no client library has normalised."""

    def send_request(method: str, path: str, body: bytes):
        connection = http.client.HTTPConnection("127.0.0.1", bellcast_server.port, timeout=30)
        connection.request(method, path, body, bellcast_server.as_app() | {"content-type": "application/json"})
        response = connection.getresponse()
        body_bytes = response.read()
        connection.close()
        return response.status, json.loads(body_bytes) if body_bytes else None

    return send_request


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize(
    ("path", "field", "shown"),
    [
        ("/v1/recipients/50%", "key", "%"),
        ("/v1/recipients/%zz", "key", "%zz"),
        ("/v1/recipients/a%2", "key", "%2"),
        ("/v1/topics/%g1/subscriptions/bob", "topic", "%g1"),
        ("/v1/topics/news/subscriptions/%%41", "recipient", "%%4"),
        ("/v1/recipients/%ff", "key", "UTF-8"),
    ],
)
def test_broken_percent_escape_is_refused_with_its_position(bellcast_server, raw_request, method, path, field, shown):
    status, problem = raw_request(method, path, b"{}" if method == "PUT" else b"")
    assert (status, problem["code"]) == (400, "bad_request")
    (error,) = problem["errors"]
    assert error["field"] == field
    assert shown in problem["detail"]


def test_escaped_percent_sign_is_decoded(bellcast_server, raw_request):
    assert raw_request("PUT", "/v1/recipients/50%25%2Foff", b"{}")[1]["key"] == "50%/off"
    assert raw_request("GET", "/v1/recipients/50%25%2foff", b"")[0] == 200


@pytest.mark.parametrize(
    ("header", "status"),
    [({}, 200), ({"kid": "test-project-key"}, 200), ({"kid": "another"}, 401), ({"kid": ""}, 401)],
    ids=["none", "ours", "another", "empty"],
)
def test_session_token_may_omit_its_kid_but_not_use_another_one(bellcast_server, header, status):
    # A recipient that only this test uses: any revocation rejects a token without `iat`.
    claims = {"sub": "kid", "exp": int(time.time()) + 60}
    for secret, expected in ((bellcast_server.secret, status), ("somebody else's secret, of enough characters", 401)):
        token = jwt.encode(claims, secret, "HS256", headers=header)
        response = httpx.get(
            f"{bellcast_server.url}/v1/inbox", headers={"authorization": f"Bearer {token}"}, timeout=30
        )
        assert response.status_code == expected


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", "/v1/recipients/alice/preferences"),
        ("PUT", "/v1/preference-defaults"),
        ("POST", "/v1/providers/texts/receipts"),
    ],
)
async def test_json_nested_as_deep_as_the_decoder_allows_is_refused(rest: Rest, method: str, path: str) -> None:
    """Below the decoder's limit, which is Python's, code that follows the levels would reach it."""
    provider = {"channel": "sms", "url": "twilio://SID:TOKEN@default?from=Shop"}
    assert (await rest.app.put("/v1/providers/texts", json=provider)).status_code == 201
    limit = sys.getrecursionlimit()
    for depth in range(limit - 100, limit):
        body = '{"a":' * depth + "[]" + "}" * depth
        response = await rest.app.request(method, path, content=body, headers={"content-type": "application/json"})
        assert refused(response, 400, "bad_request"), depth
