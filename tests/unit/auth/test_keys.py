import pytest
from tests.unit.auth.world import NOW

from bellcast.auth import keys
from bellcast.errors import Invalid
from bellcast.model import times


def test_a_new_key_is_shown_whole_and_kept_as_a_digest() -> None:
    made = keys.make("booking service", ["send"], NOW)
    assert made.key.name == "booking service"
    assert made.key.created_at == times.to_rfc3339(NOW)
    assert made.key.revoked_at is None
    parsed = keys.parse(made.text)
    assert parsed is not None
    id, secret = parsed
    assert id == made.key.id
    assert keys.matches(secret, made.digest)
    assert secret.encode() not in made.digest


def test_no_two_keys_are_alike() -> None:
    made = [keys.make("one", ["send"], NOW) for _ in range(20)]
    assert len({one.text for one in made}) == len({one.key.id for one in made}) == 20


def test_scopes_are_exactly_those_asked_for_each_once() -> None:
    assert keys.make("one", ["manage", "send", "send"], NOW).key.scopes == ("send", "manage")


@pytest.mark.parametrize("scopes", [[], ["all"], ["send", "Send"], ["*"]])
def test_unknown_scopes_make_no_key(scopes: list[str]) -> None:
    with pytest.raises(Invalid) as caught:
        keys.make("one", scopes, NOW)
    assert caught.value.errors[0].field == "scopes"


@pytest.mark.parametrize("text", ["", "bc", "bc_", "bc__", "bc_1", "bc_1_", "bc__s", "xx_1_s", "eyJ.e30.x", "BC_1_s"])
def test_other_texts_are_no_keys(text: str) -> None:
    assert keys.parse(text) is None


def test_a_wrong_secret_does_not_match() -> None:
    made = keys.make("one", ["send"], NOW)
    assert not keys.matches("wrong", made.digest)
    assert not keys.matches("\udcff", made.digest)
