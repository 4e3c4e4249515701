"""What packages contain, as CycloneDX: every pin of Python and npm, and what is installed in the image."""

import io
import json
import os
import re
import subprocess
import sys
import tarfile
from importlib import metadata
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.utils import canonicalize_name
from scripts import image, sbom

import bellcast

ROOT = Path(__file__).parents[2]


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def write_image(file: Path, files: dict[str, bytes]) -> None:
    """Write an archive of an image with one layer, as `docker save` does."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as inner:
        for name, content in files.items():
            add(inner, name, content)
    with tarfile.open(file, "w") as outer:
        add(outer, "manifest.json", json.dumps([{"Layers": ["layer.tar"]}]).encode())
        add(outer, "layer.tar", layer.getvalue())


def test_a_wheel_is_built_with_the_packages_of_the_demo() -> None:
    command = [
        sys.executable,
        "-c",
        "import sys; old = set(sys.modules); import scripts.package; print(*{*sys.modules} - old)",
    ]
    loaded = {name.partition(".")[0] for name in subprocess.check_output(command, cwd=ROOT, text=True).split()}
    owners = metadata.packages_distributions()
    used = {canonicalize_name(owner) for name in loaded for owner in owners.get(name, ())}
    assert used - {"bellcast"} <= sbom.needed({"bellcast"}, {"demo"})


def test_documents_are_valid_and_list_all_pins(tmp_path: Path) -> None:
    version = bellcast.__version__
    packages = "opt/bellcast/lib/python3.13/site-packages"
    status = b"Package: libc6\nStatus: install ok installed\nVersion: 2.41-12+deb13u1\n\nPackage: vim\nStatus: deinstall ok config-files\nVersion: 9\n"
    files = {f"{packages}/rich-15.0.0.dist-info/METADATA": b"", f"./{packages}/PyJWT-2.13.dist-info/METADATA": b""}
    write_image(tmp_path / f"bellcast-{version}-image.tar", files | {"var/lib/dpkg/status": status})
    sbom.write(tmp_path, version)
    found: dict[str, dict[str, str]] = {}
    for name in ("wheel", "npm", "image"):
        text = (tmp_path / f"bellcast-{version}-{name}.cdx.json").read_text()
        assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
        found[name] = {one["purl"]: one["scope"] for one in json.loads(text)["components"]}

    lock = re.findall(r"^([\w.-]+)==([^ ;]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    pins = {f"pkg:pypi/{name}@{version}" for name, version in lock}
    assert len(pins) > 100
    assert pins <= found["wheel"].keys()
    scopes = {purl.partition("/")[2].rpartition("@")[0]: scope for purl, scope in found["wheel"].items()}
    assert [scopes[name] for name in ("uvicorn", "preact", "asyncpg", "django", "pytest")] == [
        "required",
        "required",
        "optional",
        "optional",
        "excluded",
    ]
    modules = json.loads((ROOT / "client" / "package-lock.json").read_text())["packages"]
    names = {(path.rpartition("node_modules/")[2], one["version"]) for path, one in modules.items() if path}
    assert {f"pkg:npm/{name.replace('@', '%40')}@{version}" for name, version in names} == found["npm"].keys()
    installed = {purl for purl in found["image"] if not purl.startswith("pkg:npm/")}
    assert installed == {"pkg:pypi/rich@15.0.0", "pkg:pypi/pyjwt@2.13", "pkg:deb/debian/libc6@2.41-12%2Bdeb13u1"}


def test_compressed_size_is_that_of_the_layers(tmp_path: Path) -> None:
    write_image(tmp_path / "image.tar", {"random": os.urandom(300_000), "zeros": bytes(3_000_000)})
    assert 300_000 < image.compressed_bytes(tmp_path / "image.tar") < 320_000
