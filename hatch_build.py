"""Build hook: adds the browser client, the example apps and the commit to packages. It never runs npm."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# Targets of the symbolic links in `src/bellcast`, which work in checkouts and editable installs only.
# `client/dist` exists once npm has built it. Without it the server serves `client/src`, which needs no build.
SOURCES = {
    "client/src": ("bellcast/browser/src", ("*.js",)),
    "client/dist": ("bellcast/browser/dist", ("*.js", "*.js.gz", "*.js.br")),
    "examples": ("bellcast/examples", ("*",)),
    "docs": ("bellcast/agents/pages", ("*.md",)),
}
IGNORED = {"node_modules", "__pycache__", ".gitignore", "server"}  # `server` is the npm package's client for servers
# The file in the package that names the commit; the wheel of an sdist has that of the sdist. `bellcast.build` reads it.
COMMIT = "COMMIT"


class PackageFilesHook(BuildHookInterface):  # type: ignore[misc]  # hatchling ships no types
    """Maps each file of SOURCES, and a file with the commit, to its path in the package."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files to a standard package. An editable install finds them through symbolic links, and its commit is not known."""
        if version == "editable":
            return
        root, included = Path(self.root), build_data["force_include"]
        self._written = Path(tempfile.mkdtemp())
        if commit := commit_of(root):
            (self._written / COMMIT).write_text(f"{commit}\n", encoding="utf-8")
            included[str(self._written / COMMIT)] = f"{'src/' if self.target_name == 'sdist' else ''}bellcast/{COMMIT}"
        if self.target_name == "wheel":
            for folder, (target, patterns) in SOURCES.items():
                for name in _names(root / folder, patterns):
                    included[str(root / folder / name)] = f"{target}/{name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was written."""
        if version != "editable":
            shutil.rmtree(self._written)


def commit_of(root: Path) -> str | None:
    """Return the commit of a checkout, such as `7ee7e95`, or `7ee7e95-dirty` with changes; elsewhere SOURCE_COMMIT. None if neither
    is known: in an sdist the file exists."""
    if not (root / ".git").exists():  # git would find the repository around an sdist
        return os.environ.get("SOURCE_COMMIT") or None
    command = ["git", "describe", "--always", "--dirty", "--abbrev=7", "--exclude=*"]
    try:
        described = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):  # no git, or the checkout of another user
        return os.environ.get("SOURCE_COMMIT") or None
    return described.strip()


def _names(folder: Path, patterns: tuple[str, ...]) -> Iterator[Path]:
    """The files of a folder that belong in a wheel, relative to it; none if the folder does not exist."""
    files = (file for pattern in patterns for file in sorted(folder.rglob(pattern)) if file.is_file())
    names = (file.relative_to(folder) for file in files)
    yield from (name for name in names if not IGNORED.intersection(name.parts))
