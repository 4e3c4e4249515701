"""Validation of drafts: storable times, and bounded texts and lists."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from bellcast.inbox import types as notification_types
from bellcast.inbox.types import Draft, Edit
from bellcast.kernel.errors import Invalid
from bellcast.kernel.limits import Limits

NOW = datetime(2026, 1, 31, tzinfo=UTC)
LIMITS = Limits()


@pytest.mark.parametrize(
    "expires_at", ["9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59.999-00:01", "0001-01-01T00:00:00+23:59"]
)
def test_time_outside_the_calendar_is_refused_in_drafts_and_edits(expires_at: str) -> None:
    moment = datetime.fromisoformat(expires_at)
    draft, edit = Draft(to="alice", title="Hello", expires_at=moment), Edit(expires_at=moment)
    for check in (
        lambda: notification_types.check_draft(draft, LIMITS, NOW),
        lambda: notification_types.check_edit(edit, LIMITS, NOW),
    ):
        with pytest.raises(Invalid) as refused:
            check()
        assert [error.field for error in refused.value.errors] == ["expires_at"]


@pytest.mark.parametrize(
    ("field", "draft"),
    [
        ("tags", Draft(to="alice", title="x", tags=[""] * 100_000)),
        ("to", Draft(to=["\x00"] * 100_000, title="x")),
    ],
    ids=["tags", "recipients"],
)
def test_too_long_list_is_refused_before_its_elements_are_checked(field: str, draft: Draft) -> None:
    with pytest.raises(Invalid) as caught:
        notification_types.check_draft(draft, LIMITS, NOW)
    assert [error.field for error in caught.value.errors] == [field]
    assert "got 100000" in caught.value.errors[0].message


@pytest.mark.parametrize(
    ("field", "draft"),
    [
        ("email.html", {"email": {"html": "x" * (notification_types.MAX_MESSAGE_TEXT + 1)}}),
        ("email.text", {"email": {"text": "x" * (notification_types.MAX_MESSAGE_TEXT + 1)}}),
        ("chat.text", {"chat": {"text": "x" * (notification_types.MAX_MESSAGE_TEXT + 1)}}),
        ("push.body", {"push": {"body": "x\x00"}}),
        ("email.layout", {"email": {"layout": "x" * 101}}),
        ("template", {"template": "x" * 101}),
    ],
)
def test_unusable_text_of_a_message_is_refused_by_its_field(field: str, draft: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as caught:
        notification_types.check_draft(msgspec.convert({"to": "alice", "title": "x"} | draft, Draft), LIMITS, NOW)
    assert [error.field for error in caught.value.errors] == [field]
    assert len(caught.value.detail) < 200


def test_largest_text_of_a_message_is_accepted() -> None:
    email = {"html": "x" * notification_types.MAX_MESSAGE_TEXT, "layout": "x" * notification_types.MAX_TEMPLATE_KEY}
    notification_types.check_draft(msgspec.convert({"to": "alice", "title": "x", "email": email}, Draft), LIMITS, NOW)
