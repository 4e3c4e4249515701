"""A threaded server that sends each connection a fixed sequence of byte strings."""

import socket
import threading
from collections.abc import Sequence
from contextlib import contextmanager

from benchmarks.epoll_loop import Deadline, EpollLoop

SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def frame(payload: bytes, opcode: int = 1) -> bytes:
    size = bytes([len(payload)]) if len(payload) < 126 else b"\x7e" + len(payload).to_bytes(2, "big")
    return bytes([0x80 | opcode]) + size + payload


def chunk(payload: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(payload), payload)


@contextmanager
def serving(*connections: Sequence[bytes]):
    """Send each connection its own pieces after its request; yield the address and the server's sockets."""
    listener = socket.create_server(("127.0.0.1", 0))
    links: list[socket.socket] = []

    def serve():
        for pieces in connections:
            link, _ = listener.accept()
            link.recv(1_000)
            links.append(link)  # a test that reads it earlier would take the request
            for piece in pieces:
                link.sendall(piece)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname(), links
    finally:
        thread.join(60)
        for link in links:
            link.close()
        listener.close()


def epoll_loop(seconds: float = 60) -> EpollLoop:
    return EpollLoop(Deadline(seconds))
