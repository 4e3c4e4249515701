"""The release workflow uses existing commands, and only its publishing jobs may write. It runs on tags only."""

import json
import re
from pathlib import Path

import yaml
from scripts import image

import bellcast

ROOT = Path(__file__).parents[2]
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())
JOBS = WORKFLOW["jobs"]


def commands(job: str) -> str:
    return "\n".join(step["run"] for step in JOBS[job]["steps"] if "run" in step)


def test_make_targets_of_the_release_exist() -> None:
    targets = re.findall(r"\bmake ([\w-]+)$", commands("packages"), re.MULTILINE)
    assert targets == ["test-all", "package"]
    makefile = (ROOT / "Makefile").read_text()
    assert [target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []


def test_publishing_needs_tested_packages_and_an_approval() -> None:
    publishing = {name: job for name, job in JOBS.items() if name != "packages"}
    assert set(publishing) == {"pypi", "npm", "image"}
    assert {(job["needs"], job["environment"]) for job in publishing.values()} == {("packages", "release")}
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert "permissions" not in JOBS["packages"]


def test_published_image_is_the_tested_one() -> None:
    text = commands("image")
    assert "docker load --input dist/*-image.tar\n" in text
    assert f'docker tag "{image.tag_of("${GITHUB_REF_NAME#v}").removeprefix("docker.io/library/")}" "$image"' in text
    assert " build " not in text


def test_python_and_npm_packages_have_the_same_version() -> None:
    assert json.loads((ROOT / "client" / "package.json").read_text())["version"] == bellcast.__version__
