import asyncio
import json
from collections.abc import Callable
from typing import Any, cast

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from bellcast.auth import tokens
from bellcast.auth.authenticator import Authenticator
from bellcast.auth.permissions import AccessConfig
from bellcast.kernel.errors import Unauthenticated, Unavailable
from bellcast.kernel.identities import Principal
from bellcast.kernel.limits import Limits
from bellcast.kernel.outbound import Response
from tests.unit.auth.fakes import NOW, PROJECT, FakeHttp, clock, encoded, responding_with

URL = "https://id.example/keys"
RSA = rsa.generate_private_key(65537, 2048)
RSA_NEXT = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())


def jwk(key: Any, kid: str | None = None, **more: Any) -> dict[str, Any]:
    family = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    key_id = {} if kid is None else {"kid": kid}
    return family.to_jwk(key.public_key(), as_dict=True) | key_id | more


def signed_token(key: Any, algorithm: str, kid: str | None, **claims: Any) -> str:
    body = {"sub": "alice", "exp": NOW // 1000 + 3_600, **claims}
    return jwt.api_jws.encode(json.dumps(body).encode(), key, algorithm, headers={} if kid is None else {"kid": kid})


class Issuer:
    """An issuer that publishes keys, and the verifier of its tokens."""

    def __init__(self, *keys: dict[str, Any], **access: Any) -> None:
        self.clock = clock()
        self.web = FakeHttp(responding_with({"keys": list(keys)}))
        self.authenticator = Authenticator(
            PROJECT,
            AccessConfig(jwks_url=URL, **access),
            Limits(),
            keys=cast("Any", None),
            http=self.web,
            clock=self.clock,
        )

    def publish(self, *keys: dict[str, Any]) -> None:
        self.web.respond = responding_with({"keys": list(keys)})

    def disconnect(self) -> None:
        self.web.respond = lambda _: None

    async def verify(self, text: str) -> Principal:
        return await self.authenticator.issued(URL, tokens.parse(text))

    async def refusal(self, text: str) -> str:
        with pytest.raises(Unauthenticated) as caught:
            await self.verify(text)
        return caught.value.detail


RSA_TOKEN = signed_token(RSA, "RS256", "one")


async def test_rsa_and_ec_tokens_are_accepted() -> None:
    issuer = Issuer(jwk(RSA, "one"), jwk(EC, "two"))
    assert (await issuer.verify(RSA_TOKEN)).recipient == "alice"
    assert (await issuer.verify(signed_token(EC, "ES256", "two", tenant="acme", roles=["admin"]))).tenant == "acme"
    assert issuer.web.requests == [{"method": "GET", "url": URL, "accept": "application/json"}]


async def test_token_signed_by_another_key_is_refused() -> None:
    issuer = Issuer(jwk(RSA, "one"))
    assert "signature is wrong" in await issuer.refusal(signed_token(RSA_NEXT, "RS256", "one"))


async def test_claims_of_jwks_tokens_follow_the_same_rules() -> None:
    issuer = Issuer(jwk(RSA, "one"))
    assert "expired" in await issuer.refusal(signed_token(RSA, "RS256", "one", exp=NOW // 1000 - 3))
    assert "tenant must not" in await issuer.refusal(signed_token(RSA, "RS256", "one", tenant="*"))


async def test_published_key_is_never_used_as_a_shared_secret() -> None:
    """Algorithm confusion: an HS256 token signed with the text of the public key as the HMAC key."""
    issuer = Issuer(jwk(RSA, "one"))
    pem = RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    head, payload = encoded({"alg": "HS256", "kid": "one"}), RSA_TOKEN.split(".")[1]
    digest = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(f"{head}.{payload}".encode(), pem)
    assert "not among" in await issuer.refusal(f"{head}.{payload}.{encoded(digest)}")


async def test_key_of_another_type_is_not_used_despite_its_kid() -> None:
    issuer = Issuer(jwk(RSA, "one"), jwk(EC, "two"))
    assert "not among" in await issuer.refusal(signed_token(EC, "ES256", "one"))


async def test_token_without_kid_needs_a_single_key_of_its_algorithm() -> None:
    mixed = Issuer(jwk(RSA, "one"), jwk(EC, "two"))
    assert (await mixed.verify(signed_token(RSA, "RS256", None))).recipient == "alice"
    same_type = Issuer(jwk(RSA, "one"), jwk(RSA_NEXT, "two"))
    assert "not among" in await same_type.refusal(signed_token(RSA, "RS256", None))


WEAK = rsa.generate_private_key(65537, 1024)
P384 = ec.generate_private_key(ec.SECP384R1())


@pytest.mark.parametrize(
    "unusable",
    [
        jwk(RSA, "one", use="enc"),
        jwk(RSA, "one", alg="RS512"),
        jwk(WEAK, "one"),
        {"kty": "oct", "kid": "one", "k": encoded(b"a shared secret")},
        {"kty": "RSA", "kid": "one"},
        {"kty": "RSA", "kid": "one", "n": 7, "e": "AQAB"},
        {"kty": ["RSA"], "kid": "one"},
        {"kty": "EC", "kid": "one", "crv": "P-256", "x": "AA", "y": "AA"},
        jwk(P384, "one"),
        jwt.algorithms.RSAAlgorithm.to_jwk(RSA, as_dict=True) | {"kid": "one"},
        jwt.algorithms.ECAlgorithm.to_jwk(EC, as_dict=True) | {"kid": "one"},
        {},
    ],
)
async def test_unusable_key_is_skipped_and_others_still_work(unusable: dict[str, Any]) -> None:
    issuer = Issuer(unusable, jwk(RSA_NEXT, "two"))
    assert "not among" in await issuer.refusal(RSA_TOKEN)
    assert (await issuer.verify(signed_token(RSA_NEXT, "RS256", "two"))).recipient == "alice"


async def test_keys_are_cached_for_five_minutes() -> None:
    issuer = Issuer(jwk(RSA, "one"))
    await issuer.verify(RSA_TOKEN)
    issuer.clock.advance(299)
    await issuer.verify(RSA_TOKEN)
    assert len(issuer.web.requests) == 1
    issuer.publish(jwk(RSA_NEXT, "two"))
    issuer.clock.advance(1)
    assert "not among" in await issuer.refusal(RSA_TOKEN)
    assert len(issuer.web.requests) == 2


async def test_new_key_is_fetched_immediately_and_unknown_kids_refetch_every_thirty_seconds() -> None:
    issuer = Issuer(jwk(RSA, "one"))
    await issuer.verify(RSA_TOKEN)
    issuer.clock.advance(30)
    issuer.publish(jwk(RSA, "one"), jwk(RSA_NEXT, "two"))
    assert (await issuer.verify(signed_token(RSA_NEXT, "RS256", "two"))).recipient == "alice"
    assert len(issuer.web.requests) == 2
    for forged in range(20):
        assert "not among" in await issuer.refusal(signed_token(RSA, "RS256", f"forged {forged}"))
    issuer.clock.advance(29)
    await issuer.refusal(signed_token(RSA, "RS256", "forged"))
    assert len(issuer.web.requests) == 2
    issuer.clock.advance(1)
    await issuer.refusal(signed_token(RSA, "RS256", "forged"))
    assert len(issuer.web.requests) == 3


async def test_keys_are_fetched_when_the_clock_was_set_back() -> None:
    issuer = Issuer(jwk(RSA, "one"))
    await issuer.verify(RSA_TOKEN)
    issuer.publish(jwk(RSA_NEXT, "next"))
    issuer.clock.advance(-10_800)
    assert (await issuer.verify(signed_token(RSA_NEXT, "RS256", "next"))).recipient == "alice"
    assert "not among" in await issuer.refusal(RSA_TOKEN)


async def test_concurrent_verifications_share_one_fetch() -> None:
    issuer = Issuer(jwk(RSA, "one"))
    principals = await asyncio.gather(*(issuer.verify(RSA_TOKEN) for _ in range(50)))
    assert {principal.recipient for principal in principals} == {"alice"}
    assert len(issuer.web.requests) == 1


async def test_unreachable_issuer_is_unavailable_and_retried_after_five_seconds() -> None:
    issuer = Issuer()
    issuer.disconnect()
    for _ in range(3):
        with pytest.raises(Unavailable):
            await issuer.verify(RSA_TOKEN)
    assert len(issuer.web.requests) == 1
    issuer.publish(jwk(RSA, "one"))
    issuer.clock.advance(5)
    assert (await issuer.verify(RSA_TOKEN)).recipient == "alice"
    assert "not among" in await issuer.refusal(signed_token(RSA, "RS256", "forged"))


@pytest.mark.parametrize(("minutes", "waits"), [(6, False), (61, True)])
async def test_hanging_issuer_delays_one_request_with_a_cached_key(
    monkeypatch: pytest.MonkeyPatch, minutes: int, *, waits: bool
) -> None:
    issuer = Issuer(jwk(RSA, "one"))
    await issuer.verify(RSA_TOKEN)
    issuer.clock.advance(minutes * 60)
    hanging = asyncio.Event()

    async def hang(*args: Any, **options: Any) -> Response:
        await hanging.wait()
        return Response(503, {}, b"")

    monkeypatch.setattr(issuer.web, "request", hang)
    first = asyncio.ensure_future(issuer.verify(RSA_TOKEN))
    await asyncio.sleep(0)
    second = asyncio.ensure_future(issuer.verify(RSA_TOKEN))
    await asyncio.sleep(0)
    assert (first.done(), second.done()) == (False, not waits)
    hanging.set()
    results = await asyncio.gather(first, second, return_exceptions=True)
    assert [isinstance(one, Unavailable) for one in results] == [waits, waits]


async def test_cached_keys_outlive_an_outage_of_the_issuer_by_an_hour() -> None:
    issuer = Issuer(jwk(RSA, "one"))
    long_lived = signed_token(RSA, "RS256", "one", exp=NOW // 1000 + 90_000)
    await issuer.verify(long_lived)
    issuer.disconnect()
    issuer.clock.advance(3_599)
    assert (await issuer.verify(long_lived)).recipient == "alice"
    assert len(issuer.web.requests) == 2
    issuer.clock.advance(5)
    with pytest.raises(Unavailable):
        await issuer.verify(long_lived)


NONSENSE: list[Callable[[dict[str, str]], Response]] = [
    responding_with({"keys": []}, 500),
    responding_with({"keys": []}, 302),
    responding_with(b"<html>"),
    responding_with({"keys": {}}),
    responding_with({"keys": ["one"]}),
    responding_with([]),
    responding_with(b'{"keys":' + b"[" * 100_000),
    responding_with(b"\xff"),
]


@pytest.mark.parametrize("respond", NONSENSE)
async def test_malformed_jwks_response_is_unavailable(respond: Callable[[dict[str, str]], Response]) -> None:
    issuer = Issuer()
    issuer.web.respond = respond
    with pytest.raises(Unavailable, match="BELLCAST_JWKS_URL returned"):
        await issuer.verify(RSA_TOKEN)


async def test_tokens_for_another_audience_are_refused_where_one_is_set() -> None:
    issuer = Issuer(jwk(RSA, "one"), jwks_audience="bell")
    for aud in ("bell", ["shop", "bell"]):
        assert (await issuer.verify(signed_token(RSA, "RS256", "one", aud=aud))).recipient == "alice"
    for aud in ("shop", ["shop"], [], None, {"bell": 1}, "bellbell"):
        assert "BELLCAST_JWKS_AUDIENCE" in await issuer.refusal(signed_token(RSA, "RS256", "one", aud=aud))
    assert "BELLCAST_JWKS_AUDIENCE" in await issuer.refusal(RSA_TOKEN)


async def test_tokens_of_another_issuer_are_refused_where_one_is_set() -> None:
    issuer = Issuer(jwk(RSA, "one"), jwks_issuer="https://id.example")
    assert (await issuer.verify(signed_token(RSA, "RS256", "one", iss="https://id.example"))).recipient == "alice"
    for iss in ("https://evil.example", ["https://id.example"], None):
        assert "BELLCAST_JWKS_ISSUER" in await issuer.refusal(signed_token(RSA, "RS256", "one", iss=iss))
