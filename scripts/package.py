"""Builds the packages: `python -m scripts.package FOLDER` writes sdist, wheel, npm tarball, container image and what they contain to the
folder, and with `npm` or `wheel` only one of them, which needs no system packages."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import bellcast

ROOT = Path(__file__).parent.parent
CLIENT = ROOT / "client"


def build_python(source: Path, folder: Path, *formats: str) -> None:
    """Build the Python packages of a source tree. Without formats: the sdist, and the wheel from the sdist."""
    uv = str(Path(sys.executable).with_name("uv"))
    command = [uv, "build", "--python", sys.executable, "--out-dir", str(folder), *formats, str(source)]
    subprocess.run(command, check=True)


def build_npm(folder: Path) -> None:
    """Pack the built browser client with the licence, which is outside of npm's folder."""
    if not (CLIENT / "dist" / "bellcast.js").is_file():
        raise SystemExit("client/dist is missing: run `npm ci && npm run build` in client/ first")
    with tempfile.TemporaryDirectory() as staged:
        for file in (CLIENT / "package.json", CLIENT / "README.md", ROOT / "LICENSE"):
            shutil.copy(file, staged)
        for name in ("dist", "dist-server"):
            shutil.copytree(CLIENT / name, Path(staged) / name)
        # The build is done; the package's `prepack` would run it again.
        command = ["npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", str(folder.resolve())]
        subprocess.run(command, cwd=staged, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    """Empty the folder and build all packages, or add one to it."""
    folder, only = Path(sys.argv[1]), sys.argv[2:]
    if not only:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    if only != ["npm"]:
        build_python(ROOT, folder, *(["--wheel"] if only else []))
    if only != ["wheel"]:
        build_npm(folder)
    if not only:
        # `make wheel` and `make npm` run with the packages of `make demo`, which these modules do not have.
        from scripts import image, sbom

        image.build_image(folder, bellcast.__version__)
        sbom.write(folder, bellcast.__version__)
    for file in sorted(folder.glob("[!.]*")):
        print(f"{file}  {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
