import base64
import hashlib
import hmac
import json
import time
import timeit
from collections.abc import Callable

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellcast.auth import tokens
from bellcast.kernel.errors import Unauthenticated
from bellcast.kernel.identities import Principal, Project
from bellcast.kernel.limits import Limits
from tests.unit.auth.fakes import NOW, PROJECT, RIVAL, encoded, token

LIMITS = Limits()
HOUR = 3_600_000


def verify(text: str, project: Project = PROJECT, now: int = NOW) -> Principal:
    return tokens.verify(project, text, now, LIMITS)


def refusal(text: str, **more: object) -> str:
    with pytest.raises(Unauthenticated) as caught:
        verify(text, **more)  # type: ignore[arg-type]  # keywords of `verify`
    return caught.value.detail


def signed_by_hand(header: str, payload: str, secret: str = PROJECT.secret) -> str:
    signing_input = f"{header}.{payload}"
    signature = hmac.new(secret.encode(), signing_input.encode(), hashlib.sha256).digest()
    return f"{signing_input}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def test_signed_token_contains_every_given_claim() -> None:
    text = tokens.sign(
        PROJECT,
        "alice",
        now=NOW + 123,
        expires_at=NOW + HOUR,
        tenant="acme",
        topics=["admin.*"],
        publish=["chat.1"],
        roles=["admin"],
        name="Alice",
    )
    assert verify(text, now=NOW + 123) == Principal(
        tenant="acme",
        recipient="alice",
        topics=("admin.*",),
        publish=("chat.1",),
        roles=("admin",),
        name="Alice",
        issued_at=NOW + 123,
        expires_at=NOW + HOUR,
    )


def test_signed_token_contains_no_other_claim() -> None:
    text = tokens.sign(PROJECT, "alice", now=NOW, expires_at=NOW + HOUR)
    assert verify(text) == Principal(recipient="alice", issued_at=NOW, expires_at=NOW + HOUR)
    assert jwt.decode(text, PROJECT.secret, ["HS256"], options={"verify_exp": False, "verify_iat": False}) == {
        "sub": "alice",
        "iat": NOW / 1000,
        "exp": (NOW + HOUR) / 1000,
    }


def test_roles_claim_is_omitted_for_none_and_empty_for_an_empty_list() -> None:
    texts = [tokens.sign(PROJECT, "alice", now=NOW, expires_at=NOW + HOUR, roles=roles) for roles in (None, [])]
    assert [verify(text).roles for text in texts] == [None, ()]


def test_tokens_are_compatible_with_other_jwt_libraries() -> None:
    assert verify(token({"name": "Älice"})).name == "Älice"
    ours = tokens.sign(PROJECT, "alice", now=NOW, expires_at=NOW + HOUR)
    assert jwt.get_unverified_header(ours) == {"alg": "HS256", "typ": "JWT", "kid": PROJECT.key}


def test_token_without_kid_is_accepted_with_a_valid_signature() -> None:
    header = encoded({"alg": "HS256"})
    payload = encoded({"sub": "alice", "exp": NOW / 1000 + 60})
    assert verify(signed_by_hand(header, payload)).recipient == "alice"
    assert "signature is wrong" in refusal(signed_by_hand(header, payload, RIVAL.secret))


def test_token_of_another_project_is_refused_by_kid_and_by_signature() -> None:
    assert PROJECT.key in refusal(token({}, RIVAL))
    assert "signature is wrong" in refusal(token({}, Project("8", PROJECT.key, RIVAL.secret)))


@pytest.mark.parametrize("algorithm", ["none", "None", "HS384", "HS512", "RS256", "hs256", ""])
def test_only_hs256_is_accepted(algorithm: str) -> None:
    text = signed_by_hand(encoded({"alg": algorithm}), encoded({"sub": "alice", "exp": NOW / 1000 + 60}))
    assert "algorithm is not accepted" in refusal(text)


def test_token_without_a_signature_is_refused() -> None:
    head, body, _ = token({}).split(".")
    assert "signature is wrong" in refusal(f"{head}.{body}.")
    assert "not accepted" in refusal(f"{encoded({'alg': 'none'})}.{body}.")


def test_changed_payload_is_refused() -> None:
    head, _, signature = token({}).split(".")
    forged = encoded({"sub": "bob", "exp": NOW / 1000 + 60})
    assert "signature is wrong" in refusal(f"{head}.{forged}.{signature}")


def test_unknown_critical_extensions_are_refused() -> None:
    header = encoded({"alg": "HS256", "crit": ["exp"], "kid": PROJECT.key})
    assert "crit" in refusal(signed_by_hand(header, encoded({"sub": "alice", "exp": NOW / 1000 + 60})))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not a JWT"),
        ("a.b", "not a JWT"),
        ("a.b.c.d", "not a JWT"),
        ("..", "malformed"),
        ("a.b.c", "malformed"),
        ("€.€.€", "malformed"),
        (f"{encoded(b'[]')}.e30.", "malformed"),
        (f"{encoded(b'{}')}.e30.", "malformed"),
        (f"{encoded({'alg': 1})}.e30.", "malformed"),
        (f"{encoded({'alg': 'HS256', 'kid': 1})}.e30.", "malformed"),
        (f"{encoded(b'{')}.e30.", "malformed"),
        (f"{encoded(bytes([255]))}.e30.", "malformed"),
        (f"{encoded(b'{' + bytes([34, 255, 34]) + b':1}')}.e30.", "malformed"),
        (f"{encoded(b'[' * 4_000)}.e30.", "malformed"),
        (f"{encoded({'alg': 'HS256'})}.e30=.", "malformed"),
        (f"{encoded({'alg': 'HS256'})}.e3 0.", "malformed"),
        (f"{encoded({'alg': 'HS256'})}.e30.+/+/", "malformed"),
        ("a" * 8_193, "longer than 8192"),
    ],
)
def test_malformed_token_is_refused_with_the_reason(text: str, reason: str) -> None:
    assert reason in refusal(text)


def test_longest_token_is_accepted() -> None:
    text = token({"name": "x"})
    filler = tokens.MAX_LENGTH - len(token({"filler": ""}))
    long = token({"filler": "y" * (filler * 3 // 4 - 4)})
    assert len(text) < len(long) <= tokens.MAX_LENGTH
    assert verify(long).recipient == "alice"


def test_refusals_contain_neither_secret_nor_signature() -> None:
    head, body, signature = token({}).split(".")
    wrong = [f"{head}.{body}.AAAA", f"{head}.e30.{signature}", token({"exp": 1}), token({}, RIVAL)]
    for text in wrong:
        assert not any(part in refusal(text) for part in (PROJECT.secret, signature, body))


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
def test_arbitrary_text_is_refused(text: str) -> None:
    with pytest.raises(Unauthenticated):
        verify(text)


@pytest.mark.thorough
@given(
    st.dictionaries(
        st.sampled_from(["sub", "exp", "iat", "nbf", "tenant", "topics", "roles", "name", "aud"]),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
            lambda inner: st.lists(inner, max_size=3),
            max_leaves=5,
        ),
    )
)
def test_signed_claims_of_any_type_are_accepted_or_refused(claims: dict[str, object]) -> None:
    payload = encoded(json.dumps({"sub": "alice", "exp": NOW / 1000 + 60} | claims).encode())
    try:
        principal = verify(signed_by_hand(encoded({"alg": "HS256"}), payload))
    except Unauthenticated:
        return
    assert principal.recipient
    assert principal.recipient == claims.get("sub", "alice")


def test_verifying_a_token_is_fast_enough_for_a_reconnect_storm() -> None:
    text = tokens.sign(PROJECT, "alice", now=NOW, expires_at=NOW + HOUR, topics=["a.*", "b"], roles=["admin"])
    options = {"verify_exp": False, "verify_iat": False}
    # 11 µs and 60 µs of processor time. Other load slows both, so the bound is a fraction of the time of a general library.
    ours = processor_time(lambda: verify(text))
    assert ours < processor_time(lambda: jwt.decode(text, PROJECT.secret, ["HS256"], options=options)) / 2


def processor_time(run: Callable[[], object]) -> float:
    return min(timeit.repeat(run, number=300, repeat=7, timer=time.process_time))


def test_each_project_caches_its_own_keyed_hmac():
    one, other = Project("1", "one", "secret of one"), Project("2", "other", "secret of the other")
    cached = one.keyed_hmac, other.keyed_hmac
    for project, keyed in ((one, cached[0]), (other, cached[1])):
        tokens.sign(project, "alice", now=0, expires_at=1)
        assert project.keyed_hmac is keyed
    assert cached[0].digest() != cached[1].digest()
