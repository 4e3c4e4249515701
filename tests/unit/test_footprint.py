"""What the base installation takes on disk, and a server at rest in memory."""

import os
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import bellcast

INSTALLED_MB = 110  # the environment without pip and setuptools
PSS_MB = 50
# Modules of libraries, and of this package, that a server imports when it uses them.
IMPORTED_LATER = {
    "aiosmtplib.smtp",
    "bellcast.client.api",
    "cryptography",
    "email.parser",
    "http.client",
    "http.cookiejar",
    "httpx._client",
    "idna.core",
    "jinja2.environment",
    "prometheus_client.registry",
    "rich.console",
    "tomllib._parser",
    "zipfile",
}


def closure(name: str) -> set[str]:
    """Return the distributions that `pip install bellcast` installs."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found: set[str] = {name}
    names = [Requirement(one).name.lower() for one in project["dependencies"]]
    while names:
        one = names.pop()
        if one in found:
            continue
        found.add(one)
        wanted = map(Requirement, metadata.requires(one) or [])
        names += [each.name.lower() for each in wanted if each.marker is None or each.marker.evaluate({"extra": ""})]
    return found


def files(name: str) -> Iterator[Path]:
    if name == "bellcast":
        yield from Path(bellcast.__file__).parent.rglob("*")
    else:
        yield from (Path(str(one.locate())) for one in metadata.distribution(name).files or ())


def kilobytes(path: Path) -> float:
    """The size on disk in blocks of 4 KiB; of source code twice, since pip compiles it."""
    blocks = -(-path.stat().st_size // 4096) * 4
    return blocks * (2 if path.suffix == ".py" else 1)


def test_base_installation_fits_on_disk() -> None:
    sizes = {
        name: sum(kilobytes(one) for one in files(name) if one.is_file() and one.suffix != ".pyc") / 1000
        for name in closure("bellcast")
    }
    assert sum(sizes.values()) <= INSTALLED_MB, sorted(sizes.items(), key=lambda one: -one[1])[:10]


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux")
def test_server_at_rest_fits_in_memory_without_what_it_does_not_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "bellcast", "serve", "--port", str(port), "--data", str(tmp_path / "data")]
    env = os.environ | {"PYTHONPROFILEIMPORTTIME": "1"}  # a line for each module
    imported: set[str] = set()
    with subprocess.Popen(
        command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as server:
        assert server.stdout is not None
        try:
            for line in server.stdout:
                imported.add(line.rpartition("|")[2].strip())
                if "is listening on" in line:
                    break
            else:
                pytest.fail(f"the server ended with {server.wait()} before it listened")
            rollup = Path(f"/proc/{server.pid}/smaps_rollup").read_text().splitlines()[1:]
        finally:
            server.terminate()
    assert "bellcast.server.app" in imported
    assert imported & IMPORTED_LATER == set()
    figures = dict(line.split(":") for line in rollup)
    assert int(figures["Pss"].split()[0]) <= PSS_MB * 1024
