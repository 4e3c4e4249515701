"""Firefox and WebKit of the Debian packages, driven by WebDriver commands (W3C WebDriver).

Playwright drives only its own builds of both."""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from tests.faults.raw_sockets import eventually
from tests.servers import free_port

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # W3C WebDriver, section 12.1
SIZE = (1000, 760)
STARTUP_SECONDS = 120  # a loaded machine needed 27 for the first start of Firefox
# Keys of W3C WebDriver, section 17.4.2.
CONTROL, ESCAPE = "\ue009", "\ue00c"
PREFERENCES = """user_pref("marionette.port", {port});
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("app.update.enabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
"""


class WebDriver:
    """A browser with one tab."""

    def __init__(self, send: Callable[[str, str, dict[str, Any]], Any], end: Callable[[], None]) -> None:
        self._send = send
        self.end = end

    def open(self, url: str) -> None:
        self._send("Navigate", "url", {"url": url})

    def evaluate(self, code: str, *arguments: Any) -> Any:
        """Return the value of an expression, in which the arguments are `given`."""
        params = {"script": f"const given = arguments; return {code}", "args": list(arguments)}
        return self._send("ExecuteScript", "execute/sync", params)

    def wait(self, code: str, *arguments: Any) -> Any:
        """Wait until an expression is true; return its value."""
        found: list[Any] = []

        def holds() -> bool:
            found[:] = [self.evaluate(code, *arguments)]
            return bool(found[0])

        assert eventually(holds, within=STARTUP_SECONDS), code
        return found[0]

    def click(self, code: str, *arguments: Any) -> None:
        """Click in the middle of the element that an expression returns."""
        element = self.wait(code, *arguments)
        move = {"type": "pointerMove", "duration": 0, "origin": {ELEMENT: element[ELEMENT]}, "x": 0, "y": 0}
        click = [move, {"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}]
        self._act({"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": click})

    def press(self, *keys: str) -> None:
        """Press keys together."""
        down = [{"type": "keyDown", "value": key} for key in keys]
        up = [{"type": "keyUp", "value": key} for key in reversed(keys)]
        self._act({"type": "key", "id": "keyboard", "actions": [*down, *up]})

    def _act(self, source: dict[str, Any]) -> None:
        self._send("PerformActions", "actions", {"actions": [source]})


def firefox(folder: Path) -> WebDriver:
    """Start Firefox, which has the commands of WebDriver in its own protocol, Marionette."""
    port = free_port()
    (folder / "user.js").write_text(PREFERENCES.format(port=port))
    command = ["firefox-esr", "--headless", "--marionette", "--no-remote", "--profile", str(folder)]
    command += ["--width", str(SIZE[0]), "--height", str(SIZE[1])]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "HOME": str(folder)})
    assert eventually(lambda: _listens(port), within=STARTUP_SECONDS), (folder / "log").read_text()
    connection = socket.create_connection(("127.0.0.1", port), timeout=STARTUP_SECONDS)
    stream = connection.makefile("rwb")

    def read() -> Any:
        """Read a message: its length, a colon, and JSON."""
        digits = b""
        while not digits.endswith(b":"):
            digits += stream.read(1)
        return json.loads(stream.read(int(digits[:-1])))

    def send(name: str, path: str, params: dict[str, Any]) -> Any:
        message = json.dumps([0, 1, f"WebDriver:{name}", params]).encode()
        stream.write(b"%d:%s" % (len(message), message))
        stream.flush()
        _, _, error, result = read()
        assert error is None, error
        return result.get("value") if isinstance(result, dict) else result

    def end() -> None:
        connection.close()
        _end(process)

    read()  # the greeting
    send("NewSession", "", {})
    return WebDriver(send, end)


def webkit(folder: Path) -> WebDriver:
    """Start WebKit on a virtual display."""
    read_end, write_end = os.pipe()
    screen = f"{SIZE[0]}x{SIZE[1]}x24"
    # Without a number Xvfb chooses a free display, and writes it to the descriptor.
    command = ["Xvfb", "-displayfd", str(write_end), "-screen", "0", screen, "-nolisten", "tcp"]
    display = subprocess.Popen(command, pass_fds=[write_end], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(write_end)
    with os.fdopen(read_end) as numbers:
        number = numbers.readline().strip()
    port = free_port()
    environ = {**os.environ, "DISPLAY": f":{number}", "HOME": str(folder), "WEBKIT_DISABLE_COMPOSITING_MODE": "1"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["WebKitWebDriver", f"--port={port}"], stdout=log, stderr=log, env=environ)
    assert eventually(lambda: _listens(port), within=STARTUP_SECONDS), (folder / "log").read_text()
    http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=STARTUP_SECONDS)
    options = {"webkitgtk:browserOptions": {"binary": MINI_BROWSER, "args": ["--automation"]}}
    made = http.post("/session", json={"capabilities": {"alwaysMatch": options}}).json()["value"]

    def send(name: str, path: str, params: dict[str, Any]) -> Any:
        response = http.post(f"/session/{made['sessionId']}/{path}", json=params).json()["value"]
        assert not (isinstance(response, dict) and "error" in response), response
        return response

    def end() -> None:
        http.delete(f"/session/{made['sessionId']}")
        http.close()
        _end(process)
        _end(display)

    return WebDriver(send, end)


MINI_BROWSER = next((str(path) for path in Path("/usr/lib").glob("*/webkit2gtk-4.*/MiniBrowser")), "")
# The browser packages are optional: a machine may not have them.
IS_INSTALLED = {
    firefox: shutil.which("firefox-esr") is not None,
    webkit: bool(MINI_BROWSER and shutil.which("WebKitWebDriver") and shutil.which("Xvfb")),
}


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
