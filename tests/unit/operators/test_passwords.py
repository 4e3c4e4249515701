"""Password hashes of operators, and which of their cookies leave the server."""

import pytest

from bellcast.auth.request import without_own_cookies
from bellcast.kernel.limits import Limits
from bellcast.operators import factors


def test_hash_is_argon2id_with_a_salt() -> None:
    first, second = (factors.hash_password("a long password") for _ in range(2))
    assert first.startswith("$argon2id$v=19$m=65536,t=3,p=1$")
    assert first != second
    assert factors.matches_password("a long password", first)
    assert not factors.matches_password("another password", first)


def test_composed_and_decomposed_accents_are_one_password() -> None:
    assert factors.matches_password("cafe\u0301 au lait!", factors.hash_password("caf\u00e9 au lait!"))


@pytest.mark.parametrize(("length", "is_valid"), [(11, False), (12, True), (1024, True), (1025, False)])
def test_password_has_twelve_characters_or_more(length: int, is_valid: bool) -> None:
    assert (list(factors.check_password("password", "x" * length, Limits())) == []) is is_valid


@pytest.mark.parametrize(
    ("header", "rest"),
    [
        (b"app=1", b"app=1"),
        (b"app=1; __Host-bellcast=x; b=2", b"app=1; b=2"),
        (b"bellcast-console-8787=x; bellcast-console-80-device=y", b""),
        (b"note=__Host-bellcast=x", b"note=__Host-bellcast=x"),
    ],
)
def test_app_does_not_receive_sessions_of_operators(header: bytes, rest: bytes) -> None:
    assert without_own_cookies(header) == rest
