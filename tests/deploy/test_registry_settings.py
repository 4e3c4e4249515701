"""The image build receives this machine's pip and npm settings for their registries as secrets."""

import os
from pathlib import Path

import pytest
from scripts import image, registry_settings
from scripts.container_builders import Docker

PIP = """[global]
index-url = https://reader:word@pip.corp.example/simple
extra-index-url =
    https://one.corp.example/simple
    https://two.corp.example/simple
find-links =
    /opt/wheels
    https://wheels.corp.example/
cache-dir = /var/cache/pip
[install]
trusted-host = pip.corp.example
[list]
timeout = 1
"""
NPM = """; settings
registry = https://npm.corp.example/
@corp:registry=https://corp.example/
//npm.corp.example/:_authToken=${NPM_TOKEN}
prefix=/opt/npm
"""


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """Secrets of the build by their id."""
    (tmp_path / "pip.conf").write_text(PIP)
    (tmp_path / ".npmrc").write_text(NPM)
    (tmp_path / "authority.pem").write_text("AUTHORITY")
    for name in [name for name in os.environ if name.lower().startswith(("pip_", "npm_config_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.setenv("PIP_RETRIES", "7")
    monkeypatch.setenv("npm_config_userconfig", str(tmp_path / ".npmrc"))
    monkeypatch.setenv("npm_config_fetch_retries", "9")
    monkeypatch.setenv("NPM_TOKEN", "secret-token")
    monkeypatch.setenv("NODE_EXTRA_CA_CERTS", str(tmp_path / "authority.pem"))
    folder = tmp_path / "secrets"
    folder.mkdir()
    options = registry_settings.build_options(folder)
    assert options[::2] == ["--secret"] * 3
    pairs = [dict(part.split("=", 1) for part in option.split(",")) for option in options[1::2]]
    return {pair["id"]: Path(pair["src"]).read_text() for pair in pairs}


def test_pip_gets_its_indexes_and_no_folders(secrets: dict[str, str]) -> None:
    lines = secrets["pip.conf"].splitlines()
    assert lines[0] == "[global]"
    assert "index-url = https://reader:word@pip.corp.example/simple" in lines
    assert (
        "extra-index-url = https://one.corp.example/simple\n    https://two.corp.example/simple\n"
        in secrets["pip.conf"]
    )
    assert {"find-links = https://wheels.corp.example/", "trusted-host = pip.corp.example", "retries = 7"} <= set(lines)
    assert "cache-dir" not in secrets["pip.conf"]
    assert "timeout = 1" not in lines


def test_npm_gets_its_registries_and_tokens_and_no_folders(secrets: dict[str, str]) -> None:
    lines = secrets["npmrc"].splitlines()
    assert {"registry=https://npm.corp.example/", "@corp:registry=https://corp.example/", "fetch-retries=9"} <= set(
        lines
    )
    assert "//npm.corp.example/:_authToken=secret-token" in lines
    assert "prefix" not in secrets["npmrc"]


def test_build_trusts_the_certificate_authorities_of_the_machine(secrets: dict[str, str]) -> None:
    assert "AUTHORITY" in secrets["certificates"]
    assert f"cert = {registry_settings.CERTIFICATES}" in secrets["pip.conf"].splitlines()
    assert f"cafile={registry_settings.CERTIFICATES}" in secrets["npmrc"].splitlines()


class Registry(Docker):
    """A registry with only these images."""

    def __init__(self, *images: str) -> None:
        super().__init__("docker")
        self.images = images

    def pull(self, image: str) -> str:
        return "" if any(name in image for name in self.images) else "no such host"


def test_base_images_are_used_if_all_can_be_pulled(tmp_path: Path) -> None:
    assert image.base_options(Registry("/python:", "/node:"), tmp_path) == []


def test_base_images_are_made_of_debian_packages_if_one_cannot_be_pulled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(image, "make_base", lambda _builder, _work, name: f"made-{name}")
    options = image.base_options(Registry("/python:"), tmp_path)
    assert options == ["--build-arg", "PYTHON_IMAGE=made-PYTHON_IMAGE", "--build-arg", "NODE_IMAGE=made-NODE_IMAGE"]
    (line,) = capsys.readouterr().out.splitlines()
    assert line == (
        "docker.io/library/node:22-slim cannot be pulled: the bases are made of packages of Debian 13. (no such host)"
    )
