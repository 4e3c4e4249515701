"""Session tokens signed by the app, with its own claim names."""

import time
from typing import Any

import jwt
import pytest

from bellcast.auth import tokens
from bellcast.kernel.errors import Unauthenticated
from bellcast.kernel.identities import Principal
from bellcast.kernel.limits import Limits

SECRET = "the secret an app used before Bellcast"
CLAIM_NAMES = tokens.claim_names_of(("recipient=userId", "roles=role", "tenant=org"))


def verify(claims: dict[str, Any], secret: str = SECRET) -> Principal | None:
    token = jwt.encode(claims, secret, "HS256")
    return tokens.verify_app_token(SECRET, CLAIM_NAMES, token, int(time.time() * 1000), Limits())


def test_claims_are_read_by_the_apps_names() -> None:
    principal = verify({"userId": "alice", "role": "admin", "org": "acme", "email": "a@example.com"})
    assert principal is not None
    assert (principal.recipient, principal.roles, principal.tenant) == ("alice", ("admin",), "acme")


def test_numeric_id_and_list_of_roles_are_accepted() -> None:
    principal = verify({"userId": 42, "role": ["admin", "editor"]})
    assert principal is not None
    assert (principal.recipient, principal.roles) == ("42", ("admin", "editor"))


def test_token_without_exp_never_expires_and_exp_and_nbf_are_enforced() -> None:
    assert verify({"userId": "alice"}) is not None
    with pytest.raises(Unauthenticated, match="expired"):
        verify({"userId": "alice", "exp": int(time.time()) - 60})
    with pytest.raises(Unauthenticated, match="not valid yet"):
        verify({"userId": "alice", "nbf": int(time.time()) + 60})


def test_token_signed_with_another_secret_is_not_the_apps() -> None:
    assert verify({"userId": "alice"}, secret="some other secret of forty characters-xx") is None


@pytest.mark.parametrize("claims", [{}, {"userId": None}, {"userId": ""}, {"userId": True}, {"userId": ["a"]},
                                    {"userId": "alice", "role": 7}, {"userId": "alice", "exp": "soon"}])  # fmt: skip
def test_claims_of_the_wrong_type_are_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        verify(claims)


@pytest.mark.parametrize("pairs", [(), ("roles=role",), ("recipient=",), ("recipient=id", "colour=c")])
def test_mapping_needs_a_recipient_and_known_claims(pairs: tuple[str, ...]) -> None:
    with pytest.raises(ValueError):
        tokens.claim_names_of(pairs)
