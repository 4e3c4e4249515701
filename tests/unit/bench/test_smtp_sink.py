"""The SMTP server of the benchmarks, with the measured provider."""

import asyncio

from benchmarks.smtp_sink import SinkConnection

from bellcast.channels.email import Email
from bellcast.providers import smtp
from tests.provider_setup import outgoing


async def test_sink_counts_the_mails_of_a_provider() -> None:
    server = await asyncio.get_running_loop().create_server(SinkConnection, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    before = SinkConnection.messages
    provider = smtp.SMTPProvider(f"smtp://127.0.0.1:{port}?from=bells@example.com&tls=off")
    text = "A line\r\n.\r\nDATA\r\n"
    for number in range(3):
        mail = Email(subject="Hello", text=text, html=f"<p>{text}</p>")
        accepted = await provider.send(outgoing(f"m{number}", "alice@example.com", mail))
        assert accepted.code == "250"
    await provider.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await reader.readline()
    writer.write(b"VRFY all\r\n")
    assert await reader.readline() == f"252 {before + 3}\r\n".encode()
    writer.close()
    await writer.wait_closed()
    server.close()
