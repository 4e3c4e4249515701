"""Messages between processes in PostgreSQL notifications, into which long ones are split."""

from bellcast.kernel.brokers.postgres import MAX_NOTIFY_BYTES, PostgresTransport

SENDER = 1
LARGE = b"large" * MAX_NOTIFY_BYTES


async def test_message_after_an_incomplete_one_is_received() -> None:
    received: list[bytes] = []
    transport = PostgresTransport("postgresql://unused", "test")
    transport._on_message = received.append
    begin, *_ = transport.cut(LARGE)  # its channel is unfollowed before the other parts arrive
    for notice in (begin, *transport.cut(b"small"), begin, *transport.cut(LARGE)):
        transport._on_notify(None, SENDER, "channel", notice)
    assert received == [b"small", LARGE]
