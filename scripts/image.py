"""Builds the container image of deploy/Dockerfile into an archive.

If its base images cannot be pulled, they are built from Debian packages, with the programs that the Dockerfile needs.
"""

import json
import re
import subprocess
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import IO, cast

from scripts import container_builders, registry_settings
from scripts.container_builders import LARGE_FILES, Docker, run

ROOT = Path(__file__).parent.parent
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
# The release whose Python and Node are new enough for Bellcast.
DEBIAN, DEBIAN_NAME = "trixie", "Debian 13"
PACKAGES = {
    "PYTHON_IMAGE": ["python3", "python3-venv", "python-is-python3", "passwd", "ca-certificates"],
    "NODE_IMAGE": ["nodejs"],
}
# Of all layers, compressed as in a registry.
MAX_COMPRESSED_BYTES = 120_000_000
NPM = "npm@10"  # Debian's npm depends on 400 packages


def tag_of(version: str) -> str:
    """Return the full name of the image that `docker load` shows as `bellcast:VERSION`."""
    return f"docker.io/library/bellcast:{version}"


def build_image(folder: Path, version: str) -> None:
    """Build the image, of the commit of the wheel in the folder, and write its archive into the folder."""
    with container_builders.open_builder() as builder, tempfile.TemporaryDirectory(dir=LARGE_FILES) as work:
        print(f"building the image with {builder.program[0]}", flush=True)
        bases = base_options(builder, Path(work))
        (wheel,) = folder.glob("*.whl")
        commit = zipfile.Path(wheel, "bellcast/COMMIT")
        source = [f"--build-arg=SOURCE_COMMIT={commit.read_text().strip()}"] if commit.exists() else []
        secrets = registry_settings.build_options(Path(work))
        builder.build(ROOT, DOCKERFILE, tag_of(version), *bases, *source, *secrets)
        archive = folder / f"bellcast-{version}-image.tar"
        builder.save(tag_of(version), archive)
    size = compressed_bytes(archive)
    print(f"the image has {size:,} bytes compressed", flush=True)
    if size > MAX_COMPRESSED_BYTES:
        raise SystemExit(f"The image has {size:,} bytes compressed; at most {MAX_COMPRESSED_BYTES:,} are allowed.")


def compressed_bytes(archive: Path) -> int:
    """Return the size of the layers of an archive, compressed by gzip as registries store them."""
    with tarfile.open(archive) as outer:
        (manifest,) = json.load(cast(IO[bytes], outer.extractfile("manifest.json")))
        return sum(_deflated(cast(IO[bytes], outer.extractfile(layer))) for layer in manifest["Layers"])


def _deflated(layer: IO[bytes]) -> int:
    compressor, size = zlib.compressobj(6, zlib.DEFLATED, zlib.MAX_WBITS | 16), 0
    while block := layer.read(1 << 20):
        size += len(compressor.compress(block))
    return size + len(compressor.flush())


def base_options(builder: Docker, work: Path) -> list[str]:
    """Return the build arguments that replace the base images, none if these can be pulled."""
    images = dict(re.findall(r"^ARG (\w+_IMAGE)=(\S+)$", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE))
    for image in images.values():
        if reason := builder.pull(image):
            print(f"{image} cannot be pulled: the bases are made of packages of {DEBIAN_NAME}. ({reason})", flush=True)
            return [option for name in images for option in ("--build-arg", f"{name}={make_base(builder, work, name)}")]
    return []


def make_base(builder: Docker, work: Path, name: str) -> str:
    """Build an image from Debian packages. Return its tag."""
    run(str(ROOT / "scripts" / "install_system.sh"), "mmdebstrap")
    folder = work / name
    folder.mkdir()
    hooks = [
        # The files name addresses in this machine's network.
        'rm -rf "$1"/etc/apt/sources.list* "$1"/etc/apt/apt.conf.d/99mmdebstrap "$1"/etc/resolv.conf "$1"/etc/hostname',
        *(npm_hooks(folder) if name == "NODE_IMAGE" else ()),
    ]
    unneeded = [f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("doc", "info", "locale", "man")]
    options = ["--variant=essential", "--quiet", f"--include={','.join(PACKAGES[name])}", *unneeded]
    options += [f"--customize-hook={hook}" for hook in hooks]
    options += [f"--aptopt={setting}" for setting in apt_settings()]
    run("env", f"TMPDIR={LARGE_FILES}", "mmdebstrap", *options, DEBIAN, str(folder / "base.tar"), *apt_sources())
    dockerfile = folder / "Dockerfile"
    dockerfile.write_text("FROM scratch\nADD base.tar /\n")
    tag = f"localhost/bellcast-{name.lower().replace('_', '-')}"
    builder.build(folder, dockerfile, tag)
    return tag


def npm_hooks(folder: Path) -> list[str]:
    """Download npm. Return the commands that install it into the root `$1`."""
    packed = subprocess.run(
        ["npm", "pack", "--silent", "--pack-destination", str(folder), NPM],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    archive = folder / packed.stdout.strip()
    return [
        'mkdir "$1/usr/local/lib/npm"',
        f'tar --extract --file {archive} --strip-components 1 --directory "$1/usr/local/lib/npm"',
        *(f'ln -s ../lib/npm/bin/{name}-cli.js "$1/usr/local/bin/{name}"' for name in ("npm", "npx")),
    ]


def apt_sources() -> list[str]:
    """Return the lines of sources.list for this machine's Debian mirrors; none if it has no mirrors."""
    fields = "$(ORIGIN) $(COMPONENT) $(REPO_URI) $(CODENAME)"
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", fields, "Created-By: Packages"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    # Codenames are bookworm, bookworm-updates and bookworm-security.
    found = re.findall(r"^Debian main (https?://\S+) [a-z]+((?:-updates|-security)?)$", listed.stdout, re.MULTILINE)
    return list(dict.fromkeys(f"deb {uri} {DEBIAN}{suffix} main" for uri, suffix in found))


def apt_settings() -> list[str]:
    """Return this machine's settings for downloads by apt, such as a proxy."""
    dumped = subprocess.run(["apt-config", "dump"], check=True, capture_output=True, text=True).stdout
    return re.findall(r"^Acquire::https?::.+;$", dumped, re.MULTILINE)
