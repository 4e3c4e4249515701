"""The demo apps: each a server of its own beside Bellcast, in a thread of this process."""

import importlib
import socket
import threading
import webbrowser
from typing import Any

import uvicorn

from bellcast.cli.screen import Stop

# Every demo app is a module with `create_app(bellcast_url, secret)`, an ASGI application.
APPS = {"Photo studio": "bellcast.examples.photo_studio"}
# One second is given to open streams, which never end by themselves.
ENDS_WITHIN_S = 5


class Neighbour:
    """One demo app, from `start` to `stop`."""

    def __init__(self, name: str, module: str) -> None:
        self.name = name
        self.url = ""
        self._module = _imported(module)
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self, bellcast: str, secret: str, port: int) -> None:
        """Listen on that port, or on a free one, and serve from now on."""
        listening = _listening(port)
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        config = uvicorn.Config(
            self._module.create_app(bellcast, secret), log_config=None, access_log=False, timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listening],), name=self.name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it, open pages or not."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(ENDS_WITHIN_S)


def every() -> list[Neighbour]:
    """All of them, not started."""
    return [Neighbour(name, module) for name, module in APPS.items()]


def _imported(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as missing:
        raise Stop(
            f"the demo apps need {missing.name}, which is not installed", f"pip install {missing.name}"
        ) from None


def _listening(port: int) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError:
        return socket.create_server(("127.0.0.1", 0))


def free_port(preferred: int) -> int:
    """The preferred port if nobody listens there, else one that is free now."""
    with _listening(preferred) as probe:
        port: int = probe.getsockname()[1]
        return port


def open_page(url: str) -> None:
    """Open a page in the person's browser, if there is a screen to show it on."""
    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        return
    # The plain class is for browsers of the terminal, which would take this one over.
    if type(browser) is not webbrowser.GenericBrowser:
        threading.Thread(target=browser.open, args=(url,), daemon=True).start()
