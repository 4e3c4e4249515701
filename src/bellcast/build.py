"""The version of this build, which differs between two commits of one version, however the package was installed."""

import hashlib
import os
from functools import cache
from pathlib import Path

__version__ = "0.1.0"

# In a checkout these are symbolic links.
NOT_SERVER = ("browser", "examples")
CODE = (".py", ".sql", ".lua")
# `hatch_build.py` writes it into packages.
COMMIT = Path(__file__).with_name("COMMIT")


@cache
def commit() -> str | None:
    """Return the commit that the package was built from, such as `7ee7e95`, None if it is not known, as in a checkout."""
    return COMMIT.read_text(encoding="utf-8").strip() if COMMIT.exists() else None


def name() -> str:
    """Return the version and the commit, such as `0.1.0 (7ee7e95)`. Without a commit, return `version`."""
    return label(__version__ if commit() else version(), commit())


def label(version: str, commit: str | None) -> str:
    """Return what names a build: its version, and its commit if that is known."""
    return f"{version} ({commit})" if commit else version


@cache
def version() -> str:
    """Return the version and a digest of the server's code, such as `0.1.0+5f0c2a1b`. Takes 20 ms once."""
    root, digest = str(Path(__file__).parent), hashlib.sha256()
    files = (f"{folder}/{name}" for folder, _, names in os.walk(root) for name in names)  # half the time of `rglob`
    for name in sorted(file[len(root) + 1 :] for file in files):
        if name.endswith(CODE) and not name.startswith(NOT_SERVER):
            digest.update(name.encode() + b"\0" + Path(root, name).read_bytes())
    return f"{__version__}+{digest.hexdigest()[:8]}"
