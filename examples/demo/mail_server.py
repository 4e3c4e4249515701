"""The mail server of `bellcast demo --busy`: accepts e-mails and drops them, and refuses some, as real servers do."""

import socketserver
import threading

# Replies by prefix of the recipient's address. 550 bounces, 554 fails (RFC 5321 §4.2.3).
REFUSALS = {"gone": "550 5.1.1 No such user here", "blocked": "554 5.7.1 Message refused by policy"}
LOOPBACK = "127.0.0.1"


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


class DemoMailServer:
    """Listens on a free port while it is open."""

    def __init__(self) -> None:
        self._server = socketserver.ThreadingTCPServer((LOOPBACK, 0), _Session)
        self._server.daemon_threads = True
        self._server.block_on_close = False  # idle connections of the server stay open
        self._thread = threading.Thread(target=self._server.serve_forever, name="demo mail", daemon=True)

    @property
    def url(self) -> str:
        """The URL of a provider for it."""
        return f"smtp://{LOOPBACK}:{self._server.server_address[1]}?from=bells@bellcast.example"

    def __enter__(self) -> "DemoMailServer":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
