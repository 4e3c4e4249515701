"""npm packages for tests, installed from each folder's lock file."""

import fcntl
import subprocess
from pathlib import Path

INSTALL_TIMEOUT = 240  # seconds; a slow network needs ten


def installed(folder: Path) -> Path:
    """Return a folder's `node_modules`, installing it if necessary. A lock lets only one of several parallel tests install."""
    libraries = folder / "node_modules"
    with (folder / "package-lock.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (libraries / ".package-lock.json").exists():  # npm writes this file last
            subprocess.run(
                ["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=folder, check=True, timeout=INSTALL_TIMEOUT
            )
    return libraries
