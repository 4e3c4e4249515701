"""Programs that build container images and run them: Docker, Podman and Buildah, by the same methods."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# A build needs gigabytes, and /tmp may be in memory.
LARGE_FILES = "/var/tmp"
PORT = 8787  # the port of the server in a container with its own network


class Docker:
    """Docker, or Podman with the same command line. Images and layers stay in its cache."""

    def __init__(self, program: str, *build_options: str) -> None:
        self.program = [program]
        self.build_options = build_options

    def pull(self, image: str) -> str:
        """Return the reason why the image cannot be used, empty if it can."""
        if succeeds(*self.program, "image", "inspect", image):
            return ""
        return self._pull(image)

    def build(self, folder: Path, dockerfile: Path, tag: str, *options: str) -> None:
        """Build an image from the files of the folder."""
        files = ["--file", str(dockerfile), *self._ignore_option(dockerfile)]
        run(*self.program, "build", *self.build_options, *files, *options, "--tag", tag, str(folder))

    def save(self, tag: str, archive: Path) -> None:
        """Write an image into an archive that `docker load` and `podman load` read."""
        run(*self.program, "save", "--output", str(archive), tag)

    def load(self, archive: Path) -> None:
        """Read the image of an archive."""
        run(*self.program, "load", "--input", str(archive))

    def command(self, tag: str, *arguments: str, port: int, environ: dict[str, str], entrypoint: str = "") -> list[str]:
        """Return the command that runs a loaded image with a read-only root until it exits, with its server on this port of 127.0.0.1."""
        options = ["--rm", "--read-only", "--tmpfs=/tmp", f"--publish=127.0.0.1:{port}:{PORT}", *_variables(environ)]
        if entrypoint:
            options.append(f"--entrypoint={entrypoint}")
        return [*self.program, "run", *options, tag, *arguments]

    def _pull(self, image: str) -> str:
        completed = subprocess.run([*self.program, "pull", image], check=False, capture_output=True, text=True)
        return (completed.stderr.strip() or "it failed").splitlines()[-1] if completed.returncode else ""

    def _ignore_option(self, dockerfile: Path) -> list[str]:
        """Return the option for the Dockerfile's ignored files, which Docker finds by their name."""
        ignored = dockerfile.with_name(f"{dockerfile.name}.dockerignore")
        return ["--ignorefile", str(ignored)] if self.program != ["docker"] and ignored.exists() else []


class Buildah(Docker):
    """Buildah with its images in a folder. It needs neither a daemon nor namespaces, so root can use it in most sandboxes."""

    def __init__(self, folder: Path) -> None:
        super().__init__("buildah", "--isolation", "chroot", *DOCKER_FORMAT)
        storage = ["--root", str(folder / "images"), "--runroot", str(folder / "run"), "--storage-driver"]
        # vfs copies the files of each image, but mounts nothing.
        driver = "overlay" if succeeds("buildah", *storage, "overlay", "info") else "vfs"
        self.program += [*storage, driver]

    def pull(self, image: str) -> str:
        return self._pull(image)

    def save(self, tag: str, archive: Path) -> None:
        run(*self.program, "push", "--quiet", tag, f"docker-archive:{archive}:{tag}")

    def load(self, archive: Path) -> None:
        run(*self.program, "from", "--name", "loaded", f"docker-archive:{archive}")

    def command(self, tag: str, *arguments: str, port: int, environ: dict[str, str], entrypoint: str = "") -> list[str]:
        """Run the image with the network of this machine."""
        inspected = subprocess.run([*self.program, "inspect", "loaded"], check=True, capture_output=True)
        configured = json.loads(inspected.stdout)["Docker"]["config"]
        started = [entrypoint] if entrypoint else configured["Entrypoint"]
        options = ["--isolation", "chroot", *_variables(environ | {"BELLCAST_PORT": str(port)})]
        return [*self.program, "run", *options, "loaded", "--", *started, *(arguments or configured["Cmd"])]


# The OCI format has no health check.
DOCKER_FORMAT = ("--format", "docker")


@contextmanager
def open_builder() -> Iterator[Docker]:
    """Yield Docker, Podman or Buildah, whichever is installed and responds, in this order. Buildah is installed if necessary."""
    if succeeds("docker", "version") and succeeds("docker", "buildx", "version"):
        yield Docker("docker")
    elif succeeds("podman", "info"):
        yield Docker("podman", *DOCKER_FORMAT)
    else:
        run(str(Path(__file__).with_name("install_system.sh")), "buildah")
        with tempfile.TemporaryDirectory(prefix="bellcast-image-", dir=LARGE_FILES) as folder:
            buildah = Buildah(Path(folder))
            try:
                yield buildah
            finally:
                run(*buildah.program, "rm", "--all")  # unmounts them


def run(*command: str) -> None:
    subprocess.run(command, check=True)


def succeeds(*command: str) -> bool:
    """Return True if the program is installed and the command exits with status 0."""
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def _variables(environ: dict[str, str]) -> list[str]:
    return [f"--env={name}={value}" for name, value in environ.items()]
