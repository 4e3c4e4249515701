"""The demo apps: each a server of its own beside Bellcast, in a thread of this process."""

import importlib
import socket
import threading
import webbrowser
from typing import Any

import uvicorn

from bellcast.cli.console import CommandError
from bellcast.model.identities import Project

# Every demo app is a module with `create_app(bellcast_url, secret)`, an ASGI application. One may have a SESSION_PATH,
# where it says whose session a request's cookies are; one a HANDLER_PATH, where it answers what live clients ask; and
# one a JWT_SECRET, which it signs tokens of its own with.
APPS = {
    "Photo studio": "bellcast.examples.photo_studio",
    "Home services": "bellcast.examples.service_marketplace",
    "Lead market": "bellcast.examples.lead_market",
    "Celebrity booking": "bellcast.examples.celebrity_booking",
}
LOOPBACK = "127.0.0.1"
# One second is given to open streams, which never end by themselves.
ENDS_WITHIN_S = 5


class DemoApp:
    """One demo app, from `listen` by `start` to `stop`."""

    def __init__(self, name: str, module: str) -> None:
        self.name = name
        self.port = 0
        self._module = _imported(module)
        self._socket: socket.socket | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def session_url(self) -> str | None:
        """URL of the app's session endpoint, if it has one."""
        path = getattr(self._module, "SESSION_PATH", None)
        return None if path is None else f"{self.url}{path}"

    @property
    def handler_url(self) -> str | None:
        """URL of the app's handler for client calls, if it has one."""
        path = getattr(self._module, "HANDLER_PATH", None)
        return None if path is None else f"{self.url}{path}"

    @property
    def jwt_secret(self) -> str | None:
        """Secret for the app's own JWTs, if it signs any."""
        return getattr(self._module, "JWT_SECRET", None)

    def listen(self, port: int) -> None:
        """Take that port, or a free one: its address is known before the server starts."""
        self._socket = _listening(port)
        self.port = self._socket.getsockname()[1]

    @property
    def server_settings(self) -> dict[str, str]:
        """Server settings required by this app."""
        return getattr(self._module, "SERVER_SETTINGS", {})

    def start(self, bellcast: str, project: Project) -> None:
        """Serve from now on."""
        speaks_pusher = getattr(self._module, "SPEAKS_PUSHER", False)
        credentials = {"app_id": project.id, "key": project.key} if speaks_pusher else {}
        site = self._module.create_app(bellcast, project.secret, **credentials)
        config = uvicorn.Config(site, log_config=None, access_log=False, timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name=self.name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it, open pages or not."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(ENDS_WITHIN_S)
        if self._socket is not None:
            self._socket.close()


def every() -> list[DemoApp]:
    """All of them, not started."""
    return [DemoApp(name, module) for name, module in APPS.items()]


def settings(apps: list[DemoApp]) -> dict[str, str]:
    """What they ask of the server: to hear their pages, by whatever name this machine goes, and to believe their cookies."""
    origins = [f"http://{host}:{app.port}" for app in apps for host in (LOOPBACK, "localhost")]
    asked = {name: value for app in apps for name, value in app.server_settings.items()}
    asked["origins"] = ",".join(origins)
    for name in ("session_url", "handler_url", "jwt_secret"):
        for found in filter(None, (getattr(app, name) for app in apps)):
            asked[name] = found
    return asked


def _imported(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as missing:
        raise CommandError(
            f"the demo apps need {missing.name}, which is not installed", "pip install 'bellcast[demo]'"
        ) from None


def _listening(port: int) -> socket.socket:
    try:
        return socket.create_server((LOOPBACK, port))
    except OSError:
        return socket.create_server((LOOPBACK, 0))


def free_port(preferred: int) -> int:
    """Return the preferred port if it is unused, else a free port."""
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
