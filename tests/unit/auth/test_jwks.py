import asyncio
import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from tests.unit.auth.world import NOW, Web, answering, clock, encoded

from bellcast.auth import tokens
from bellcast.auth.access_config import AccessConfig
from bellcast.auth.jwks import Jwks
from bellcast.errors import Unauthenticated, Unavailable
from bellcast.model.identities import Principal
from bellcast.model.limits import Limits
from bellcast.ports import Response

URL = "https://id.example/keys"
RSA = rsa.generate_private_key(65537, 2048)
RSA_NEXT = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())


def published(key: Any, kid: str | None = None, **more: Any) -> dict[str, Any]:
    family = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    named = {} if kid is None else {"kid": kid}
    return family.to_jwk(key.public_key(), as_dict=True) | named | more


def signed(key: Any, algorithm: str, kid: str | None, **claims: Any) -> str:
    said = {"sub": "alice", "exp": NOW // 1000 + 3_600, **claims}
    return jwt.api_jws.encode(json.dumps(said).encode(), key, algorithm, headers={} if kid is None else {"kid": kid})


class Issuer:
    """An issuer that publishes keys, and the server that takes its tokens."""

    def __init__(self, *keys: dict[str, Any], **access: Any) -> None:
        self.clock = clock()
        self.web = Web(answering({"keys": list(keys)}))
        self.jwks = Jwks(URL, AccessConfig(jwks_url=URL, **access), self.web, self.clock, Limits())

    def publishes(self, *keys: dict[str, Any]) -> None:
        self.web.answer = answering({"keys": list(keys)})

    def is_away(self) -> None:
        self.web.answer = lambda _: None

    async def verify(self, text: str) -> Principal:
        return await self.jwks.verify(tokens.parse(text))

    async def refusal(self, text: str) -> str:
        with pytest.raises(Unauthenticated) as caught:
            await self.verify(text)
        return caught.value.detail


RSA_TOKEN = signed(RSA, "RS256", "one")


async def test_tokens_of_both_kinds_of_key_are_taken() -> None:
    issuer = Issuer(published(RSA, "one"), published(EC, "two"))
    assert (await issuer.verify(RSA_TOKEN)).recipient == "alice"
    assert (await issuer.verify(signed(EC, "ES256", "two", tenant="acme", roles=["admin"]))).tenant == "acme"
    assert issuer.web.asked == [{"method": "GET", "url": URL, "accept": "application/json"}]


async def test_a_token_signed_by_another_key_is_refused() -> None:
    issuer = Issuer(published(RSA, "one"))
    assert "signature is wrong" in await issuer.refusal(signed(RSA_NEXT, "RS256", "one"))


async def test_the_same_rules_hold_for_its_claims() -> None:
    issuer = Issuer(published(RSA, "one"))
    assert "expired" in await issuer.refusal(signed(RSA, "RS256", "one", exp=NOW // 1000 - 3))
    assert "tenant must not" in await issuer.refusal(signed(RSA, "RS256", "one", tenant="*"))


async def test_a_published_key_never_serves_as_a_shared_secret() -> None:
    """The classic confusion: HS256 'signed' with the text of the public key."""
    issuer = Issuer(published(RSA, "one"))
    pem = RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    head, body = encoded({"alg": "HS256", "kid": "one"}), RSA_TOKEN.split(".")[1]
    digest = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(f"{head}.{body}".encode(), pem)
    assert "not among" in await issuer.refusal(f"{head}.{body}.{encoded(digest)}")


async def test_a_key_of_the_other_type_is_not_used_whatever_the_kid() -> None:
    issuer = Issuer(published(RSA, "one"), published(EC, "two"))
    assert "not among" in await issuer.refusal(signed(EC, "ES256", "one"))


async def test_a_token_without_kid_needs_a_single_key_of_its_algorithm() -> None:
    alone = Issuer(published(RSA, "one"), published(EC, "two"))
    assert (await alone.verify(signed(RSA, "RS256", None))).recipient == "alice"
    two = Issuer(published(RSA, "one"), published(RSA_NEXT, "two"))
    assert "not among" in await two.refusal(signed(RSA, "RS256", None))


WEAK = rsa.generate_private_key(65537, 1024)
P384 = ec.generate_private_key(ec.SECP384R1())


@pytest.mark.parametrize(
    "strange",
    [
        published(RSA, "one", use="enc"),
        published(RSA, "one", alg="RS512"),
        published(WEAK, "one"),
        {"kty": "oct", "kid": "one", "k": encoded(b"a shared secret")},
        {"kty": "RSA", "kid": "one"},
        {"kty": "RSA", "kid": "one", "n": 7, "e": "AQAB"},
        {"kty": ["RSA"], "kid": "one"},
        {"kty": "EC", "kid": "one", "crv": "P-256", "x": "AA", "y": "AA"},
        published(P384, "one"),
        jwt.algorithms.RSAAlgorithm.to_jwk(RSA, as_dict=True) | {"kid": "one"},
        jwt.algorithms.ECAlgorithm.to_jwk(EC, as_dict=True) | {"kid": "one"},
        {},
    ],
)
async def test_a_strange_key_is_passed_over_and_spoils_no_other(strange: dict[str, Any]) -> None:
    issuer = Issuer(strange, published(RSA_NEXT, "two"))
    assert "not among" in await issuer.refusal(RSA_TOKEN)
    assert (await issuer.verify(signed(RSA_NEXT, "RS256", "two"))).recipient == "alice"


async def test_keys_are_kept_for_five_minutes() -> None:
    issuer = Issuer(published(RSA, "one"))
    await issuer.verify(RSA_TOKEN)
    issuer.clock.advance(299)
    await issuer.verify(RSA_TOKEN)
    assert len(issuer.web.asked) == 1
    issuer.publishes(published(RSA_NEXT, "two"))
    issuer.clock.advance(1)
    assert "not among" in await issuer.refusal(RSA_TOKEN)
    assert len(issuer.web.asked) == 2


async def test_a_new_key_is_found_at_once_and_forged_ones_ask_once_in_thirty_seconds() -> None:
    issuer = Issuer(published(RSA, "one"))
    await issuer.verify(RSA_TOKEN)
    issuer.clock.advance(30)
    issuer.publishes(published(RSA, "one"), published(RSA_NEXT, "two"))
    assert (await issuer.verify(signed(RSA_NEXT, "RS256", "two"))).recipient == "alice"
    assert len(issuer.web.asked) == 2
    for forged in range(20):
        assert "not among" in await issuer.refusal(signed(RSA, "RS256", f"forged {forged}"))
    issuer.clock.advance(29)
    await issuer.refusal(signed(RSA, "RS256", "forged"))
    assert len(issuer.web.asked) == 2
    issuer.clock.advance(1)
    await issuer.refusal(signed(RSA, "RS256", "forged"))
    assert len(issuer.web.asked) == 3


async def test_many_who_come_at_once_ask_once() -> None:
    issuer = Issuer(published(RSA, "one"))
    everybody = await asyncio.gather(*(issuer.verify(RSA_TOKEN) for _ in range(50)))
    assert {one.recipient for one in everybody} == {"alice"}
    assert len(issuer.web.asked) == 1


async def test_an_issuer_that_was_never_reached_is_unavailable_and_asked_again_after_five_seconds() -> None:
    issuer = Issuer()
    issuer.is_away()
    for _ in range(3):
        with pytest.raises(Unavailable):
            await issuer.verify(RSA_TOKEN)
    assert len(issuer.web.asked) == 1
    issuer.publishes(published(RSA, "one"))
    issuer.clock.advance(5)
    assert (await issuer.verify(RSA_TOKEN)).recipient == "alice"
    assert "not among" in await issuer.refusal(signed(RSA, "RS256", "forged"))


async def test_known_keys_outlive_an_absence_of_the_issuer_for_an_hour() -> None:
    issuer = Issuer(published(RSA, "one"))
    long_lived = signed(RSA, "RS256", "one", exp=NOW // 1000 + 90_000)
    await issuer.verify(long_lived)
    issuer.is_away()
    issuer.clock.advance(3_599)
    assert (await issuer.verify(long_lived)).recipient == "alice"
    assert len(issuer.web.asked) == 2
    issuer.clock.advance(5)
    with pytest.raises(Unavailable):
        await issuer.verify(long_lived)


NONSENSE: list[Callable[[dict[str, str]], Response]] = [
    answering({"keys": []}, 500),
    answering({"keys": []}, 302),
    answering(b"<html>"),
    answering({"keys": {}}),
    answering({"keys": ["one"]}),
    answering([]),
    answering(b'{"keys":' + b"[" * 100_000),
    answering(b"\xff"),
]


@pytest.mark.parametrize("answer", NONSENSE)
async def test_an_issuer_that_answers_nonsense_is_unavailable(answer: Callable[[dict[str, str]], Response]) -> None:
    issuer = Issuer()
    issuer.web.answer = answer
    with pytest.raises(Unavailable, match="BELLCAST_JWKS_URL answered"):
        await issuer.verify(RSA_TOKEN)


async def test_tokens_for_another_server_are_refused_where_an_audience_is_set() -> None:
    issuer = Issuer(published(RSA, "one"), jwks_audience="bell")
    for aud in ("bell", ["shop", "bell"]):
        assert (await issuer.verify(signed(RSA, "RS256", "one", aud=aud))).recipient == "alice"
    for aud in ("shop", ["shop"], [], None, {"bell": 1}, "bellbell"):
        assert "BELLCAST_JWKS_AUDIENCE" in await issuer.refusal(signed(RSA, "RS256", "one", aud=aud))
    assert "BELLCAST_JWKS_AUDIENCE" in await issuer.refusal(RSA_TOKEN)


async def test_tokens_of_another_issuer_are_refused_where_one_is_set() -> None:
    issuer = Issuer(published(RSA, "one"), jwks_issuer="https://id.example")
    assert (await issuer.verify(signed(RSA, "RS256", "one", iss="https://id.example"))).recipient == "alice"
    for iss in ("https://evil.example", ["https://id.example"], None):
        assert "BELLCAST_JWKS_ISSUER" in await issuer.refusal(signed(RSA, "RS256", "one", iss=iss))
