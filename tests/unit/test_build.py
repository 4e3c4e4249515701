"""The version names the build: equal for equal code however it is installed, and different after any change."""

import re
import runpy
import shutil
import subprocess
import sys
import types
from pathlib import Path

import bellcast
from bellcast import build

ROOT = Path(__file__).parents[2]
PACKAGE = Path(bellcast.__file__).parent


def version_of(installed: Path) -> str:
    script = "from bellcast import build; print(build.version())"
    environ = {"PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-c", script], env=environ, cwd=installed, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_name_has_the_commit_that_the_build_wrote(tmp_path: Path) -> None:
    shutil.copy(PACKAGE / "build.py", tmp_path)
    script = "import build; print(build.name(), build.commit())"

    def shown() -> str:
        command = [sys.executable, "-c", script]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    assert re.fullmatch(rf"{bellcast.__version__}\+[0-9a-f]{{8}} None\n", shown())
    (tmp_path / "COMMIT").write_text("7ee7e95\n")
    assert shown() == f"{bellcast.__version__} (7ee7e95) 7ee7e95\n"


def test_commit_of_a_checkout_is_that_of_git_and_of_an_sdist_that_of_its_build(tmp_path: Path, monkeypatch) -> None:
    hook = types.ModuleType("hatchling.builders.hooks.plugin.interface")
    monkeypatch.setattr(hook, "BuildHookInterface", object, raising=False)  # the build installs hatchling
    monkeypatch.setitem(sys.modules, hook.__name__, hook)
    commit_of = runpy.run_path(str(ROOT / "hatch_build.py"))["commit_of"]
    assert commit_of(tmp_path) is None
    monkeypatch.setenv("SOURCE_COMMIT", "0123abc")
    assert commit_of(tmp_path) == "0123abc"
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    for command in (["init", "--quiet"], ["add", "."], [*identity, "commit", "--quiet", "--message=First"]):
        (tmp_path / "file").touch()
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    assert re.fullmatch("[0-9a-f]{7}", commit_of(tmp_path))
    (tmp_path / "file").write_text("changed")
    assert commit_of(tmp_path).endswith("-dirty")


def test_version_differs_between_two_builds_only(tmp_path: Path) -> None:
    copy = tmp_path / "bellcast"
    # Like a wheel, with the example apps. The built client may be missing.
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"), ignore_dangling_symlinks=True)
    assert not (copy / "examples").is_symlink()
    assert version_of(tmp_path) == build.version()
    assert build.version().startswith(f"{bellcast.__version__}+")
    (copy / "workflows" / "runs.sql").write_text("-- changed\n")
    assert version_of(tmp_path) != build.version()
