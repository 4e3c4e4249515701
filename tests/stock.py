"""Stock libraries of npm for tests, each folder's from its lock."""

import fcntl
import subprocess
from pathlib import Path

WITHIN = 240  # seconds; a slow line needs ten


def installed(folder: Path) -> Path:
    """Where a folder's libraries are; installed if they are not there. Tests run side by side: one installs, others wait."""
    libraries = folder / "node_modules"
    with (folder / "package-lock.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (libraries / ".package-lock.json").exists():  # npm writes it when all is there
            subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=folder, check=True, timeout=WITHIN)
    return libraries
