"""The servers around that of `bellcast demo --busy`. The mail server accepts e-mails and drops them, and refuses some, as real servers do; the
server of webhooks responds, except for one that is down."""

import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from typing import NamedTuple

# Replies by prefix of the recipient's address. 550 bounces, 554 fails (RFC 5321 §4.2.3).
REFUSALS = {"gone": "550 5.1.1 No such user here", "blocked": "554 5.7.1 Message refused by policy"}
LOOPBACK = "127.0.0.1"
# The path of the webhook that fails.
DOWN = "/warehouse"


class _Session(socketserver.StreamRequestHandler):
    """One connection, with the commands that an SMTP client without extensions needs."""

    def handle(self) -> None:
        self._reply("220 bellcast-demo ESMTP")
        while line := self.rfile.readline().decode(errors="replace").strip():
            verb, _, rest = line.partition(" ")
            if verb.upper() == "QUIT":
                self._reply("221 Bye")
                return
            self._reply(self._reply_to(verb.upper(), rest))

    def _reply_to(self, verb: str, rest: str) -> str:
        if verb == "DATA":
            self._reply("354 End with a dot")
            while self.rfile.readline() not in (b".\r\n", b""):
                pass
            return "250 2.0.0 Accepted"
        if verb == "RCPT":
            address = rest.partition("<")[2]
            return next((reply for start, reply in REFUSALS.items() if address.startswith(start)), "250 2.1.5 OK")
        return "250 OK" if verb in ("EHLO", "HELO", "MAIL", "RSET", "NOOP") else "502 5.5.1 Not implemented"

    def _reply(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


class _Hook(BaseHTTPRequestHandler):
    """The request of a webhook."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(503 if self.path == DOWN else 204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Write nothing to the terminal of the demo."""


class ServerUrls(NamedTuple):
    """Of a provider for the mail server, and in front of the path of a webhook."""

    mail_url: str
    hooks_url: str


class DemoServers:
    """Listen on free ports while they are open."""

    def __init__(self) -> None:
        self._mail, self._hooks = _listen(_Session), _listen(_Hook)

    @property
    def urls(self) -> ServerUrls:
        mail, hooks = self._mail.server_address[1], self._hooks.server_address[1]
        return ServerUrls(f"smtp://{LOOPBACK}:{mail}?from=bells@bellcast.example", f"http://{LOOPBACK}:{hooks}")

    def __enter__(self) -> "DemoServers":
        for server in (self._mail, self._hooks):
            threading.Thread(target=server.serve_forever, name="demo servers", daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        for server in (self._mail, self._hooks):
            server.shutdown()
            server.server_close()


def _listen(handler: type[socketserver.BaseRequestHandler]) -> socketserver.ThreadingTCPServer:
    server = socketserver.ThreadingTCPServer((LOOPBACK, 0), handler)
    server.daemon_threads = True
    server.block_on_close = False  # idle connections of the server stay open
    return server
