"""Latency is measured per notification, from its send to its first arrival."""

from benchmarks.latency import DelayClock
from benchmarks.server_under_test import booking


def payload(number):
    return f'{{"type":"notification","notification":{{"body":"{booking("alice", number)["body"]}"}}}}'.encode()


def test_each_notification_is_timed_by_its_number_and_first_arrival():
    clock = DelayClock()
    clock.sent_at = {3: 0.0, 4: 0.0}
    assert [clock.record(payload(4)), clock.record(payload(3)), clock.record(b'{"type":"heartbeat"}')] == [1, 1, 0]
    first = clock.received_at[4]
    assert clock.record(payload(4)) == 1
    assert clock.received_at[4] == first
    assert clock.delays() == [clock.received_at[3], clock.received_at[4]]
