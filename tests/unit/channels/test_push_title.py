"""The title of a push message, with the name of its actor."""

import pytest

from bellcast.channels.contents import title_with_actor
from bellcast.inbox.types import Actor


@pytest.mark.parametrize(
    ("title", "name", "expected"),
    [
        ("commented on “Harbour”", "Farid Ito", "Farid Ito commented on “Harbour”"),
        ("New comment", "Farid Ito", "Farid Ito · New comment"),
        ("Farid commented", "Farid Ito", "Farid commented"),
        ("Ben commented", "Ben", "Ben commented"),
        ("The annex is ready", "Ann", "Ann · The annex is ready"),
        ("Aviso de pago", "Ana de Silva", "Ana de Silva · Aviso de pago"),
        ("田中さんがコメントしました", "田中", "田中さんがコメントしました"),
        ("New comment", None, "New comment"),
        ("", "Ben", ""),
    ],
)
def test_push_title_has_the_name_of_the_actor(title, name, expected):
    assert title_with_actor(title, Actor(name=name)) == expected
    assert title_with_actor(title, None) == title
