import msgspec
import pytest

from bellcast.auth import keys
from bellcast.kernel import times
from bellcast.kernel.clock import TestClock
from bellcast.kernel.errors import Forbidden, Unauthenticated
from bellcast.kernel.identities import Caller
from tests.unit.auth.fakes import NOW, PROJECT, RIVAL, Keyring


async def test_project_secret_has_every_scope() -> None:
    caller = await keys.authenticate(PROJECT, Keyring(), PROJECT.secret, TestClock(NOW))
    assert caller == Caller(scopes=("send", "read", "manage", "observe", "configure", "admin", "agent"))


@pytest.mark.parametrize("credential", ["", RIVAL.secret, PROJECT.secret + " ", PROJECT.secret[:-1], "\udcff", "ä"])
async def test_another_secret_authenticates_no_caller(credential: str) -> None:
    assert await keys.authenticate(PROJECT, Keyring(), credential, TestClock(NOW)) is None


async def test_api_key_has_its_own_scopes() -> None:
    keyring = Keyring()
    key, text, digest = keys.make("booking service", ["read"], NOW)
    await keyring.create(key, digest)
    caller = await keys.authenticate(PROJECT, keyring, text, TestClock(NOW))
    assert caller == Caller(scopes=("read",), key=key.id)


async def test_key_with_an_end_is_refused_from_then_on() -> None:
    keyring = Keyring()
    key, text, digest = keys.make("helper", ["agent"], NOW, None, NOW + 1000)
    await keyring.create(key, digest)
    assert await keys.authenticate(PROJECT, keyring, text, TestClock(NOW + 999))
    with pytest.raises(Unauthenticated, match="expired"):
        await keys.authenticate(PROJECT, keyring, text, TestClock(NOW + 1000))


async def test_unknown_key_and_wrong_secret_get_the_same_error() -> None:
    keyring = Keyring()
    key, _, digest = keys.make("booking service", ["read"], NOW)
    await keyring.create(key, digest)
    _, other, _ = keys.make("other", ["read"], NOW)
    messages = []
    for text in (other, f"bc_{key.id}_guess"):
        with pytest.raises(Unauthenticated) as caught:
            await keys.authenticate(PROJECT, keyring, text, TestClock(NOW))
        messages.append(caught.value.detail)
    assert messages == ["This API key does not exist."] * 2


async def test_revoked_key_is_refused() -> None:
    keyring = Keyring()
    key, text, digest = keys.make("booking service", ["read"], NOW)
    await keyring.create(msgspec.structs.replace(key, revoked_at=times.to_rfc3339(NOW)), digest)
    with pytest.raises(Unauthenticated, match="revoked"):
        await keys.authenticate(PROJECT, keyring, text, TestClock(NOW))


def test_no_scope_implies_another() -> None:
    for scope in keys.SCOPES:
        keys.require(Caller(scopes=(scope,)), scope)
        for other in set(keys.SCOPES) - {scope}:
            with pytest.raises(Forbidden, match=f"lacks the scope {other}"):
                keys.require(Caller(scopes=(scope,)), other)
