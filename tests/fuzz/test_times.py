"""Fuzzing of time fields: `expires_at` of drafts and edits, and durations."""

import json
from contextlib import suppress

from hypothesis import strategies as st

from bellcast.kernel import times
from tests.fuzz.conftest import Api
from tests.fuzz.runner import fuzz

SEEDS = [
    "9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59.999999-00:01", "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00+23:59",
    "1969-12-31T23:59:59Z", "2030-01-31T12:00:00", "2030-01-31T12:00:60Z", "2030-02-30T12:00:00Z", "10000-01-01T00:00:00Z",
    "2030-01-31T24:00:00Z", "2030-01-31T12:00:00+24:00", "2030-01-31t12:00:00z", "2030-01-31 12:00:00+00:00", "2030-01-31", "", "now",
]  # fmt: skip
TIMES = st.datetimes().map(str) | st.from_regex(
    r"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{1,9})?(Z|[+-][0-2][0-9]:[0-5][0-9])",
    fullmatch=True,
)
DURATIONS = [
    1,
    -1,
    0.5,
    10**400,
    1e308,
    "25",
    "9" * 5_000,
    "1" + "0" * 308 + "d",
    "1.5h",
    "٣s",
    "1e3",
    "inf",
    "nan",
    "",
    " 7d ",
]


def test_times_are_refused_or_readable_afterwards(api: Api) -> None:
    id = api.run(api.rest.send("alice"))

    def check(text: str) -> None:
        body = json.dumps({"to": "alice", "title": "x", "expires_at": text})
        assert api.post("/v1/notifications", body).status_code in (201, 422)
        edited = api.request("PATCH", f"/v1/notifications/{id}", json={"expires_at": text})
        assert edited.status_code in (200, 422)
        assert api.request("GET", f"/v1/notifications/{id}").status_code == 200
        assert api.request("GET", "/v1/inbox?limit=2", as_recipient=True).status_code == 200

    fuzz("times", TIMES | st.sampled_from(SEEDS), check, SEEDS)


def test_durations_are_refused_or_finite() -> None:
    def check(duration: str | float) -> None:
        with suppress(ValueError):
            assert abs(round(times.seconds(duration) * 1000)) <= times.LATEST_MS

    texts = st.from_regex(r"[0-9.]{0,20}(ms|s|m|h|d|y)?", fullmatch=True)
    fuzz("durations", st.integers() | st.floats() | st.text(max_size=20) | texts, check, DURATIONS)
