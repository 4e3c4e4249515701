"""Writes what the packages of a folder contain, as CycloneDX: `python -m scripts.sbom FOLDER`.

The document of the wheel has every pin of requirements.lock: those that Bellcast needs, those of its extras as `optional`, and those that only
develop it as `excluded`. The document of the npm package has every pin of client/package-lock.json; the package itself needs none."""

import io
import json
import re
import sys
import tarfile
import uuid
from importlib import metadata
from pathlib import Path
from typing import Any, cast

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
Component = dict[str, Any]
# Pins of the client that pages of the examples contain. Those of the other pages are the headings of their licences.
BUNDLED = ("laravel-echo", "pusher-js", "react", "react-dom", "scheduler", "socket.io-client")
HEADING = re.compile(r"^(@?[a-z][a-z0-9./-]*) (\d+\.\d+\.\d+\S*)$", re.MULTILINE)
DIST_INFO = re.compile(r"opt/bellcast/lib/python3[^/]*/site-packages/([^/]+)\.dist-info/METADATA")


def python_pins() -> dict[str, str]:
    """Return the version of each package in requirements.lock."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", lock, re.MULTILINE))


def needed(names: set[str], extras: set[str]) -> set[str]:
    """Return the names of the installed packages that these need, with these extras of the first ones."""
    found: set[str] = set()
    waiting = [(name, extras) for name in names]
    while waiting:
        name, chosen = waiting.pop()
        for text in metadata.requires(name) or ():
            requirement = Requirement(text)
            marker, needs = requirement.marker, canonicalize_name(requirement.name)
            if marker is not None and not any(marker.evaluate({"extra": extra}) for extra in ("", *chosen)):
                continue
            if needs not in found:
                found.add(needs)
                waiting.append((needs, requirement.extras))
    return found


def python_components() -> list[Component]:
    required = needed({"bellcast"}, set())
    optional = needed({"bellcast"}, set(metadata.metadata("bellcast").get_all("Provides-Extra") or ()))

    def scope(name: str) -> str:
        return "required" if name in required else "optional" if name in optional else "excluded"

    return [component("pypi", name, version, scope(name)) for name, version in python_pins().items()]


def npm_components() -> list[Component]:
    packages = json.loads((ROOT / "client" / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    return [
        component(
            "npm", path.rpartition("node_modules/")[2], one["version"], "excluded" if one.get("dev") else "required"
        )
        for path, one in packages.items()
        if path and "version" in one
    ]


def bundled_components() -> list[Component]:
    """Return the npm packages whose code is in the wheel and in the image."""
    licences = (ROOT / "src" / "bellcast" / "console" / "pages").rglob("vendor/LICENSES.txt")
    pages = [found for file in licences for found in HEADING.findall(file.read_text(encoding="utf-8"))]
    examples = [(one["name"], one["version"]) for one in npm_components() if one["name"] in BUNDLED]
    return [component("npm", name, version, "required") for name, version in [*pages, *examples]]


def image_components(archive: Path) -> list[Component]:
    """Return the Python and the Debian packages in the layers of an archive."""
    found: dict[str, Component] = {}
    with tarfile.open(archive) as outer:
        (manifest,) = json.load(cast(io.BufferedReader, outer.extractfile("manifest.json")))
        for layer in manifest["Layers"]:
            with tarfile.open(fileobj=outer.extractfile(layer)) as inner:
                for file in inner:
                    path = file.name.removeprefix("./")
                    if match := DIST_INFO.fullmatch(path):
                        name, _, version = match[1].rpartition("-")
                        found[name] = component("pypi", canonicalize_name(name), version, "required")
                    elif path == "var/lib/dpkg/status":
                        status = cast(io.BufferedReader, inner.extractfile(file)).read().decode()
                        found |= {one["purl"]: one for one in _debian_components(status)}
    return [*found.values()]


def _debian_components(status: str) -> list[Component]:
    packages = [
        dict(re.findall(r"^([A-Z][\w-]*): (.*)$", text, re.MULTILINE)) for text in status.split("\n\n") if text.strip()
    ]
    return [
        component("deb/debian", one["Package"], one["Version"], "required")
        for one in packages
        if "installed" in one["Status"]
    ]


def component(kind: str, name: str, version: str, scope: str) -> Component:
    """Return a component with its package URL."""
    purl = f"pkg:{kind}/{name.replace('@', '%40')}@{version.replace('+', '%2B')}"
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "scope": scope, "purl": purl}


def document(kind: str, version: str, components: list[Component]) -> str:
    """Return the document of a package. It is equal for equal components."""
    unique = {one["purl"]: one for one in components}
    listed = sorted(unique.values(), key=lambda one: str(one["purl"]))
    described = {
        "type": "container" if kind == "oci" else "application",
        "bom-ref": f"pkg:{kind}/bellcast@{version}",
        "name": "bellcast",
        "version": version,
        "purl": f"pkg:{kind}/bellcast@{version}",
        "licenses": [{"license": {"id": "Apache-2.0"}}],
    }
    content = {"metadata": {"component": described}, "components": listed}
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(content))
    head = {"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": f"urn:uuid:{serial}", "version": 1}
    return json.dumps(head | content, indent=1) + "\n"


def write(folder: Path, version: str) -> None:
    """Write a document for each package in the folder."""
    wheel = [*python_components(), *bundled_components()]
    documents = {"wheel": document("pypi", version, wheel), "npm": document("npm", version, npm_components())}
    archive = folder / f"bellcast-{version}-image.tar"
    if archive.exists():
        documents["image"] = document("oci", version, [*image_components(archive), *bundled_components()])
    for name, text in documents.items():
        (folder / f"bellcast-{version}-{name}.cdx.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]), metadata.version("bellcast"))
