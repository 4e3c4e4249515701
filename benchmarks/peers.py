"""The peers: other fan-out servers, measured in the same run with the same clients.

Their configuration is in the checkout under benchmarks/peers. A peer that cannot be started is reported as absent with
the reason; numbers from other sources are never used.
"""

import contextlib
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from benchmarks import handshakes, target
from benchmarks.client_pool import ClientKind
from benchmarks.epoll_loop import Deadline
from benchmarks.processes import Process, free_port
from benchmarks.target import MeasuredServer

SOURCES = Path(__file__).parent / "peers"

# Paths on Debian and its derivatives; /usr/sbin is often not on PATH.
NGINX = "/usr/sbin/nginx"
NCHAN = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")

# Cached across runs, so that npm downloads the package once.
INSTALLED = Path.home() / ".cache" / "bellcast" / "bench"

# Seconds: npm may need long on a slow network.
INSTALL_TIMEOUT_S = 90

Running = Callable[[Path, Deadline], contextlib.AbstractContextManager[MeasuredServer]]


class AbsentError(Exception):
    """A peer or engine cannot be started on this machine."""


@contextlib.contextmanager
def nchan(folder: Path, deadline: Deadline) -> Iterator[MeasuredServer]:
    """Start nginx with nchan, one worker."""
    nginx = shutil.which("nginx") or shutil.which(NGINX)
    if not (nginx and NCHAN.exists()):
        raise AbsentError("needs the Debian packages nginx and libnginx-mod-nchan")
    address = ("127.0.0.1", free_port())
    prefix = folder / "nginx"
    prefix.mkdir(exist_ok=True)
    (prefix / "nginx.conf").write_text(_nginx_conf(address[1]))
    command = [nginx, "-p", str(prefix), "-c", "nginx.conf", "-e", "error.log"]
    with Process("nchan", command, folder / "nginx.log") as process:
        process.wait_for(address, deadline)
        yield _peer("nchan", process, address)


@contextlib.contextmanager
def ws(folder: Path, deadline: Deadline) -> Iterator[MeasuredServer]:
    """Start Node.js with the package ws."""
    with _on_node("ws", "ws_server.mjs", folder, deadline) as (process, address):
        yield _peer("ws", process, address)


@contextlib.contextmanager
def socketio(folder: Path, deadline: Deadline) -> Iterator[MeasuredServer]:
    """Start Node.js with the package socket.io."""
    with _on_node("socket.io", "socketio_server.mjs", folder, deadline) as (process, address):
        yield _socketio_peer(process, address)


# Peers of the native dialect, and of Socket.IO.
NATIVE: dict[str, Running] = {"nchan": nchan, "ws": ws}
SOCKETIO: dict[str, Running] = {"socket.io": socketio}


def available(
    peers: Mapping[str, Running], folder: Path, deadline: Deadline
) -> tuple[dict[str, Running], dict[str, str]]:
    """Return the peers that start on this machine, and the reasons for the others."""
    running_by_name: dict[str, Running] = {}
    reasons: dict[str, str] = {}
    for name, running in peers.items():
        try:
            with running(folder, deadline):
                running_by_name[name] = running
        except AbsentError as absent:
            reasons[name] = str(absent)
    return running_by_name, reasons


def versions() -> dict[str, str]:
    """Return the version texts of the installed peers."""
    result = {}
    if nginx := shutil.which("nginx") or shutil.which(NGINX):
        result["nginx"] = _output([nginx, "-v"]).removeprefix("nginx version: ")
    if NCHAN.exists() and shutil.which("dpkg-query"):
        result["nchan"] = _output(["dpkg-query", "-W", "-f", "${Version}", "libnginx-mod-nchan"])
    if node := shutil.which("node"):
        result["node"] = _output([node, "--version"])
    for name in ("ws", "socket.io"):
        if (package := INSTALLED / "node_modules" / name / "package.json").exists():
            result[name] = msgspec.json.decode(package.read_bytes())["version"]
    return result


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    return (done.stdout + done.stderr).strip()


def _peer(name: str, process: Process, address: tuple[str, int]) -> MeasuredServer:
    def greeting(kind: ClientKind, _number: int) -> bytes:
        return target.websocket_request("/subscribe") if kind == "websocket" else target.sse_request("/subscribe")

    def publish(data: bytes) -> bytes:
        return target.post("/publish", target.event(data))

    return MeasuredServer(
        name=name,
        process=process,
        address=address,
        handshakes={},
        greeting=greeting,
        idle=greeting,
        publish=publish,
    )


def _socketio_peer(process: Process, address: tuple[str, int]) -> MeasuredServer:
    """The publish request carries only the data; the peer builds the event."""

    def greeting(_kind: ClientKind, _number: int) -> bytes:
        return target.websocket_request(target.SOCKETIO)

    def publish(data: bytes) -> bytes:
        return target.post("/publish", data)

    return MeasuredServer(
        name="socket.io",
        process=process,
        address=address,
        handshakes={"socketio": handshakes.socketio(lambda _number: "")},
        greeting=greeting,
        idle=greeting,
        publish=publish,
    )


def _nginx_conf(port: int) -> str:
    text = (_copy_source("nginx.conf")).read_text()
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    # As root, nginx would run its worker as a user without access to the folder.
    user = "user root;" if os.geteuid() == 0 else ""
    for name, value in {"PORT": port, "FILES": min(files, 65_536), "MODULE": NCHAN, "USER": user}.items():
        text = text.replace(f"@{name}@", str(value))
    return text


@contextlib.contextmanager
def _on_node(package: str, script: str, folder: Path, deadline: Deadline) -> Iterator[tuple[Process, tuple[str, int]]]:
    """Run a script of benchmarks/peers with a package that npm installs into the cache folder."""
    node = shutil.which("node")
    if not node:
        raise AbsentError("needs node")
    shutil.copyfile(_copy_source(script), _install(package) / script)
    address = ("127.0.0.1", free_port())
    with Process(package, [node, str(INSTALLED / script), str(address[1])], folder / f"{package}.log") as process:
        process.wait_for(address, deadline)
        yield process, address


def _install(package: str) -> Path:
    INSTALLED.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_copy_source("package.json"), INSTALLED / "package.json")
    if not (INSTALLED / "node_modules" / package).exists():
        npm = shutil.which("npm")
        if not npm:
            raise AbsentError(f"needs npm, to install the package {package}")
        command = [npm, "install", "--prefix", str(INSTALLED), "--no-audit", "--no-fund", "--ignore-scripts"]
        try:
            subprocess.run(command, cwd=INSTALLED, capture_output=True, timeout=INSTALL_TIMEOUT_S, check=True)
        except (subprocess.SubprocessError, OSError) as error:
            raise AbsentError(f"npm could not install the package {package}: {error}") from error
    return INSTALLED


def _copy_source(name: str) -> Path:
    if not (SOURCES / name).exists():
        raise AbsentError("needs the source checkout (benchmarks/peers)")
    return SOURCES / name
