"""Tokens an app signs for itself, and what becomes of their claims."""

import time
from typing import Any

import jwt
import pytest

from bellcast.auth import app_tokens
from bellcast.errors import Unauthenticated
from bellcast.model.identities import Principal
from bellcast.model.limits import Limits

SECRET = "the secret of an app that was there before"
NAMED = app_tokens.mapping(("recipient=userId", "roles=role", "tenant=org"))


def verify(claims: dict[str, Any], secret: str = SECRET) -> Principal | None:
    token = jwt.encode(claims, secret, "HS256")
    return app_tokens.verify(SECRET, NAMED, token, int(time.time() * 1000), Limits())


def test_the_apps_names_are_read_as_ours() -> None:
    found = verify({"userId": "alice", "role": "admin", "org": "acme", "email": "a@example.com"})
    assert found is not None
    assert (found.recipient, found.roles, found.tenant) == ("alice", ("admin",), "acme")


def test_a_number_is_an_id_and_a_list_is_roles() -> None:
    found = verify({"userId": 42, "role": ["admin", "editor"]})
    assert found is not None
    assert (found.recipient, found.roles) == ("42", ("admin", "editor"))


def test_without_an_end_it_never_ends_and_with_one_it_does() -> None:
    assert verify({"userId": "alice"}) is not None
    with pytest.raises(Unauthenticated, match="expired"):
        verify({"userId": "alice", "exp": int(time.time()) - 60})
    with pytest.raises(Unauthenticated, match="not valid yet"):
        verify({"userId": "alice", "nbf": int(time.time()) + 60})


def test_what_another_secret_signed_is_not_the_apps() -> None:
    assert verify({"userId": "alice"}, secret="some other secret of forty characters-xx") is None


@pytest.mark.parametrize("claims", [{}, {"userId": None}, {"userId": ""}, {"userId": True}, {"userId": ["a"]},
                                    {"userId": "alice", "role": 7}, {"userId": "alice", "exp": "soon"}])  # fmt: skip
def test_claims_of_the_wrong_type_are_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        verify(claims)


@pytest.mark.parametrize("pairs", [(), ("roles=role",), ("recipient=",), ("recipient=id", "colour=c")])
def test_a_mapping_must_say_whose_a_token_is_in_known_words(pairs: tuple[str, ...]) -> None:
    with pytest.raises(ValueError):
        app_tokens.mapping(pairs)
