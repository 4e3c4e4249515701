"""The image of the archive runs: its server rings a bell as an unprivileged user, and contains nothing from the build."""

import json
import os
import re
import signal
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import httpx
import pytest
from scripts import container_builders, image, sbom
from scripts.container_builders import Buildah, Docker

import bellcast
from bellcast import build
from tests.servers import PROJECT, ServerProcess, child_processes

ROOT = Path(__file__).parents[2]
TAG = image.tag_of(bellcast.__version__)
USER = 10001
BUILD_TOOLS = {"cc", "gcc", "g++", "c++", "cpp", "ld", "as", "make", "git", "node", "nodejs", "npm", "uv"}
# Files with registry addresses or passwords, and the build secrets.
REGISTRY_FILES = re.compile(
    r"(.+/)?(\.?pip\.conf|\.?npmrc|\.netrc|uv\.toml|auth\.conf(\.d/.+)?)|run/secrets/.+|.+/\.docker/.+"
)


@pytest.fixture(scope="module")
def archive(request: pytest.FixtureRequest) -> Path:
    folder = request.config.getoption("--packages")
    if folder is None:
        pytest.skip("`make package` builds the image, which takes 3 minutes, and runs this test with --packages")
    return cast(Path, folder).resolve() / f"bellcast-{bellcast.__version__}-image.tar"


@pytest.fixture(scope="module")
def builder(archive: Path) -> Iterator[Docker]:
    """The program that has loaded the archive."""
    with container_builders.open_builder() as builder:
        builder.load(archive)
        yield builder


@pytest.fixture(scope="module")
def configuration(archive: Path) -> dict[str, Any]:
    with tarfile.open(archive) as outer:
        (manifest,) = json.load(member(outer, "manifest.json"))
        assert manifest["RepoTags"][0].removeprefix("docker.io/library/") == f"bellcast:{bellcast.__version__}"
        return cast(dict[str, Any], json.load(member(outer, manifest["Config"])))


@pytest.fixture(scope="module")
def files(archive: Path) -> dict[str, tarfile.TarInfo]:
    """Return the files of all layers by path."""
    found = {}
    with tarfile.open(archive) as outer:
        (manifest,) = json.load(member(outer, "manifest.json"))
        for layer in manifest["Layers"]:
            with tarfile.open(fileobj=member(outer, layer)) as inner:
                found |= {file.name.removeprefix("./").strip("/"): file for file in inner}
    return found


def member(outer: tarfile.TarFile, name: str) -> IO[bytes]:
    found = outer.extractfile(name)
    assert found is not None
    return found


@contextmanager
def running(builder: Docker, server: ServerProcess) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the image with its default command, at the address of the server."""
    environ = {"BELLCAST_PROJECT": ":".join(PROJECT), "BELLCAST_DRAIN": "1"}
    command = builder.command(TAG, port=server.port, environ=environ)
    with server.log.open("w") as log, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log) as process:
        try:
            assert process.stdout is not None
            assert b"http://" in process.stdout.readline(), server.log.read_text()
            yield process
        finally:
            process.terminate()


def send_sigterm(builder: Docker, process: int) -> None:
    """Send the signal to the server: Docker and Podman forward it, but Buildah would kill the server."""
    while isinstance(builder, Buildah) and (children := child_processes(process)):
        (process,) = children
    os.kill(process, signal.SIGTERM)


def output(builder: Docker, tmp_path: Path, *arguments: str, entrypoint: str = "") -> str:
    command = builder.command(TAG, *arguments, port=ServerProcess(tmp_path).port, environ={}, entrypoint=entrypoint)
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_image_prints_its_version_and_the_commit(builder: Docker, archive: Path, tmp_path: Path) -> None:
    with tarfile.open(next(archive.parent.glob("*.tar.gz"))) as sdist:
        (commit,) = [sdist.extractfile(file) for file in sdist if file.name.endswith("/src/bellcast/COMMIT")]
        assert commit is not None
        name = f"{bellcast.__version__} ({commit.read().decode().strip()})"
    assert output(builder, tmp_path, "--version") == f"bellcast {name}\n"


def test_image_rings_a_bell_and_ends_on_sigterm(builder: Docker, tmp_path: Path) -> None:
    server = ServerProcess(tmp_path)
    with running(builder, server) as process, httpx.Client(base_url=server.url, timeout=60) as client:
        assert client.get("/healthz").json()["version"] == build.version()
        with client.stream("GET", "/v1/stream", headers=server.as_recipient("alice")) as stream:
            lines = stream.iter_lines()
            assert "event: ready" in lines
            sent = httpx.post(
                f"{server.url}/v1/notifications",
                headers=server.as_app(),
                json={"to": "alice", "title": "Hello"},
                timeout=60,
            )
            assert sent.status_code == 201, sent.text
            assert any('"Hello"' in line for line in lines if line.startswith("data:"))
        assert client.get("/bellcast.js").content == (ROOT / "client" / "dist" / "bellcast.js").read_bytes()
        send_sigterm(builder, process.pid)
        assert process.wait(timeout=30) == 0, server.log.read_text()


def test_image_runs_as_an_unprivileged_user_who_owns_the_data_folder(builder: Docker, tmp_path: Path) -> None:
    script = "import os; open('/data/written', 'w').close(); print(os.getuid(), os.stat('/data/written').st_uid)"
    assert output(builder, tmp_path, "-c", script, entrypoint="python").split() == [str(USER), str(USER)]


def test_image_has_the_settings_of_the_dockerfile(configuration: dict[str, Any]) -> None:
    config = configuration["config"]
    assert (config["User"], config["Entrypoint"], config["Cmd"]) == (str(USER), ["bellcast"], ["serve"])
    assert (set(config["Volumes"]), set(config["ExposedPorts"])) == ({"/data"}, {"8787/tcp"})
    assert "BELLCAST_DATA=/data" in config["Env"]
    assert config["Healthcheck"]["Test"][:2] == ["CMD", "python"]


def test_image_has_no_build_tools(files: dict[str, tarfile.TarInfo]) -> None:
    programs = {path.rpartition("/")[2] for path in files if re.fullmatch(r"(.*/)?s?bin/[^/]+", path)}
    assert {"bellcast", "python3"} <= programs
    assert programs & BUILD_TOOLS == set()
    assert [path for path in files if "/node_modules/" in path] == []


def test_image_has_neither_settings_nor_secrets_of_the_build(
    files: dict[str, tarfile.TarInfo], configuration: dict[str, Any]
) -> None:
    assert [path for path, file in files.items() if REGISTRY_FILES.fullmatch(path) and file.size] == []
    assert re.findall(r"(?i)index.url|npm_config|_auth|://[^/\s\"]*@|_proxy", json.dumps(configuration)) == []
    assert {path.partition("/")[0] for path in files} & {"build", "client"} == set()


def test_image_is_small_and_its_document_lists_its_packages_by_their_pins(
    archive: Path, files: dict[str, tarfile.TarInfo]
) -> None:
    assert image.compressed_bytes(archive) <= image.MAX_COMPRESSED_BYTES
    document = json.loads((archive.parent / f"bellcast-{bellcast.__version__}-image.cdx.json").read_text())
    listed = {one["name"]: one["version"] for one in document["components"] if one["purl"].startswith("pkg:pypi/")}
    installed = {match[1] for path in files if (match := sbom.DIST_INFO.fullmatch(path))}
    assert len(listed) == len(installed) > 30
    pins = sbom.python_pins()
    unpinned = {"bellcast", "pip"}  # pip of the virtual environment
    assert {name: version for name, version in listed.items() if name not in unpinned and pins[name] != version} == {}


def test_data_folder_of_the_image_is_private(files: dict[str, tarfile.TarInfo]) -> None:
    data = files["data"]
    assert (data.uid, data.gid > 0, data.mode & 0o777) == (USER, True, 0o700)
    assert [path for path in files if path.startswith("data/")] == []
