import pytest

from bellcast.auth import tokens
from bellcast.kernel.errors import Unauthenticated
from bellcast.kernel.identities import Principal
from bellcast.kernel.limits import Limits
from tests.unit.auth.fakes import NOW, PROJECT, token

SECONDS = NOW // 1000
LIMITS = Limits()


def verify(claims: dict[str, object], limits: Limits = LIMITS, now: int = NOW) -> Principal:
    return tokens.verify(PROJECT, token(claims), now, limits)


def refusal(claims: dict[str, object], limits: Limits = LIMITS) -> str:
    with pytest.raises(Unauthenticated) as caught:
        verify(claims, limits)
    return caught.value.detail


def test_token_is_valid_until_exp_as_its_live_connections_are() -> None:
    assert verify({"exp": SECONDS + 0.001}).expires_at == NOW + 1
    assert "has expired" in refusal({"exp": SECONDS})


def test_token_is_valid_from_two_seconds_before_nbf() -> None:
    assert verify({"nbf": SECONDS + 2}).recipient == "alice"
    assert "nbf" in refusal({"nbf": SECONDS + 2.001})


def test_token_issued_in_the_future_is_refused_because_it_would_outlive_a_revocation() -> None:
    assert verify({"iat": SECONDS + 2}).issued_at == NOW + 2_000
    assert "iat" in refusal({"iat": SECONDS + 2.001})


def test_iat_keeps_its_fraction_and_defaults_to_zero() -> None:
    assert verify({"iat": SECONDS - 0.877}).issued_at == NOW - 877
    assert verify({}).issued_at == 0


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"sub": ...}, "required field `sub`"),
        ({"exp": ...}, "required field `exp`"),
        ({"sub": ""}, "sub must not be empty"),
        ({"sub": 7}, "$.sub"),
        ({"sub": None}, "$.sub"),
        ({"sub": "a" * 201}, "sub must be at most 200 characters"),
        ({"sub": "a\nb"}, "sub must not contain control characters"),
        ({"exp": "2030-01-01"}, "$.exp"),
        ({"exp": str(SECONDS + 60)}, "$.exp"),
        ({"exp": True}, "$.exp"),
        ({"exp": None}, "$.exp"),
        ({"exp": -1}, "$.exp"),
        ({"exp": 10**15}, "$.exp"),
        ({"exp": 10**400}, "claims are wrong"),
        ({"iat": True}, "$.iat"),
        ({"iat": "now"}, "$.iat"),
        ({"iat": None}, "$.iat"),
        ({"nbf": False}, "$.nbf"),
        ({"tenant": "*"}, 'tenant must not be "*"'),
        ({"tenant": ""}, "tenant must not be empty"),
        ({"tenant": ["acme"]}, "$.tenant"),
        ({"topics": "admin"}, "$.topics"),
        ({"topics": [1]}, "$.topics"),
        ({"topics": [""]}, "topics.0 must not be empty"),
        ({"publish": {"a": 1}}, "$.publish"),
        ({"roles": ["admin", "a\x00"]}, "roles.1 may only contain"),
        ({"roles": "admin"}, "$.roles"),
        ({"name": 7}, "$.name"),
        ({"name": "n" * 501}, "name must be at most 500 characters"),
    ],
)
def test_wrong_claim_is_refused_by_its_name(claims: dict[str, object], expected: str) -> None:
    assert expected in refusal(claims)


def test_every_claim_out_of_bounds_is_reported() -> None:
    message = refusal({"sub": "", "tenant": "*", "topics": ["", "x"]})
    assert "sub must" in message
    assert "tenant must" in message
    assert "topics.0 must" in message


def test_bounds_are_the_configured_limits() -> None:
    assert verify({"sub": "a" * 201}, Limits(key=0)).recipient == "a" * 201
    assert "at most 3" in refusal({"sub": "alice"}, Limits(key=3))


def test_null_claims_are_ignored() -> None:
    null_claims = dict.fromkeys(("tenant", "topics", "publish", "roles", "name"))
    assert verify(null_claims) == verify({})


def test_unrelated_claims_are_ignored() -> None:
    unrelated = {"iss": "https://app.example", "aud": ["bell"], "jti": 7, "scope": {"a": [1, 2]}}
    assert verify(unrelated) == verify({})
