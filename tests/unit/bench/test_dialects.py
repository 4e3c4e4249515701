"""Encodings are counted per dialect by the server."""

from benchmarks.dialects import KINDS, counts
from benchmarks.server_under_test import STOCK_GREETINGS

METRICS = b"""# TYPE bellcast_encoded_total counter
bellcast_encoded_total{protocol="native",transport="sse"} 43.0
bellcast_encoded_total{protocol="pusher",transport="websocket"} 44.0
bellcast_connections{protocol="native",transport="sse"} 3.0
bellcast_requests_total{method="POST",route="/v1/events",status="202"} 43.0
"""


def test_encodings_are_counted_per_dialect():
    assert counts(METRICS) == {"sse": 43, "pusher": 44}


def test_every_dialect_has_a_connection_kind():
    assert set(KINDS.values()) == {"websocket", "sse", *STOCK_GREETINGS}
