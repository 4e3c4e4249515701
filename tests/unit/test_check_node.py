"""The check of Node's version before npm runs."""

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "check_node.sh"


def check(tmp_path: Path, version: str | None) -> tuple[int, str]:
    """Run the check with a `node` that prints this version, or with none."""
    if version is not None:
        node = tmp_path / "node"
        node.write_text(f"#!/bin/sh\necho {version}\n")
        node.chmod(0o755)
    (tmp_path / "tr").symlink_to("/usr/bin/tr")
    done = subprocess.run(
        ["/bin/bash", SCRIPT], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("version", ["v20.0.0", "v22.11.0"])
def test_node_of_a_supported_version_is_accepted(tmp_path: Path, version: str) -> None:
    assert check(tmp_path, version) == (0, "")


@pytest.mark.parametrize(("version", "found"), [("v16.20.2", "16.20.2 at"), ("v8.1.0", "8.1.0 at"), (None, "none.")])
def test_old_or_missing_node_is_named_with_the_needed_version(tmp_path: Path, version: str | None, found: str) -> None:
    status, error = check(tmp_path, version)
    assert status == 1
    assert error.startswith(f"Node 20 or newer is needed; found {found}")
