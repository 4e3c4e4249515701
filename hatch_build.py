"""Build hook: adds the browser client and the example apps to wheels. It never runs npm."""

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


class BrowserFilesHook(BuildHookInterface):  # type: ignore[misc]  # hatchling ships no types
    """Maps each file of SOURCES to its path in the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files to a standard wheel; an editable install finds them through symbolic links."""
        if version == "editable":
            return
        root = Path(self.root)
        for folder, (target, patterns) in SOURCES.items():
            for name in _names(root / folder, patterns):
                build_data["force_include"][str(root / folder / name)] = f"{target}/{name}"


def _names(folder: Path, patterns: tuple[str, ...]) -> Iterator[Path]:
    """The files of a folder that belong in a wheel, relative to it; none if the folder does not exist."""
    files = (file for pattern in patterns for file in sorted(folder.rglob(pattern)) if file.is_file())
    names = (file.relative_to(folder) for file in files)
    yield from (name for name in names if not IGNORED.intersection(name.parts))
