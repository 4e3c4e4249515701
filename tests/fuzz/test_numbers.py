"""Fuzzing of JSON values in bodies: every store and broker accepts each value that the API accepts."""

import msgspec
from hypothesis import strategies as st

from tests.fuzz.conftest import Api
from tests.fuzz.runner import fuzz

NUMBERS = [
    "18446744073709551615", "18446744073709551616", "-9223372036854775808", "-9223372036854775809", "9" * 30, "9" * 4_000,
    "9" * 5_000, "1e308", "1e309", "-1e999", "1e-999", "0.1e1000000000000", "-0", "-0.0", "NaN", "Infinity", "-Infinity", "01", "1.",
    ".5", "+1", "0x10", "1_000", "1E+2", '"\\ud800"', '"\\ud83d\\ude00"', '"\\u0000"', '{"\\ud800":1}', "null",
    "[" * 95 + "1" + "]" * 95, "[" * 101 + "]" * 101, "[" * 900 + "]" * 900, '{"a":' * 150 + "1" + "}" * 150,
]  # fmt: skip
VALUES = st.recursive(
    st.sampled_from(NUMBERS) | st.integers().map(str) | st.floats().map(str),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]")
        | st.dictionaries(st.sampled_from(["a", "b", "\\u0000"]), inner, max_size=3).map(
            lambda items: "{" + ",".join(f'"{name}":{value}' for name, value in items.items()) + "}"
        )
    ),
    max_leaves=6,
)
BODIES = {
    "/v1/notifications": '{"to":"alice","title":"x","data":{"value":%s}}',
    "/v1/events": '{"topic":"room","name":"said","data":%s}',
    "/v1/tokens": '{"recipient":"alice","ttl":%s}',
}
PUT_BODIES = {
    "/v1/recipients/alice": '{"data":{"value":%s}}',
    "/v1/tenants/acme": '{"settings":{"retention_days":%s}}',
}


def test_json_values_are_refused_or_stored_and_returned(api: Api) -> None:
    def check(value: str) -> None:
        for path, body in BODIES.items():
            response = api.post(path, body % value)
            assert response.status_code in (201, 202, 400, 422), (path, response.status_code)
        for path, body in PUT_BODIES.items():
            api.request("PUT", path, content=(body % value).encode())
        for event in api.rest.published:
            msgspec.msgpack.encode(event)
        api.rest.published.clear()
        assert api.request("GET", "/v1/inbox?limit=2", as_recipient=True).status_code == 200
        assert api.request("GET", "/v1/recipients/alice").status_code in (200, 404)

    fuzz("numbers", VALUES, check, NUMBERS)
