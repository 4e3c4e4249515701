"""The two clients have the same methods, and hide the secret."""

import inspect

import pytest

from bellcast.client import AsyncBellcast, Bellcast, notifications

SECRET = "s3cret-of-the-project"


def test_a_method_is_its_builder_and_says_so():
    with Bellcast("http://127.0.0.1:1", SECRET) as bell:
        assert inspect.signature(bell.notify) == inspect.signature(notifications.notify)
        assert bell.notify.__doc__ == notifications.notify.__doc__


def test_every_method_is_there_for_both():
    def methods(kind):
        return {name for name in dir(kind) if not name.startswith("_")}

    assert methods(Bellcast) == methods(AsyncBellcast)
    assert methods(Bellcast) >= {
        "notify",
        "bulk",
        "publish",
        "trigger",
        "token",
        "edit",
        "recall",
        "inbox",
        "recipients",
    }


def test_the_secret_is_not_shown():
    with Bellcast("http://127.0.0.1:1", SECRET) as bell:
        assert SECRET not in repr(bell) + repr(bell.sender) + repr(bell.inbox(SECRET).sender)


def test_an_address_without_a_scheme_is_refused_at_once():
    with pytest.raises(ValueError, match="begins with http"):
        Bellcast("127.0.0.1:8787", SECRET)
