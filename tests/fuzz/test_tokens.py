"""Fuzzing of session tokens: arbitrary text, and signed tokens with any header and claims."""

import hmac
import json
from base64 import urlsafe_b64encode

from hypothesis import strategies as st

from bellcast.auth import tokens
from bellcast.kernel import times
from bellcast.kernel.errors import Unauthenticated
from bellcast.kernel.identities import Project
from bellcast.kernel.limits import Limits
from tests.fuzz.runner import fuzz

NOW = 1_800_000_000_000
PROJECT = Project("7", "public-key", "a secret of enough length for an HMAC")
CLAIM_NAMES = ["sub", "exp", "iat", "nbf", "iss", "aud", "tenant", "topics", "publish", "roles", "name", "userId"]
NUMBERS = [
    "0",
    "-1",
    "1e999",
    "-1e999",
    "1e308",
    "9" * 30,
    "9" * 5_000,
    "253402300799",
    "253402300800",
    "1.8e9",
    "NaN",
    "Infinity",
]
VALUES = [
    *NUMBERS,
    '"alice"',
    '""',
    '"\\ud800"',
    '"\\u0000"',
    "null",
    "true",
    "[]",
    '["*"]',
    '[""]',
    "{}",
    "[" * 2_000,
    '"*"',
]
CLAIMS = st.dictionaries(
    st.sampled_from(CLAIM_NAMES), st.sampled_from(VALUES) | st.text(max_size=20).map(json.dumps), max_size=6
)
HEADERS = [
    '{"alg":"HS256"}',
    '{"alg":"none"}',
    '{"alg":"HS256","crit":null}',
    '{"alg":"RS256","kid":"x"}',
    "[]",
    "{" * 3_000,
    "\ud800",
]
SEEDS = [
    "", "..", "...", "a.b.c", "é.é.é", "\ud800.\ud800.\ud800", "." * 8_192, "=.=.=", "eyJhbGciOiJIUzI1NiJ9..", "a" * 9_000 + "..",
]  # fmt: skip


def encoded(text: str) -> str:
    return urlsafe_b64encode(text.encode(errors="surrogatepass")).rstrip(b"=").decode()


def signed(header: str, payload: str) -> str:
    text = f"{encoded(header)}.{encoded(payload)}"
    digest = hmac.digest(PROJECT.secret.encode(), text.encode(), "sha256")
    return f"{text}.{urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def check(token: str) -> None:
    """A token is refused, or names one recipient, with values that a store can hold."""
    for verify in (
        lambda: tokens.verify(PROJECT, token, NOW, Limits()),
        lambda: tokens.verify_app_token(
            PROJECT.secret, tokens.claim_names_of(("recipient=userId",)), token, NOW, Limits()
        ),
    ):
        try:
            principal = verify()
        except Unauthenticated:
            continue
        if principal is not None:
            assert principal.recipient
            assert 0 <= principal.issued_at <= NOW + 2_000
            assert principal.expires_at is not None
            assert principal.expires_at <= times.LATEST_MS


def claims(fields: dict[str, str]) -> str:
    return "{" + ",".join(f'"{name}":{value}' for name, value in fields.items()) + "}"


def test_arbitrary_text_is_refused_or_a_token() -> None:
    alphabet = st.characters() | st.sampled_from(".-_=")
    fuzz("token texts", st.text(alphabet, max_size=200) | st.sampled_from(SEEDS), check, SEEDS)


def test_signed_tokens_are_refused_or_within_bounds() -> None:
    good = {"sub": '"alice"', "userId": '"alice"', "exp": "1.9e9"}
    seeds = [
        signed(HEADERS[0], claims(good | {name: value}))
        for name in CLAIM_NAMES
        for value in VALUES
        if len(value) < 4_000
    ] + [signed(header, claims(good)) for header in HEADERS]
    texts = st.builds(
        signed, st.sampled_from(HEADERS[:1] * 3 + HEADERS), CLAIMS.map(lambda fields: claims(good | fields))
    )
    fuzz("signed tokens", texts, check, seeds)
