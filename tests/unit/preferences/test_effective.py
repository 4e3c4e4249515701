"""The table of types and channels that a recipient sees."""

import msgspec
from msgspec import UNSET

from bellcast.inbox.types import ChannelRequest, NotificationType
from bellcast.preferences.decision import ChannelStatus, Layers, effective
from bellcast.preferences.types import Preferences


def test_effective_names_the_document_that_decided() -> None:
    layers = Layers(
        recipient=Preferences(channels={"sms": False}),
        tenant=Preferences(types={"booking": {"email": False}}),
    )
    (booking,) = effective(layers, {"booking": NotificationType()})
    assert booking.channels["sms"] == ChannelStatus(False, False, "recipient")
    assert booking.channels["email"] == ChannelStatus(False, False, "tenant")
    assert booking.channels["push"] == ChannelStatus(True, False, None)


def test_required_channel_is_on_and_locked() -> None:
    layers = Layers(recipient=Preferences(channels={"email": False}))
    rules = {"invoice": NotificationType(required=("email",)), "news": NotificationType(defaults={"push": False})}
    invoice, news = effective(layers, rules)
    assert invoice.channels["email"] == ChannelStatus(True, True, "type")
    assert news.channels["email"] == ChannelStatus(False, False, "recipient")
    assert news.channels["push"] == ChannelStatus(False, False, "type")


def test_unavailable_channels_are_marked_in_every_type() -> None:
    booking, news = effective(Layers(), {"booking": NotificationType(), "news": NotificationType()}, ("inbox", "email"))
    for one in (booking, news):
        assert [channel for channel, status in one.channels.items() if status.available is False] == [
            "sms",
            "push",
            "chat",
        ]
        assert "available" not in msgspec.to_builtins(one.channels["email"])


def test_channel_that_the_recipient_has_switched_is_available() -> None:
    layers = Layers(
        recipient=Preferences(types={"news": {"email": False}}), tenant=Preferences(channels={"push": False})
    )
    booking, news = effective(layers, {"booking": NotificationType(), "news": NotificationType()}, ("inbox",))
    assert booking.channels["email"].available is False
    assert news.channels["email"] == ChannelStatus(False, False, "recipient")
    assert news.channels["push"] == ChannelStatus(False, False, "tenant", False)


def test_channels_that_a_type_does_not_have_are_unavailable_unless_a_document_sets_them() -> None:
    layers = Layers(recipient=Preferences(types={"news": {"sms": False}}))
    rules = {
        "news": NotificationType(channels=["inbox", ChannelRequest(channel="push")], required=("email",)),
        "alert": NotificationType(required=True),
    }
    news, alert = effective(layers, rules)
    assert [channel for channel, status in news.channels.items() if status.available is False] == ["chat"]
    assert all(status.available is UNSET for status in alert.channels.values())
