"""Encodings are counted by the server and judged by the dialect that was encoded most often."""

from bellcast.bench.dialects import KINDS, counts
from bellcast.bench.server_under_test import FOREIGN

METRICS = b"""# TYPE bellcast_encoded_total counter
bellcast_encoded_total{protocol="native",transport="sse"} 43.0
bellcast_encoded_total{protocol="pusher",transport="websocket"} 44.0
bellcast_connections{protocol="native",transport="sse"} 3.0
bellcast_requests_total{method="POST",route="/v1/events",status="202"} 43.0
"""


def test_encodings_are_read_by_dialect_and_nothing_else_is():
    assert counts(METRICS) == {"sse": 43, "pusher": 44}


def test_every_dialect_has_a_way_to_connect():
    assert set(KINDS.values()) == {"websocket", "sse", *FOREIGN}
