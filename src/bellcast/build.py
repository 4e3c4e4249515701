"""The version of this build, which differs between two commits of one version, however the package was installed."""

import hashlib
from functools import cache
from pathlib import Path

__version__ = "0.1.0"

# In a checkout these are symbolic links.
NOT_SERVER = ("browser", "examples")


@cache
def version() -> str:
    """Return the version and a digest of the server's code, such as `0.1.0+5f0c2a1b`. Takes 50 ms once."""
    root, digest = Path(__file__).parent, hashlib.sha256()
    files = [file for pattern in ("*.py", "*.sql", "*.lua") for file in root.rglob(pattern)]
    for name, file in sorted((file.relative_to(root).as_posix(), file) for file in files):
        if not name.startswith(NOT_SERVER):
            digest.update(name.encode() + b"\0" + file.read_bytes())
    return f"{__version__}+{digest.hexdigest()[:8]}"
