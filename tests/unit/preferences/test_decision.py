"""Decisions by preferences: each rule, and the order of the rules."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellcast.inbox.types import NotificationType
from bellcast.kernel.times import milliseconds
from bellcast.preferences.decision import Decision, Layers, Occasion, decide
from bellcast.preferences.types import CHANNELS, Preferences, QuietHours

VIENNA = ZoneInfo("Europe/Vienna")


def at(text: str) -> int:
    """UTC milliseconds of a local time in Vienna."""
    return milliseconds(datetime.fromisoformat(text).replace(tzinfo=VIENNA).astimezone(UTC))


NOON = at("2026-06-10T12:00")
NIGHT = at("2026-06-10T23:30")
NIGHT_HOURS = QuietHours("22:00", "07:00")


def occasion(**fields: object) -> Occasion:
    base = {"channel": "email", "type": "booking", "priority": "normal", "now": NOON, "zone": VIENNA}
    return Occasion(**{**base, **fields})  # type: ignore[arg-type]  # fields of many types


def test_everything_is_on_without_preferences() -> None:
    assert [decide(occasion(channel=channel), Layers()) for channel in CHANNELS] == [Decision("send")] * 5


@pytest.mark.parametrize("problem", ["no_address", "invalid_address", "suppressed"])
def test_address_problem_stops_even_a_required_type(problem: str) -> None:
    layers = Layers(rules=NotificationType(required=True))
    assert decide(occasion(address_problem=problem), layers) == Decision("skip", problem)


def test_required_type_passes_every_preference() -> None:
    recipient = Preferences(
        channels={"email": False},
        types={"booking": {"email": False}},
        muted={"*": True},
        quiet_hours=NIGHT_HOURS,
        digest={"booking": "daily"},
    )
    required = Layers(recipient=recipient, rules=NotificationType(required=("email",)))
    assert decide(occasion(now=NIGHT), required) == Decision("send", "required", "type")
    assert decide(occasion(channel="sms", now=NIGHT), required).rule == "muted"


@pytest.mark.parametrize("name", ["*", "booking"])
def test_muted_type_reaches_the_inbox_only(name: str) -> None:
    layers = Layers(recipient=Preferences(muted={name: True}))
    assert decide(occasion(), layers) == Decision("skip", "muted", "recipient")
    assert decide(occasion(channel="inbox"), layers) == Decision("send")


def test_mute_ends_at_its_time() -> None:
    until = datetime(2026, 6, 10, 12, tzinfo=VIENNA)
    layers = Layers(recipient=Preferences(muted={"booking": until}))
    assert decide(occasion(now=NOON - 1), layers).rule == "muted"
    assert decide(occasion(now=NOON), layers).rule is None


def test_mute_of_tenant_is_ignored() -> None:
    assert decide(occasion(), Layers(tenant=Preferences(muted={"*": True}))) == Decision("send")


@pytest.mark.parametrize(
    ("rule", "off", "on"),
    [
        ("channel", Preferences(channels={"email": False}), Preferences(channels={"email": True})),
        ("type", Preferences(types={"booking": {"email": False}}), Preferences(types={"booking": {"email": True}})),
        ("workflow", Preferences(workflows={"w": {"email": False}}), Preferences(workflows={"w": {"email": True}})),
    ],
)
def test_switch_is_the_first_set_of_recipient_tenant_project(rule: str, off: Preferences, on: Preferences) -> None:
    this = occasion(workflow="w")
    assert decide(this, Layers(recipient=off, tenant=on, project=on)) == Decision("skip", rule, "recipient")
    assert decide(this, Layers(tenant=off, project=on)) == Decision("skip", rule, "tenant")
    assert decide(this, Layers(project=off)) == Decision("skip", rule, "project")
    assert decide(this, Layers(recipient=on, tenant=off, project=off)) == Decision("send")


def test_switches_must_all_be_on() -> None:
    recipient = Preferences(channels={"email": True}, types={"booking": {"email": False}})
    assert decide(occasion(), Layers(recipient=recipient)).rule == "type"


def test_default_of_the_type_applies_until_the_switch_is_set() -> None:
    rules = NotificationType(defaults={"email": False})
    assert decide(occasion(), Layers(rules=rules)) == Decision("skip", "type", "type")
    on = Preferences(types={"booking": {"email": True}})
    assert decide(occasion(), Layers(project=on, rules=rules)) == Decision("send")


@pytest.mark.parametrize(("priority", "outcome"), [("high", "skip"), ("urgent", "send")])
def test_switch_can_be_on_for_urgent_notifications_only(priority: str, outcome: str) -> None:
    recipient = Preferences(channels={"sms": "urgent"}, types={"booking": {"inbox": "urgent"}})
    for channel in ("sms", "inbox"):
        assert decide(occasion(channel=channel, priority=priority), Layers(recipient=recipient)).outcome == outcome
    assert recipient.switches_inbox


def test_inbox_can_be_switched_off() -> None:
    layers = Layers(recipient=Preferences(channels={"inbox": False}))
    assert decide(occasion(channel="inbox"), layers) == Decision("skip", "channel", "recipient")


@pytest.mark.parametrize(
    ("frequency", "due"),
    [("hourly", "2026-06-10T13:00"), ("daily", "2026-06-11T08:00"), ("weekly", "2026-06-15T08:00")],
)
def test_digest_holds_email_until_its_time(frequency: str, due: str) -> None:
    layers = Layers(tenant=Preferences(digest={"booking": frequency}))  # type: ignore[dict-item]  # parametrized
    assert decide(occasion(), layers) == Decision("hold", "digest", "tenant", at(due))
    assert decide(occasion(priority="urgent"), layers) == Decision("send")
    assert decide(occasion(channel="sms"), layers) == Decision("send")


def test_instant_digest_overrides_the_tenant() -> None:
    layers = Layers(
        recipient=Preferences(digest={"booking": "instant"}), tenant=Preferences(digest={"booking": "daily"})
    )
    assert decide(occasion(), layers) == Decision("send")


def test_digest_time_is_the_first_that_is_set() -> None:
    layers = Layers(recipient=Preferences(digest={"booking": "daily"}), project=Preferences(digest_at="17:30"))
    assert decide(occasion(), layers).at == at("2026-06-10T17:30")


@pytest.mark.parametrize(
    ("now", "held_until"),
    [
        ("2026-06-10T21:59", None),
        ("2026-06-10T22:00", "2026-06-11T07:00"),
        ("2026-06-11T06:59", "2026-06-11T07:00"),
        ("2026-06-11T07:00", None),
        # The night when daylight saving time begins.
        ("2026-03-28T23:00", "2026-03-29T07:00"),
    ],
)
def test_quiet_hours_hold_messages_until_their_end(now: str, held_until: str | None) -> None:
    layers = Layers(project=Preferences(quiet_hours=NIGHT_HOURS))
    decision = decide(occasion(channel="push", now=at(now)), layers)
    expected = Decision("send") if held_until is None else Decision("hold", "quiet_hours", "project", at(held_until))
    assert decision == expected


def test_quiet_hours_spare_inbox_and_urgent_messages() -> None:
    layers = Layers(recipient=Preferences(quiet_hours=NIGHT_HOURS))
    assert decide(occasion(channel="inbox", now=NIGHT), layers) == Decision("send")
    assert decide(occasion(priority="urgent", now=NIGHT), layers) == Decision("send")


def test_recipient_can_turn_off_quiet_hours_of_the_tenant() -> None:
    layers = Layers(recipient=Preferences(quiet_hours=False), tenant=Preferences(quiet_hours=NIGHT_HOURS))
    assert decide(occasion(now=NIGHT), layers) == Decision("send")


def test_digest_precedes_quiet_hours() -> None:
    layers = Layers(recipient=Preferences(quiet_hours=NIGHT_HOURS, digest={"booking": "hourly"}))
    assert decide(occasion(now=NIGHT), layers).rule == "digest"


@given(st.sampled_from(CHANNELS), st.booleans(), st.booleans(), st.booleans(), st.booleans())
def test_message_is_sent_only_if_every_switch_is_on(channel: str, a: bool, b: bool, c: bool, muted: bool) -> None:
    recipient = Preferences(
        channels={channel: a},  # type: ignore[dict-item]  # drawn
        types={"booking": {channel: b}},  # type: ignore[dict-item]  # drawn
        workflows={"w": {channel: c}},  # type: ignore[dict-item]  # drawn
        muted={"*": True} if muted else {},
    )
    decision = decide(occasion(channel=channel, workflow="w"), Layers(recipient=recipient))
    assert (decision.outcome == "send") == (a and b and c and (channel == "inbox" or not muted))


def test_quiet_hours_that_end_in_the_repeated_hour_end_there() -> None:
    layers = Layers(project=Preferences(quiet_hours=QuietHours("22:00", "02:30")))
    now = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)  # the second 02:10 in Vienna
    decision = decide(occasion(channel="push", now=milliseconds(now)), layers)
    assert decision.at == milliseconds(now + timedelta(minutes=20))
