import pytest

from bellcast.auth import keys
from bellcast.kernel import times
from tests.unit.auth.fakes import NOW


def test_new_key_is_returned_once_and_stored_as_a_digest() -> None:
    new = keys.make("booking service", ["send"], NOW)
    assert new.key.name == "booking service"
    assert new.key.created_at == times.to_rfc3339(NOW)
    assert new.key.revoked_at is None
    parsed = keys.parse(new.text)
    assert parsed is not None
    id, secret = parsed
    assert id == new.key.id
    assert keys.matches(secret, new.digest)
    assert secret.encode() not in new.digest


def test_generated_keys_are_unique() -> None:
    new = [keys.make("one", ["send"], NOW) for _ in range(20)]
    assert len({key.text for key in new}) == len({key.key.id for key in new}) == 20


def test_scopes_are_deduplicated() -> None:
    assert keys.make("one", ["manage", "send", "send"], NOW).key.scopes == ("send", "manage")


@pytest.mark.parametrize("text", ["", "bc", "bc_", "bc__", "bc_1", "bc_1_", "bc__s", "xx_1_s", "eyJ.e30.x", "BC_1_s"])
def test_malformed_keys_do_not_parse(text: str) -> None:
    assert keys.parse(text) is None


def test_wrong_secret_does_not_match() -> None:
    new = keys.make("one", ["send"], NOW)
    assert not keys.matches("wrong", new.digest)
    assert not keys.matches("\udcff", new.digest)
