"""Fuzzing of preference documents."""

import json
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.conftest import Api
from tests.fuzz.runner import fuzz

NAMES = st.sampled_from(
    ["channels", "types", "workflows", "quiet_hours", "digest", "email", "sms", "push", "chat", "inbox", "start", "end", "days", "timezone",
     "from", "to", "frequency", "at", "day", "mute_until", "muted_until", "booking", "", "*", "x" * 300]
)  # fmt: skip
LEAVES = st.sampled_from(
    [None, True, False, 0, 1, -1, 1.5, 1e308, 2**64, "", "22:00", "24:00", "7:00", "Europe/Vienna", "No/Where", "daily", "hourly", "weekly",
     "2030-01-31T12:00:00Z", "mon", "\ud800", "\0", "x" * 1_000]
)  # fmt: skip
DOCUMENTS = st.dictionaries(
    NAMES,
    st.recursive(
        LEAVES, lambda inner: st.dictionaries(NAMES, inner, max_size=3) | st.lists(inner, max_size=3), max_leaves=6
    ),
    max_size=4,
)
SEEDS: list[Any] = [
    {}, [], None, {"channels": {"email": False}}, {"types": {"booking": {"email": True}}}, {"types": {"x" * 10_000: {"email": True}}},
    {"quiet_hours": {"start": "22:00", "end": "07:00"}},
]  # fmt: skip


def test_preferences_are_stored_or_refused(api: Api) -> None:
    def check(document: Any) -> None:
        for method in ("PUT", "PATCH"):
            response = api.request(
                method,
                "/v1/preferences",
                as_recipient=True,
                content=json.dumps(document).encode(),
                headers={"content-type": "application/json"},
            )
            assert response.status_code in (200, 400, 422), (response.status_code, document)
        assert api.request("GET", "/v1/preferences", as_recipient=True).status_code == 200

    fuzz("preferences", DOCUMENTS, check, SEEDS)
