"""The demo apps that `bellcast demo` runs, each on its own server in a thread."""

import importlib
import socket
import threading
import webbrowser
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import uvicorn

from bellcast.kernel.identities import Project

# Every demo app is a module with `create_app(bellcast_url, secret)`, which returns an ASGI application. Optional: a
# SESSION_PATH that returns the recipient of a session cookie, a HANDLER_PATH that handles client calls, and a
# JWT_SECRET that signs the app's own tokens. At most one app may have each. With KEEPS_DATA, it gets a folder.
APPS = {
    "Photo studio": "bellcast.examples.photo_studio",
    "Home services": "bellcast.examples.service_marketplace",
    "Lead market": "bellcast.examples.lead_market",
    "Celebrity booking": "bellcast.examples.celebrity_booking",
    "Shop suite": "bellcast.examples.shop_suite",
}
# For an installation without their dependencies.
TWO_BELLS = ("Two bells", "bellcast.examples.demo.two_bells")
EXTRA = "Install the extra `demo`: pip install '.[demo]' in a checkout, or '…[demo]' after the name of a wheel"
LOOPBACK = "127.0.0.1"
LAST_PORT = 65_535
# Seconds: uvicorn closes open streams one second after the shutdown starts.
STOP_TIMEOUT_S = 5


class DemoApp:
    """One demo app: `listen`, `start`, then `stop`. `controls` are the functions behind its buttons, which run in a thread."""

    controls: Mapping[str, Callable[[], None]]

    def __init__(self, name: str, module: str) -> None:
        self.name = name
        self.port = 0
        self._module: Any = importlib.import_module(module)
        self._socket: socket.socket | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def listen(self, port: int) -> None:
        """Listen on the port, or on a free one if it is in use. Afterwards `url` is known, before the server starts."""
        self._socket = _bind(port)
        self.port = self._socket.getsockname()[1]

    @property
    def server_settings(self) -> dict[str, str]:
        """Server settings required by this app: its own, the URLs of its sessions and of its handler of calls, and the secret of
        its JWTs."""
        settings = dict(getattr(self._module, "SERVER_SETTINGS", {}))
        for name, constant in (("session_url", "SESSION_PATH"), ("handler_url", "HANDLER_PATH")):
            if (path := getattr(self._module, constant, None)) is not None:
                settings[name] = f"{self.url}{path}"
        if (secret := getattr(self._module, "JWT_SECRET", None)) is not None:
            settings["jwt_secret"] = secret
        return settings

    def start(self, bellcast: str, project: Project, data: Path) -> None:
        """Start serving in a thread. `data` is a folder for the app's files."""
        options: dict[str, object] = {}
        if getattr(self._module, "SPEAKS_PUSHER", False):
            options |= {"app_id": project.id, "key": project.key}
        if getattr(self._module, "KEEPS_DATA", False):
            options["data"] = data
        self._serve(self._module.create_app(bellcast, project.secret, **options))

    def _serve(self, asgi_app: Any) -> None:
        config = uvicorn.Config(asgi_app, log_config=None, access_log=False, timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name=self.name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the server within STOP_TIMEOUT_S, with open pages too."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(STOP_TIMEOUT_S)
        if self._socket is not None:
            self._socket.close()


class StartPage(DemoApp):
    """The page that `bellcast demo` opens."""

    def __init__(self, apps: list[DemoApp]) -> None:
        super().__init__("Start page", "bellcast.examples.start_page")
        self._apps = apps

    def start(self, bellcast: str, project: Project, data: Path) -> None:
        urls = {app.name: app.url for app in self._apps}
        self._serve(self._module.create_app(bellcast, project.secret, project.key, urls, self.controls))


def installed() -> tuple[list[DemoApp], str]:
    """Create the demo apps and, as the last one, the page to open. Without the extra `demo`, return only a page with two bells,
    and the name of a missing package."""
    try:
        apps = [DemoApp(name, module) for name, module in APPS.items()]
        return [*apps, StartPage(apps)], ""
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("bellcast"):
            raise
        return [DemoApp(*TWO_BELLS)], error.name


def settings(apps: list[DemoApp]) -> dict[str, str]:
    """Return the server settings that the apps and the start page need: allowed origins, session URL, handler URL and token secret."""
    origins = [f"http://{host}:{app.port}" for app in apps for host in (LOOPBACK, "localhost")]
    return {name: value for app in apps for name, value in app.server_settings.items()} | {"origins": ",".join(origins)}


def _bind(port: int) -> socket.socket:
    try:
        return socket.create_server((LOOPBACK, port if port <= LAST_PORT else 0))
    except OSError:
        return socket.create_server((LOOPBACK, 0))


def free_port(preferred: int) -> int:
    """Return the preferred port if it is unused, else a free port."""
    with _bind(preferred) as probe:
        port: int = probe.getsockname()[1]
        return port


def open_page(url: str) -> None:
    """Open a page in the graphical browser, if there is one."""
    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        return
    # GenericBrowser is used for text browsers, which would take over this terminal.
    if type(browser) is not webbrowser.GenericBrowser:
        threading.Thread(target=browser.open, args=(url,), daemon=True).start()
