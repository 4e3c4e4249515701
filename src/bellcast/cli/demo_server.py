"""The server of `bellcast demo`, in a process of its own, which the start page can kill, and which is then started again."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from bellcast.cli.console import CommandError

if TYPE_CHECKING:
    from bellcast.examples.demo.servers import ServerUrls
    from bellcast.live_feed import ServedRequest

# Seconds until a killed server is started again, so that people can look at the apps without it.
RESTART_S = 4.0
# A forked process has the imports of the fork server. They are most of the processor time until a server listens.
PRELOADED = ["bellcast.server.app", "bellcast.server.run", "bellcast.cli.serve", "bellcast.cli.logs"]
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(PRELOADED)


class DemoServer:
    """A server with these settings and a past at `servers`. It does not outlive this process."""

    def __init__(self, settings: dict[str, Any], servers: "ServerUrls", *, is_busy: bool) -> None:
        self._settings = settings
        self._servers = servers
        self._is_busy = is_busy
        self._is_stopped = threading.Event()
        self._process: Any = None

    def run(self, ready: Callable[[str, str | None], None]) -> None:
        """Serve until a signal, and restart after a kill. Calls `ready` with the URL and the set-up code once, when the
        server accepts connections. Raises CommandError if it does not start."""

        def stop(*_: object) -> None:
            self._is_stopped.set()
            if self._process is not None:
                self._process.terminate()

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        is_first = True
        while not self._is_stopped.is_set():
            receiver, sender = _processes.Pipe(duplex=False)
            past = (self._servers, self._is_busy) if is_first else None
            self._process = _processes.Process(target=_run_server, args=(self._settings, past, sender))
            self._process.start()
            sender.close()
            try:
                url, setup_code, failure = receiver.recv()
            except EOFError:  # it ended before it listened
                url = setup_code = failure = None
            if failure is not None:
                raise CommandError(*failure)
            if url is not None and is_first and not self._is_stopped.is_set():
                ready(url, setup_code)
                is_first = False
            # The pipe ends with the server. `join` would also return when a signal to all processes ends the fork server.
            with contextlib.suppress(EOFError):
                receiver.recv()
            self._process.join()
            if not self._is_stopped.is_set() and self._process.exitcode != -signal.SIGKILL:
                raise CommandError(f"the server ended with status {self._process.exitcode}", "see the log above")
            self._is_stopped.wait(RESTART_S)

    def kill(self) -> None:
        """End the server as a crash does, without any clean-up."""
        if self._process is not None:
            self._process.kill()


def _run_server(settings: dict[str, Any], past: tuple["ServerUrls", bool] | None, parent: Connection) -> None:
    """Serve in the new process; first write the past, unless the database has one."""
    from bellcast import server
    from bellcast.cli import logs, serve
    from bellcast.settings import load

    os.setpgrp()  # Ctrl-C in the terminal reaches the demo only, which then ends this process
    loaded = load(settings, {})

    def end_with_parent() -> None:
        if (process := multiprocessing.parent_process()) is not None:
            process.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=end_with_parent, name="bellcast-parent", daemon=True).start()
    try:
        requests: Sequence[ServedRequest] = ()
        if past is not None:
            from bellcast.examples.demo.past import write

            requests = write(settings, past[0], is_busy=past[1])
        # The log of a demo is not compared with its audit log.
        logs.configure(loaded.server, but=("audit_head",))
        app = server.create_app(loaded)
        for request in requests:
            app.feed.add_request(request)
        serve.run(app, lambda url: parent.send((url, app.setup_code, None)))
    except CommandError as error:
        parent.send((None, None, (error.problem, error.hint)))
