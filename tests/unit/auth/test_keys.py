import pytest

from bellcast.auth import keys
from bellcast.kernel import times
from tests.unit.auth.fakes import NOW


def test_new_key_is_returned_once_and_stored_as_a_digest() -> None:
    new, text, digest = keys.make("booking service", ["send"], NOW)
    assert new.name == "booking service"
    assert new.created_at == times.to_rfc3339(NOW)
    assert new.revoked_at is None
    parsed = keys.parse(text)
    assert parsed is not None
    id, secret = parsed
    assert id == new.id
    assert keys.matches(secret, digest)
    assert secret.encode() not in digest


def test_generated_keys_are_unique() -> None:
    new = [keys.make("one", ["send"], NOW) for _ in range(20)]
    assert len({text for _, text, _ in new}) == len({key.id for key, _, _ in new}) == 20


def test_scopes_are_deduplicated() -> None:
    key, _, _ = keys.make("one", ["manage", "send", "send"], NOW)
    assert key.scopes == ("send", "manage")


@pytest.mark.parametrize("text", ["", "bc", "bc_", "bc__", "bc_1", "bc_1_", "bc__s", "xx_1_s", "eyJ.e30.x", "BC_1_s"])
def test_malformed_keys_do_not_parse(text: str) -> None:
    assert keys.parse(text) is None


def test_wrong_secret_does_not_match() -> None:
    _, _, digest = keys.make("one", ["send"], NOW)
    assert not keys.matches("wrong", digest)
    assert not keys.matches("\udcff", digest)
