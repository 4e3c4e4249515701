"""Fuzzing of the JWK sets that an issuer publishes."""

import asyncio
import json
from contextlib import suppress
from typing import Any, cast

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import strategies as st

from bellcast.auth import tokens
from bellcast.auth.authenticator import Authenticator
from bellcast.auth.permissions import AccessConfig
from bellcast.auth.tokens import Jwt
from bellcast.kernel.errors import Unauthenticated, Unavailable
from bellcast.kernel.limits import Limits
from bellcast.kernel.outbound import Response
from tests.clock import FakeClock
from tests.fuzz.runner import fuzz
from tests.unit.auth.fakes import PROJECT, FakeHttp

URL = "https://issuer.example/keys"
NOW = 1_800_000_000_000
RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
PUBLISHED: list[dict[str, Any]] = [
    jwt.algorithms.RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True),
    jwt.algorithms.ECAlgorithm.to_jwk(EC_KEY.public_key(), as_dict=True),
    jwt.algorithms.RSAAlgorithm.to_jwk(RSA_KEY, as_dict=True),
    jwt.algorithms.ECAlgorithm.to_jwk(EC_KEY, as_dict=True),
]
CLAIMS = json.dumps({"sub": "alice", "exp": NOW // 1000 + 60}).encode()
TOKENS = [
    tokens.parse(jwt.api_jws.encode(CLAIMS, RSA_KEY, "RS256")),
    tokens.parse(jwt.api_jws.encode(CLAIMS, EC_KEY, "ES256")),
]
ODD = [
    None,
    True,
    0,
    -1,
    2**70,
    1.5,
    "",
    "AQAB",
    "AA",
    "A" * 400,
    "=",
    "é",
    [],
    {},
    ["RSA"],
    {"a": 1},
    "RSA",
    "EC",
    "oct",
    "P-256",
]
MEMBERS = ["kty", "crv", "alg", "use", "kid", "n", "e", "x", "y", "d", "p", "q", "key_ops", "k"]
CHANGES = st.dictionaries(st.sampled_from(MEMBERS), st.sampled_from(ODD) | st.text(max_size=12), max_size=3)
KEYS = st.builds(lambda key, changes: {**key, **changes}, st.sampled_from(PUBLISHED), CHANGES)
DOCUMENTS = st.lists(KEYS, max_size=3).map(lambda keys: json.dumps({"keys": keys}).encode()) | st.binary(max_size=60)
SEEDS = [
    b"", b"null", b"[]", b"{}", b'{"keys":null}', b'{"keys":[1]}', b'{"keys":[]}', b"[" * 50_000, b'{"keys":[{"kty":"\\ud800"}]}',
    *(json.dumps({"keys": [key]}).encode() for key in PUBLISHED),
    *(json.dumps({"keys": [{**key, name: odd}]}).encode() for key in PUBLISHED for name in MEMBERS for odd in ODD),
]  # fmt: skip


def verify(document: bytes, token: Jwt) -> str | None:
    """Return the recipient of a token verified with the keys of a document."""
    http = FakeHttp(lambda _: Response(200, {}, document))
    authenticator = Authenticator(
        PROJECT, AccessConfig(jwks_url=URL), Limits(), keys=cast("Any", None), http=http, clock=FakeClock(NOW)
    )
    return asyncio.run(authenticator.issued(URL, token)).recipient


def check(document: bytes) -> None:
    """The document or the tokens are refused, or the signer's recipient is verified."""
    for token in TOKENS:
        with suppress(Unauthenticated, Unavailable):
            assert verify(document, token) == "alice"


def test_jwks_documents_are_refused_or_their_keys_are_used() -> None:
    for key, token in zip(PUBLISHED[:2], TOKENS, strict=True):
        assert verify(json.dumps({"keys": [key]}).encode(), token) == "alice"
    fuzz("JWKS documents", DOCUMENTS, check, SEEDS)
