"""The release workflow uses existing commands and files, and pinned actions. Only its publishing jobs may write, and these run on tags only."""

import json
import re
from pathlib import Path

import yaml
from scripts import image

import bellcast

ROOT = Path(__file__).parents[2]
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())
JOBS = WORKFLOW["jobs"]
PUBLISHING = {"pypi", "npm", "image", "files"}


def commands(job: str) -> str:
    return "\n".join(step["run"] for step in JOBS[job]["steps"] if "run" in step)


def actions(job: str) -> list[str]:
    return [step["uses"].partition(" ")[0] for step in JOBS[job]["steps"] if "uses" in step]


def test_make_targets_scripts_and_files_of_the_release_exist() -> None:
    targets = re.findall(r"\bmake ([\w-]+)$", commands("packages"), re.MULTILINE)
    assert targets == ["test-all", "package"]
    makefile = (ROOT / "Makefile").read_text()
    assert [target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []
    named = {path for job in JOBS for path in re.findall(r"(?<![\w/])(?:scripts|deploy|src)/[\w./-]+", commands(job))}
    assert {"deploy/helm/bellcast", "deploy/install.sh", "scripts/install_system.sh"} <= named
    assert [path for path in named if not (ROOT / path).exists()] == []
    assert "chart)" in (ROOT / "scripts" / "install_system.sh").read_text()


def test_actions_are_pinned() -> None:
    used = [action for job in JOBS for action in actions(job)]
    assert len(used) > 10
    assert [
        action for action in used if not re.fullmatch(r"[\w-]+/[\w-]+@(v\d[\w.]*|release/v\d+|[0-9a-f]{40})", action)
    ] == []


def test_run_without_a_tag_publishes_nothing() -> None:
    triggers = WORKFLOW[True]  # YAML 1.1 reads `on` as a boolean
    assert set(triggers) == {"push", "workflow_dispatch"}
    assert triggers["push"] == {"tags": ["v*"]}
    assert set(JOBS) == {"packages", *PUBLISHING}
    on_tags = {name for name in PUBLISHING if JOBS[name].get("if") == "github.ref_type == 'tag'"}
    assert PUBLISHING - on_tags == {"files"}
    assert set(JOBS["files"]["needs"]) == on_tags, "a job whose needs are skipped is skipped"
    assert "push" not in commands("packages")
    assert "publish" not in commands("packages")


def test_publishing_needs_tested_packages_and_an_approval() -> None:
    assert {JOBS[name]["environment"] for name in PUBLISHING} == {"release"}
    assert {JOBS[name]["needs"] for name in PUBLISHING - {"files"}} == {"packages"}
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert "permissions" not in JOBS["packages"]


def test_both_platforms_are_built_and_tested_on_their_own_machines() -> None:
    built = {one["platform"]: one["runner"] for one in JOBS["packages"]["strategy"]["matrix"]["include"]}
    assert built == {"amd64": "ubuntu-24.04", "arm64": "ubuntu-24.04-arm"}
    (pushed,) = re.findall(r"for platform in ([\w ]+);", commands("image"))
    assert pushed.split() == list(built)
    (package,) = [step for step in JOBS["packages"]["steps"] if step.get("run") == "make package"]
    assert "if" not in package


def test_published_image_is_the_tested_one() -> None:
    text = commands("image")
    assert "docker load --input built/packages-$platform/*-image.tar\n" in text
    tag = image.tag_of("$version").removeprefix("docker.io/library/")
    assert f'docker tag "{tag}" "$image:$version-$platform"' in text
    assert " build " not in text


def test_packages_have_attestations_of_their_origin_and_their_contents() -> None:
    for job in ("image", "files"):
        assert {action.partition("@")[0] for action in actions(job)} >= {
            "actions/attest-build-provenance",
            "actions/attest-sbom",
        }
        assert JOBS[job]["permissions"]["attestations"] == JOBS[job]["permissions"]["id-token"] == "write"
    documents = set(re.findall(r"\*-(\w+)\.cdx\.json", commands("image") + commands("files")))
    assert documents == {"wheel", "npm", "image"}


def test_npm_publishes_the_file() -> None:
    (published,) = re.findall(r"npm publish (\S+)", commands("npm"))
    assert published.startswith("./"), "npm reads dist/x.tgz as the repository x.tgz of dist on GitHub"


def test_python_and_npm_packages_have_the_same_version() -> None:
    assert json.loads((ROOT / "client" / "package.json").read_text())["version"] == bellcast.__version__
