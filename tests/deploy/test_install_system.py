"""scripts/install_system.sh checks the version of Node before anything is built with it, and waits for another installation."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "install_system.sh"


def install(folder: Path, purpose: str = "node", **programs: str) -> subprocess.CompletedProcess[str]:
    """Run the script with only these programs, each a shell script, and the system's basic programs."""
    for name in ("bash", "env", "grep", "sed", "seq", "chmod", "rm"):
        found = shutil.which(name)
        assert found
        (folder / name).symlink_to(found)
    for name, text in programs.items():
        program = folder / name.replace("_", "-")
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
    environ = os.environ | {"PATH": str(folder)}
    return subprocess.run([SCRIPT, purpose], env=environ, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("version", ["v20.0.0", "v24.11.1", "v100.0.0"])
def test_new_node_is_used(tmp_path: Path, version: str) -> None:
    done = install(tmp_path, npm="exit 1", node=f"echo {version}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("version", ["v18.20.4", "v9.0.0"])
def test_old_node_is_refused_with_the_required_version(tmp_path: Path, version: str) -> None:
    done = install(tmp_path, npm="exit 1", node=f"echo {version}")
    assert done.returncode == 1
    assert done.stderr.startswith(f"Node 20 or newer is needed, and the installed node is {version}.")


@pytest.mark.parametrize(("candidate", "installs"), [("18.20.4+dfsg-1~deb12u1", False), ("20.19.2+dfsg-1", True)])
def test_old_package_is_not_installed(tmp_path: Path, candidate: str, installs: bool) -> None:
    calls = tmp_path / "calls"
    done = install(
        tmp_path,
        apt_get=f'echo "$@" >>{calls}',
        apt_cache=f'echo "  Candidate: {candidate}"',
    )
    assert ("install" in calls.read_text().split()) == installs
    assert (done.returncode, "Node 20 or newer is needed" in done.stderr) == ((0, False) if installs else (1, True))


def test_many_fonts_are_found(tmp_path: Path) -> None:
    """A pipe that the reader closes at its first match ends the program that still writes."""
    calls = tmp_path / "calls"
    install(tmp_path, "engines", fc_list="seq 100000", apt_get=f'echo "$@" >>{calls}')
    assert "chromium" in calls.read_text().split()
    assert "fontconfig" not in calls.read_text().split()


def test_installation_waits_while_another_one_reads_the_lists(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    busy = f'echo "$@" >>{calls}; [ "$(grep -c update {calls})" -gt 2 ]'
    assert install(tmp_path, apt_get=busy, apt_cache='echo "  Candidate: 20.19.2"', sleep="").returncode == 0
    assert [line.split()[-1] for line in calls.read_text().splitlines()] == ["update", "update", "update", "npm"]


def test_installation_without_lists_fails(tmp_path: Path) -> None:
    done = install(tmp_path, apt_get="echo no network >&2; exit 100", sleep="")
    assert done.returncode == 1
    assert done.stderr == "no network\n" * 12
