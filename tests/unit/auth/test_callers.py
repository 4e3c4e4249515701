import msgspec
import pytest
from tests.unit.auth.world import NOW, PROJECT, RIVAL, Keyring

from bellcast.auth import keys, server_credentials
from bellcast.errors import Forbidden, Unauthenticated
from bellcast.model import times
from bellcast.model.identities import Caller


async def test_the_project_secret_has_every_scope() -> None:
    caller = await server_credentials.authenticate(PROJECT, Keyring(), PROJECT.secret)
    assert caller == Caller(scopes=("send", "read", "manage"))


@pytest.mark.parametrize("credential", ["", RIVAL.secret, PROJECT.secret + " ", PROJECT.secret[:-1], "\udcff", "ä"])
async def test_another_secret_is_nobodys(credential: str) -> None:
    assert await server_credentials.authenticate(PROJECT, Keyring(), credential) is None


async def test_an_api_key_has_its_own_scopes() -> None:
    keyring = Keyring()
    made = keys.make("booking service", ["read"], NOW)
    await keyring.create(made.key, made.digest)
    caller = await server_credentials.authenticate(PROJECT, keyring, made.text)
    assert caller == Caller(scopes=("read",), key=made.key.id)


async def test_a_key_that_is_unknown_or_has_another_secret_is_refused_alike() -> None:
    keyring = Keyring()
    made = keys.make("booking service", ["read"], NOW)
    await keyring.create(made.key, made.digest)
    said = []
    for text in (keys.make("other", ["read"], NOW).text, f"bc_{made.key.id}_guess"):
        with pytest.raises(Unauthenticated) as caught:
            await server_credentials.authenticate(PROJECT, keyring, text)
        said.append(caught.value.detail)
    assert said == ["This API key is not known here."] * 2


async def test_a_revoked_key_is_refused() -> None:
    keyring = Keyring()
    made = keys.make("booking service", ["read"], NOW)
    await keyring.create(msgspec.structs.replace(made.key, revoked_at=times.to_rfc3339(NOW)), made.digest)
    with pytest.raises(Unauthenticated, match="revoked"):
        await server_credentials.authenticate(PROJECT, keyring, made.text)


def test_no_scope_implies_another() -> None:
    for scope in keys.SCOPES:
        server_credentials.require(Caller(scopes=(scope,)), scope)
        for other in set(keys.SCOPES) - {scope}:
            with pytest.raises(Forbidden, match=f"lacks the scope {other}"):
                server_credentials.require(Caller(scopes=(scope,)), other)
