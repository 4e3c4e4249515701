"""Starts `bellcast` commands by fork from a process that has imported Bellcast, which takes a third of the CPU time of
`python -m bellcast`. The tests start about a thousand servers.

Each pytest process has one such parent. It imports, serves one request after another, and has no threads. Commands
with a prefix or another program, and those of `started()` in tests/journey/shell.py, start Python normally. Shell scripts
have a `bellcast` of `write_command()`.
"""

import atexit
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout, suppress
from functools import cache
from pathlib import Path
from typing import IO, NoReturn

from bellcast.cli import main, options, serve
from bellcast.kernel.db import sqlite_connection
from bellcast.kernel.limits import Limits
from bellcast.operators import factors
from bellcast.server import api_app as app

ROOT = Path(__file__).parents[1]
MAX_REQUEST = 262_144  # bytes; a request carries the environment
MAX_WAITING = 16  # connections of shell scripts
STATUS_SIZE = 8  # bytes of an exit status or process id
# Of Argon2id, which takes 0.1 s per password with 64 MiB; tests/unit/operators/test_passwords.py tests that.
PASSWORD_KIB = 64
# What a server or a command imports at its first use, besides what these import: up to 0.2 s of CPU time in each child.
MODULES = [
    *(
        f"bellcast.{name}"
        for name in (
            "cli.logs",
            "cli.objects",
            "cli.remote",
            "cli.supervisor",
            "client",
            "kernel.db.postgres",
            "kernel.yaml_text",
            "live.http.asgi",
            "live.http.websockets",
            "live.native.endpoints",
            "live.pusher.endpoint",
            "live.socketio.endpoint",
            "providers.smtp",
            "server.app",
            "server.metric_families",
            "server.run",
            "templates.sandbox",
            "templates.syntax_trees",
        )
    ),
    "certifi",
    "cryptography.hazmat.primitives.ciphers.aead",
    "email.policy",
    "encodings.idna",
    "httpcore",
    "httpx",
    "importlib.readers",
    "importlib.resources.readers",
    "rich._emoji_codes",
    "rich.markdown",
    "rich.status",
    "tomllib",
    "uvicorn.lifespan.on",
    "uvicorn.loops.uvloop",
]
# The program `bellcast` of shell scripts: Python without its site packages, which starts in a hundredth of a second.
COMMAND = """#!{python} -IS
import json, os, signal, socket, sys

status, status_end = os.pipe()
request = {{"args": sys.argv[1:], "environ": dict(os.environ), "folder": os.getcwd()}}
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as parent:
    parent.connect({address!r})
    socket.send_fds(parent, [json.dumps(request).encode()], [0, 1, 2, status_end])
    pid = int(parent.recv({size}))
os.close(status_end)
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, frame: os.kill(pid, number))
code = int(os.read(status, {size}))
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
"""


class Forked:
    """A started command, with the part of `subprocess.Popen` that the tests use."""

    def __init__(self, pid: int, status: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._status = status  # the end of a pipe; the parent writes the exit status

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal, or None while the command runs."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            poll = select.poll()  # select() refuses descriptors above 1023
            poll.register(self._status, select.POLLIN)
            if not poll.poll(None if timeout is None else timeout * 1000):
                raise subprocess.TimeoutExpired("bellcast", timeout or 0)
            self.returncode = int(os.read(self._status, STATUS_SIZE))
            os.close(self._status)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):  # the parent has reaped it but not yet reported its status
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


class _Parent:
    """The parent of this process's commands. It ends when this process does."""

    def __init__(self) -> None:
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.address = f"\0bellcast-commands-{os.getpid()}"  # without a file
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as scripts:
            scripts.bind(self.address)
            scripts.listen(MAX_WAITING)
            fds = [theirs.fileno(), scripts.fileno()]
            command = [sys.executable, "-m", "tests.forked_commands", *map(str, fds)]
            self._process = subprocess.Popen(command, cwd=ROOT, pass_fds=fds)  # a test may have another folder
        theirs.close()
        self._lock = threading.Lock()  # tests start servers in threads
        atexit.register(self._end)

    def fork(self, request: dict, streams: list[int]) -> int:
        """Return the id of the new process. `streams` are its standard streams and the pipe for its exit status."""
        with self._lock:
            socket.send_fds(self._requests, [json.dumps(request).encode()], streams)
            return int(self._requests.recv(STATUS_SIZE))

    def _end(self) -> None:
        self._requests.close()
        self._process.wait()


@cache
def _parent() -> _Parent:
    return _Parent()


def start(args: Sequence[str], environ: Mapping[str, str], stdin: IO, stdout: IO, stderr: IO) -> Forked:
    """Start `bellcast` with these arguments and files."""
    status, status_end = os.pipe()
    request = {"args": list(args), "environ": dict(environ), "folder": str(Path.cwd())}
    pid = _parent().fork(request, [stdin.fileno(), stdout.fileno(), stderr.fileno(), status_end])
    os.close(status_end)
    return Forked(pid, status)


def write_command(folder: Path) -> None:
    """Write a program `bellcast` for shell scripts that have this folder in their PATH."""
    program = folder / "bellcast"
    program.write_text(COMMAND.format(python=sys.executable, address=_parent().address, size=STATUS_SIZE))
    program.chmod(0o755)


# --- the parent


def answer(requests: socket.socket, scripts: socket.socket) -> None:
    """Fork a command per request and report the exit statuses, until the connection of the pytest process closes. Each
    command of a shell script has its own connection."""
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writing)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C ends pytest first
    statuses: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([requests, scripts, reading], [], [])
        if reading in ready:
            os.read(reading, 4096)
            _report(statuses)
        if scripts in ready:
            script, _ = scripts.accept()
            with script:
                _fork(script, statuses)
        if requests in ready and not _fork(requests, statuses):
            return


def _fork(requests: socket.socket, statuses: dict[int, int]) -> bool:
    """Read one request and start its command. False if there is none, because the connection is closed."""
    request, fds, _, _ = socket.recv_fds(requests, MAX_REQUEST, 4)
    if not request:
        return False
    *streams, status = fds
    pid = os.fork()
    if pid == 0:
        requests.detach()  # _prepare() closes its descriptor
        _prepare(json.loads(request), streams)
        _run()
    statuses[pid] = status
    for stream in streams:
        os.close(stream)
    requests.send(str(pid).encode())
    return True


def _report(statuses: dict[int, int]) -> None:
    """Write the exit statuses of the commands that have ended."""
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            pid, status = ended
            end = statuses.pop(pid)
            with suppress(BrokenPipeError):  # the test did not wait
                os.write(end, str(os.waitstatus_to_exitcode(status)).encode())
            os.close(end)


def _prepare(request: dict, streams: list[int]) -> None:
    """Reset a forked child to the state of a new `python -m bellcast` process."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored under nohup
    for target, stream in enumerate(streams):
        os.dup2(stream, target)
    os.closerange(3, 256)
    os.environ.clear()
    os.environ.update(request["environ"])
    os.chdir(request["folder"])
    sys.path[1:1] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    sys.argv = ["bellcast", *request["args"]]


def _run() -> NoReturn:
    """Run the command to its end, and exit as Python does but without freeing its memory: that copies the memory which is shared
    with the parent, 53 of the 60 ms of CPU time of `bellcast --version`."""
    try:
        main()
    except SystemExit as end:
        threading._shutdown()
        atexit._run_exitfuncs()
        with suppress(OSError, ValueError):  # Python reports output that cannot be written, and closed files
            sys.stdout.flush()
            sys.stderr.flush()
            if end.code is None or isinstance(end.code, int):
                os._exit(end.code or 0)
        raise


def _import() -> None:
    """Import what a server imports when it starts, and build what all apps of a process share."""
    for name in MODULES:
        importlib.import_module(name)
    factors.MEMORY_KIB = PASSWORD_KIB
    app.described(Limits())
    sqlite_connection.texts()
    options.setting_options((), serve.GROUPS)
    options.setting_options(options.RequestCommand.names, ())
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), suppress(SystemExit):
        sys.argv = ["bellcast", "--version"]
        main()
    gc.freeze()  # a garbage collection in a child would copy the pages of all modules


if __name__ == "__main__":
    requests, scripts = (socket.socket(fileno=int(fd)) for fd in sys.argv[1:])
    _import()
    answer(requests, scripts)
