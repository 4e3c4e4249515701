"""An SMTP server that accepts every message and only counts them, as a process: `python -m benchmarks.smtp_sink
PORT`. The reply to VRFY is the count."""

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.processes import Process, free_port
from benchmarks.scales import BenchmarkRun

END_OF_DATA = b"\r\n.\r\n"


@contextlib.contextmanager
def running(run: BenchmarkRun) -> Iterator[tuple[str, int]]:
    """Start a sink, and yield its address."""
    address = ("127.0.0.1", free_port())
    command = [sys.executable, "-P", "-m", "benchmarks.smtp_sink", str(address[1])]
    env = {"PYTHONPATH": str(Path(__file__).parents[1])}
    with Process("smtp-sink", command, run.folder / "smtp-sink.log", env) as process:
        process.wait_for(address, run.deadline)
        yield address


def url(sink: tuple[str, int]) -> str:
    """Return the setting BELLCAST_EMAIL that sends to a sink."""
    return f"smtp://{sink[0]}:{sink[1]}?from=bells@example.com&tls=off"


class SinkConnection(asyncio.Protocol):
    """One connection. RFC 5321, without extensions."""

    messages = 0  # shared by all connections

    def __init__(self) -> None:
        self._received = b""
        self._is_in_data = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            raise TypeError(f"SMTP needs a stream, not {transport!r}")
        self._transport = transport
        transport.write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(separator := END_OF_DATA if self._is_in_data else b"\r\n")) >= 0:
            line, self._received = self._received[:end], self._received[end + len(separator) :]
            verb = line[:4].upper()
            if self._is_in_data:
                self._is_in_data = False
                SinkConnection.messages += 1
                self._transport.write(b"250 OK\r\n")
            elif verb == b"DATA":
                self._is_in_data = True
                self._transport.write(b"354 go on\r\n")
            elif verb == b"VRFY":
                self._transport.write(b"252 %d\r\n" % SinkConnection.messages)
            elif verb == b"QUIT":
                self._transport.write(b"221 bye\r\n")
                self._transport.close()
            else:
                self._transport.write(b"250 OK\r\n")


async def serve(port: int) -> None:
    """Accept mail until the process ends."""
    server = await asyncio.get_running_loop().create_server(SinkConnection, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
