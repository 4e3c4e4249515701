"""deploy/install.sh installs, updates and rolls back, in a folder instead of /. Its systemctl starts the server of the unit, and its
pip installs a wheel that is a small server."""

import configparser
import http.server
import os
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.servers import free_port

DEPLOY = Path(__file__).parents[2] / "deploy"
# Listens as Bellcast does: on `::` for IPv6 only.
SERVER = f"""#!{sys.executable}
import http.server, os, socket
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200), self.end_headers(), self.wfile.write(b"VERSION")
    log_message = lambda *_: None
host = os.environ.get("BELLCAST_HOST", "127.0.0.1")
family = socket.AF_INET6 if ":" in host else socket.AF_INET
server = http.server.HTTPServer((host, 0), Ready, bind_and_activate=False)
server.socket = socket.create_server((host, int(os.environ["BELLCAST_PORT"])), family=family)
server.serve_forever()
"""
# Makes a virtual environment whose pip copies the wheel as the program `bellcast`.
PYTHON = """#!/bin/sh
[ "$1" != -c ] || exec {python} "$@"
[ "$1 $2" = "-m venv" ] || exit 2
mkdir -p "$3/bin"
ln -s {python} "$3/bin/python"
printf '#!/bin/sh\\neval file=\\\\$$#; cp "${{file%%\\\\[*}}" "%s/bin/bellcast"; chmod +x "%s/bin/bellcast"; echo "$file" >>{calls}' "$3" "$3" >"$3/bin/pip"
chmod +x "$3/bin/pip"
"""
# Reads the unit, as systemd does, and starts its program with its file of settings.
SYSTEMCTL = """#!/bin/sh
unit=$DESTDIR/etc/systemd/system/bellcast.service
stop() { [ ! -e $DESTDIR/pid ] || { kill "$(cat $DESTDIR/pid)" 2>/dev/null; rm $DESTDIR/pid; }; }
case "$1" in
  disable) stop; rm $DESTDIR/enabled ;;
  enable) touch $DESTDIR/enabled ;;
  is-active) readlink -q "/proc/$(cat $DESTDIR/pid)/exe" >/dev/null ;; # not that of a process that has ended
  restart)
    stop
    set -a; . "$DESTDIR$(sed -n 's/^EnvironmentFile=-//p' $unit)"; set +a
    "$DESTDIR$(sed -n 's/^ExecStart=\\([^ ]*\\).*/\\1/p' $unit)" serve >/dev/null 2>&1 &
    echo $! >$DESTDIR/pid ;;
esac
"""


class Machine:
    """A folder with the files of a machine under systemd, and of a download: the script, the unit, wheels."""

    def __init__(self, folder: Path) -> None:
        self.root, self.download, self.port = folder / "root", folder / "download", free_port()
        self.calls = folder / "calls"
        self.unit = self.root / "etc" / "systemd" / "system" / "bellcast.service"
        programs = {"systemctl": SYSTEMCTL, "python3": PYTHON.format(python=sys.executable, calls=self.calls)}
        for path in (self.root / "etc" / "bellcast", self.unit.parent, self.download, folder / "bin"):
            path.mkdir(parents=True)
        for name, text in programs.items():
            (folder / "bin" / name).write_text(text)
            (folder / "bin" / name).chmod(0o755)
        for name in ("install.sh", "bellcast.service"):
            shutil.copy(DEPLOY / name, self.download)
        self.environ = {
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "PYTHON": str(folder / "bin" / "python3"),
            "DESTDIR": str(self.root),
            "http_proxy": "http://127.0.0.1:9",  # is not there
        }

    def install(
        self, version: str, text: str | None = None, wait: int = 30, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the script with a wheel of this version, whose server responds with its version."""
        wheel = self.download / f"bellcast-{version}-py3-none-any.whl"
        wheel.write_text(text or SERVER.replace("VERSION", version))
        command = [str(self.download / "install.sh"), str(wheel)]
        environ = self.environ | {"WAIT": str(wait)} | environ
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)

    def stop(self) -> None:
        """End the server, if one was started."""
        with suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int((self.root / "pid").read_text()), signal.SIGKILL)

    @property
    def current(self) -> Path:
        return self.root / "opt" / "bellcast" / "current"

    @property
    def served(self) -> str:
        """The version that responds."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=30) as response:
            return str(response.read().decode())


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    settings = machine.root / "etc" / "bellcast" / "bellcast.env"
    settings.write_text(f"BELLCAST_PORT={machine.port}\n")
    yield machine
    machine.stop()


@pytest.mark.thorough
def test_versions_are_installed_updated_and_restored(machine: Machine) -> None:
    first = machine.install("0.1.0")
    assert first.returncode == 0, first.stderr
    assert (machine.current.readlink(), machine.served) == (Path("0.1.0"), "0.1.0")
    assert (machine.root / "etc" / "bellcast" / "bellcast.env").stat().st_mode & 0o777 == 0o600
    assert "[postgres,redis]" in machine.calls.read_text()

    process = (machine.root / "pid").read_text()
    assert machine.install("0.1.0").returncode == 0
    assert (machine.root / "pid").read_text() != process, "the server was not restarted"
    assert len(machine.calls.read_text().splitlines()) == 1, "the same wheel was installed again"

    assert machine.install("0.2.0").returncode == 0
    assert (machine.current.readlink(), machine.served) == (Path("0.2.0"), "0.2.0")

    (machine.download / "bellcast.service").write_text(machine.unit.read_text() + "# of 0.3.0\n")
    failed = machine.install("0.3.0", "#!/bin/sh\nexit 1\n", wait=1)
    assert (failed.returncode, failed.stderr.count("0.2.0 runs again")) == (1, 1), failed.stderr
    assert (machine.current.readlink(), machine.served) == (Path("0.2.0"), "0.2.0")
    assert "0.3.0" not in machine.unit.read_text()

    # Another build of a version does not change the folder that runs.
    assert machine.install("0.2.0", SERVER.replace("VERSION", "0.2.0 rebuilt")).returncode == 0
    assert machine.current.readlink().name.startswith("0.2.0-")
    assert machine.served == "0.2.0 rebuilt"


@pytest.mark.thorough
def test_extras_of_an_installed_version_can_be_changed_and_stay_in_updates(machine: Machine) -> None:
    assert machine.install("0.1.0").returncode == 0
    assert machine.install("0.1.0", EXTRAS="postgres,otel").returncode == 0
    assert machine.current.readlink().name.startswith("0.1.0-")
    assert machine.install("0.2.0").returncode == 0
    extras = [line.partition("[")[2] for line in machine.calls.read_text().splitlines()]
    assert extras == ["postgres,redis]", "postgres,otel]", "postgres,otel]"]


def test_python_that_is_missing_is_named(machine: Machine) -> None:
    refused = machine.install("0.1.0", PYTHON="python9")
    expected = "install.sh: python9 is not Python 3.11 or newer with venv (Debian: python3-venv): name one in PYTHON\n"
    assert (refused.returncode, refused.stderr) == (1, expected)
    assert not (machine.root / "opt").exists()


@pytest.mark.thorough
def test_server_that_listens_on_all_addresses_of_ipv6_is_found(machine: Machine) -> None:
    with (machine.root / "etc" / "bellcast" / "bellcast.env").open("a") as settings:
        settings.write("BELLCAST_HOST=::\n")
    installed = machine.install("0.1.0", wait=5)
    assert installed.returncode == 0, installed.stderr


@pytest.mark.thorough
def test_installed_version_that_does_not_start_stays(machine: Machine) -> None:
    assert machine.install("0.1.0").returncode == 0
    (machine.current / "bin" / "bellcast").write_text("#!/bin/sh\nexit 1\n")
    failed = machine.install("0.1.0", wait=1)
    assert (failed.returncode, failed.stderr) == (1, "install.sh: 0.1.0 does not start: journalctl -u bellcast\n")
    assert (machine.current.readlink(), machine.unit.exists()) == (Path("0.1.0"), True)


@pytest.mark.thorough
def test_unit_that_the_script_did_not_write_runs_again(machine: Machine) -> None:
    own = (DEPLOY / "bellcast.service").read_text().replace("/opt/bellcast/current/bin", "/srv")
    machine.unit.write_text(own)
    program = machine.root / "srv" / "bellcast"
    program.parent.mkdir()
    program.write_text(SERVER.replace("VERSION", "own"))
    program.chmod(0o755)
    failed = machine.install("0.1.0", "#!/bin/sh\nexit 1\n", wait=5)
    assert (failed.returncode, failed.stderr.count("the server before runs again")) == (1, 1), failed.stderr
    assert (machine.unit.read_text(), machine.served, machine.current.is_symlink()) == (own, "own", False)


def test_first_version_that_does_not_start_leaves_nothing_to_start(machine: Machine) -> None:
    (machine.root / "etc" / "bellcast" / "bellcast.env").unlink()
    failed = machine.install("0.1.0", "#!/bin/sh\nexit 1\n", wait=0)
    assert (failed.returncode, "0.1.0 does not start" in failed.stderr) == (1, True), failed.stderr
    left = [machine.current, machine.unit, machine.root / "enabled"]
    assert [path for path in left if path.exists() or path.is_symlink()] == []
    settings = machine.root / "etc" / "bellcast" / "bellcast.env"
    assert (settings.stat().st_mode & 0o777, settings.read_text()[0]) == (0o600, "#")


@pytest.mark.thorough
def test_answer_of_another_server_is_not_that_of_the_installed_one(machine: Machine) -> None:
    with http.server.HTTPServer(("127.0.0.1", machine.port), Ready) as other:
        answering = threading.Thread(target=other.serve_forever)
        answering.start()
        try:
            failed = machine.install("0.1.0", "#!/bin/sh\nexit 1\n", wait=1)
        finally:
            other.shutdown()
            answering.join()
    assert (failed.returncode, "0.1.0 does not start" in failed.stderr) == (1, True), failed.stderr


class Ready(http.server.BaseHTTPRequestHandler):
    """Another server, which is ready."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()


def test_incomplete_installation_that_cannot_be_removed_is_named_once(machine: Machine) -> None:
    remove = machine.download.parent / "bin" / "rm"
    remove.write_text(
        '#!/bin/sh\nfor n in $(seq 1000); do echo "rm: cannot remove $2/$n: Read-only file system" >&2; done; exit 1\n'
    )
    remove.chmod(0o755)
    failed = machine.install("0.1.0")
    folder = machine.root / "opt" / "bellcast" / "0.1.0"
    reason = (
        f"install.sh: cannot replace an incomplete installation: rm: cannot remove {folder}/1: Read-only file system\n"
    )
    assert (failed.returncode, failed.stderr) == (1, reason)


def test_script_is_short_and_refuses_other_files(machine: Machine) -> None:
    assert len((DEPLOY / "install.sh").read_text().splitlines()) <= 90
    unit, missing = str(machine.download / "bellcast.service"), str(machine.download / "missing.whl")
    reasons = {
        (): "0 files are named, expected one wheel",
        (missing, missing): "2 files are named, expected one wheel",
        (missing,): f"{missing} does not exist",
        (unit,): f"{unit} is not a wheel of Bellcast",
    }
    for arguments, reason in reasons.items():
        command = [str(machine.download / "install.sh"), *arguments]
        refused = subprocess.run(command, env=machine.environ, capture_output=True, text=True)
        assert (refused.returncode, refused.stderr.startswith(f"install.sh: {reason}")) == (1, True)
    assert not (machine.root / "opt").exists()


def test_unit_starts_what_the_script_links() -> None:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.read(DEPLOY / "bellcast.service")
    assert parser["Service"]["ExecStart"].startswith("/opt/bellcast/current/bin/bellcast ")
    assert parser["Service"]["EnvironmentFile"] == "-/etc/bellcast/bellcast.env"
