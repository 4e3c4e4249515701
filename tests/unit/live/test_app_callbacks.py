"""The identity that a `connect` handler accepts."""

from typing import Any, cast

import pytest

from bellcast.calls import CONNECT, Call
from bellcast.kernel.errors import Unavailable
from bellcast.kernel.identities import Principal
from bellcast.kernel.limits import Limits
from bellcast.live.connection import Connection
from bellcast.live.native.app_callbacks import accept, caller
from tests.unit.live.fakes import ALICE, connect, new_hub

WRONG: dict[str, dict[str, Any]] = {
    "a long recipient": {"recipient": "a" * 201},
    "a recipient with a control character": {"recipient": "al\0ice"},
    "a long tenant": {"tenant": "t" * 201},
    "every tenant": {"tenant": "*"},
    "a role with a space": {"roles": ["guest", "the admin"]},
    "a long role": {"roles": ["r" * 201]},
    "an empty role": {"roles": [""]},
}


def accepting(connection: Connection, **names: Any) -> Call:
    call = Call(cast(Any, None), CONNECT, connection=connection.id, **caller(connection))
    call.accept(**{"recipient": "bob", **names})
    return call


async def test_connect_handler_accepts_an_identity_in_place_of_the_session() -> None:
    connection = connect(new_hub())
    accept(connection, accepting(connection, roles=["guest"], tenant=""), Limits())
    assert (connection.principal.recipient, connection.principal.roles) == ("bob", ("guest",))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({}, (None, None)),
        ({"roles": ["guest"]}, (None, ("guest",))),
        ({"recipient": "alice"}, ("Alice", ("admin",))),
        ({"recipient": "alice", "roles": []}, ("Alice", ())),
        ({"recipient": "alice", "tenant": "acme"}, (None, None)),
    ],
)
async def test_name_and_roles_of_a_session_are_not_those_of_another_recipient(
    names: dict[str, Any], expected: tuple[str | None, tuple[str, ...] | None]
) -> None:
    session = Principal(recipient="alice", name="Alice", roles=("admin",), topics=("hall",))
    connection = connect(new_hub(), principal=session)
    accept(connection, accepting(connection, **names), Limits())
    accepted = connection.principal
    assert ((accepted.name, accepted.roles), accepted.topics) == (expected, ("hall",))


@pytest.mark.parametrize("names", WRONG.values(), ids=WRONG)
async def test_names_that_no_token_could_have_are_a_failure_of_the_connect_handler(names: dict[str, Any]) -> None:
    anonymous = connect(new_hub(), principal=Principal())
    with pytest.raises(Unavailable):
        accept(anonymous, accepting(anonymous, **names), Limits())
    signed_in = connect(new_hub())
    call = accepting(signed_in, **names)
    accept(signed_in, call, Limits())
    assert (anonymous.principal, signed_in.principal, call.accepted) == (Principal(), ALICE, None)
