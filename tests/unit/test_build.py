"""The version names the build: equal for equal code however it is installed, and different after any change."""

import shutil
import subprocess
import sys
from pathlib import Path

import bellcast
from bellcast import build

PACKAGE = Path(bellcast.__file__).parent


def version_of(installed: Path) -> str:
    script = "from bellcast import build; print(build.version())"
    environ = {"PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-c", script], env=environ, cwd=installed, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_version_differs_between_two_builds_only(tmp_path: Path) -> None:
    copy = tmp_path / "bellcast"
    # Like a wheel, with the example apps. The built client may be missing.
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"), ignore_dangling_symlinks=True)
    assert not (copy / "examples").is_symlink()
    assert version_of(tmp_path) == build.version()
    assert build.version().startswith(f"{bellcast.__version__}+")
    (copy / "workflows" / "store" / "runs.sql").write_text("-- changed\n")
    assert version_of(tmp_path) != build.version()
