import base64
import hashlib
import hmac
import json
import timeit

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.auth.world import NOW, PROJECT, RIVAL, encoded, token

from bellcast.auth import tokens
from bellcast.errors import Unauthenticated
from bellcast.model.identities import Principal, Project
from bellcast.model.limits import Limits

LIMITS = Limits()
HOUR = 3_600_000


def verify(text: str, project: Project = PROJECT, now: int = NOW) -> Principal:
    return tokens.verify(project, text, now, LIMITS)


def refusal(text: str, **more: object) -> str:
    with pytest.raises(Unauthenticated) as caught:
        verify(text, **more)  # type: ignore[arg-type]  # the callers' own keywords
    return caught.value.detail


def signed_by_hand(header: str, payload: str, secret: str = PROJECT.secret) -> str:
    signed = f"{header}.{payload}"
    signature = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def test_a_signed_token_says_back_everything_it_was_given() -> None:
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


def test_a_signed_token_says_nothing_it_was_not_given() -> None:
    text = tokens.sign(PROJECT, "alice", now=NOW, expires_at=NOW + HOUR)
    assert verify(text) == Principal(recipient="alice", issued_at=NOW, expires_at=NOW + HOUR)
    assert jwt.decode(text, PROJECT.secret, ["HS256"], options={"verify_exp": False, "verify_iat": False}) == {
        "sub": "alice",
        "iat": NOW / 1000,
        "exp": (NOW + HOUR) / 1000,
    }


def test_no_roles_given_leaves_the_record_alone_and_an_empty_list_takes_them_away() -> None:
    said = [tokens.sign(PROJECT, "alice", now=NOW, expires_at=NOW + HOUR, roles=roles) for roles in (None, [])]
    assert [verify(text).roles for text in said] == [None, ()]


def test_another_librarys_token_is_understood_and_ours_by_it() -> None:
    assert verify(token({"name": "Älice"})).name == "Älice"
    ours = tokens.sign(PROJECT, "alice", now=NOW, expires_at=NOW + HOUR)
    assert jwt.get_unverified_header(ours) == {"alg": "HS256", "typ": "JWT", "kid": PROJECT.key}


def test_a_token_without_kid_is_taken_if_its_signature_holds() -> None:
    header = encoded({"alg": "HS256"})
    payload = encoded({"sub": "alice", "exp": NOW / 1000 + 60})
    assert verify(signed_by_hand(header, payload)).recipient == "alice"
    assert "signature is wrong" in refusal(signed_by_hand(header, payload, RIVAL.secret))


def test_another_projects_token_is_refused_by_its_kid_and_by_its_signature() -> None:
    assert "kid" in refusal(token({}, RIVAL))
    assert "signature is wrong" in refusal(token({}, Project("8", PROJECT.key, RIVAL.secret)))


@pytest.mark.parametrize("algorithm", ["none", "None", "HS384", "HS512", "RS256", "hs256", ""])
def test_only_hs256_is_taken_whatever_the_header_asks(algorithm: str) -> None:
    text = signed_by_hand(encoded({"alg": algorithm}), encoded({"sub": "alice", "exp": NOW / 1000 + 60}))
    assert "algorithm is not accepted" in refusal(text)


def test_a_token_without_a_signature_is_refused() -> None:
    head, body, _ = token({}).split(".")
    assert "signature is wrong" in refusal(f"{head}.{body}.")
    assert "not accepted" in refusal(f"{encoded({'alg': 'none'})}.{body}.")


def test_a_changed_payload_is_refused() -> None:
    head, _, signature = token({}).split(".")
    forged = encoded({"sub": "bob", "exp": NOW / 1000 + 60})
    assert "signature is wrong" in refusal(f"{head}.{forged}.{signature}")


def test_extensions_that_are_not_understood_are_refused() -> None:
    header = encoded({"alg": "HS256", "crit": ["exp"], "kid": PROJECT.key})
    assert "crit" in refusal(signed_by_hand(header, encoded({"sub": "alice", "exp": NOW / 1000 + 60})))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not a JWT"),
        ("a.b", "not a JWT"),
        ("a.b.c.d", "not a JWT"),
        ("..", "broken"),
        ("a.b.c", "broken"),
        ("€.€.€", "broken"),
        (f"{encoded(b'[]')}.e30.", "broken"),
        (f"{encoded(b'{}')}.e30.", "broken"),
        (f"{encoded({'alg': 1})}.e30.", "broken"),
        (f"{encoded({'alg': 'HS256', 'kid': 1})}.e30.", "broken"),
        (f"{encoded(b'{')}.e30.", "broken"),
        (f"{encoded(bytes([255]))}.e30.", "broken"),
        (f"{encoded(b'{' + bytes([34, 255, 34]) + b':1}')}.e30.", "broken"),
        (f"{encoded(b'[' * 4_000)}.e30.", "broken"),
        (f"{encoded({'alg': 'HS256'})}.e30=.", "broken"),
        (f"{encoded({'alg': 'HS256'})}.e3 0.", "broken"),
        (f"{encoded({'alg': 'HS256'})}.e30.+/+/", "broken"),
        ("a" * 8_193, "longer than 8192"),
    ],
)
def test_what_is_no_token_is_refused_with_the_reason(text: str, says: str) -> None:
    assert says in refusal(text)


def test_the_longest_token_is_still_read() -> None:
    text = token({"name": "x"})
    filler = tokens.MAX_LENGTH - len(token({"filler": ""}))
    long = token({"filler": "y" * (filler * 3 // 4 - 4)})
    assert len(text) < len(long) <= tokens.MAX_LENGTH
    assert verify(long).recipient == "alice"


def test_no_refusal_tells_the_secret_or_the_signature() -> None:
    head, body, signature = token({}).split(".")
    wrong = [f"{head}.{body}.AAAA", f"{head}.e30.{signature}", token({"exp": 1}), token({}, RIVAL)]
    for text in wrong:
        assert not any(part in refusal(text) for part in (PROJECT.secret, signature, body))


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
def test_nothing_that_arrives_does_more_than_be_refused(text: str) -> None:
    with pytest.raises(Unauthenticated):
        verify(text)


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
def test_signed_claims_of_any_kind_are_taken_or_refused(claims: dict[str, object]) -> None:
    payload = encoded(json.dumps({"sub": "alice", "exp": NOW / 1000 + 60} | claims).encode())
    try:
        principal = verify(signed_by_hand(encoded({"alg": "HS256"}), payload))
    except Unauthenticated:
        return
    assert principal.recipient
    assert principal.recipient == claims.get("sub", "alice")


def test_verifying_a_token_costs_no_more_than_a_storm_of_reconnects_can_bear() -> None:
    text = tokens.sign(PROJECT, "alice", now=NOW, expires_at=NOW + HOUR, topics=["a.*", "b"], roles=["admin"])
    best = min(timeit.repeat(lambda: verify(text), number=300, repeat=7)) / 300
    assert best < 100e-6  # 15 µs here; a loaded machine may take longer, a library's parsing takes it over


def test_two_projects_in_one_process_keep_a_keyed_hmac_each():
    one, other = Project("1", "one", "secret of one"), Project("2", "other", "secret of the other")
    kept = one.keyed_hmac, other.keyed_hmac
    for project, keyed in ((one, kept[0]), (other, kept[1])):
        tokens.sign(project, "alice", now=0, expires_at=1)
        assert project.keyed_hmac is keyed
    assert kept[0].digest() != kept[1].digest()
