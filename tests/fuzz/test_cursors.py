"""Fuzzing of list cursors and the other query parameters of lists."""

from urllib.parse import quote

from hypothesis import strategies as st

from tests.fuzz.conftest import Api
from tests.fuzz.runner import fuzz

LISTS = ["/v1/inbox", "/v1/recipients", "/v1/topics/room/subscriptions", "/v1/connections"]
NAMES = ["before", "after", "limit", "search", "tenant", "view", "type", "tag"]
VALUES = [
    "", "0", "-1", "1", "100", "101", "9" * 30, "9" * 5_000, "1e3", "NaN", "%00", "%", "%zz", "%ff", "%ed%a0%80", "~", "*", "%D9%A3",
    "00000000-0000-7000-8000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", "01a1f804-8b85-7030-8305", "f" * 300,
]  # fmt: skip
TEXTS = st.text(max_size=20).map(lambda text: quote(text.encode(errors="replace")))
PARAMETERS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES) | TEXTS), max_size=4)
SEEDS = [(path, [(name, value)]) for path in LISTS for name in NAMES[:4] for value in VALUES]


def test_list_queries_are_answered_or_refused(api: Api) -> None:
    def check(request: tuple[str, list[tuple[str, str]]]) -> None:
        path, parameters = request
        query = "&".join(f"{name}={value}" for name, value in parameters)
        response = api.request("GET", f"{path}?{query}", as_recipient=path == "/v1/inbox")
        assert response.status_code in (200, 400, 422), (response.status_code, query)

    fuzz("list cursors", st.tuples(st.sampled_from(LISTS), PARAMETERS), check, SEEDS)
