"""The files of deploy/: the files, settings and commands they name exist.

tests/package/test_image.py runs the image that `make package` builds.
"""

import configparser
import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import typer
import yaml
from scripts import image

from bellcast import cli
from bellcast.kernel.errors import SettingsError
from bellcast.settings import load, table

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
VARIABLES = {setting.variable for setting in table.TABLE}


def read(name: str) -> str:
    return (DEPLOY / name).read_text(encoding="utf-8")


def steps() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile with their arguments."""
    text = re.sub(r"^#.*\n", "", read("Dockerfile"), flags=re.MULTILINE).replace("\\\n", " ")
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in text.splitlines() if line)]


def stages() -> list[list[tuple[str, str]]]:
    stages_found: list[list[tuple[str, str]]] = []
    for word, rest in steps():
        if word == "ARG" and not stages_found:
            continue
        if word == "FROM":
            stages_found.append([])
        stages_found[-1].append((word, rest))
    return stages_found


def arguments() -> list[str]:
    """Return the names and defaults of the base images."""
    return [rest for word, rest in steps() if word == "ARG" and "_IMAGE=" in rest]


@pytest.mark.parametrize("name", [path.name for path in sorted(DEPLOY.iterdir()) if path.is_file()])
def test_deployment_file_names_existing_settings_only(name: str) -> None:
    named = set(re.findall(r"\bBELLCAST_[A-Z_]+\b", read(name)))
    assert named - VARIABLES == set()


def test_image_copies_files_that_exist_and_are_not_ignored() -> None:
    ignored = read("Dockerfile.dockerignore").splitlines()
    copied = [rest.split()[:-1] for word, rest in steps() if word == "COPY" and not rest.startswith("--from")]
    paths = [path for some in copied for path in some]
    assert len(paths) >= 8
    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert [path for path in paths if f"!{path.partition('/')[0]}" not in ignored] == []


def test_image_copies_the_targets_of_symbolic_links() -> None:
    links = [path for path in (ROOT / "src").rglob("*") if path.is_symlink()]
    needed = {str(path.resolve().relative_to(ROOT)) for path in links}
    package = next(stage for stage in stages() if stage[0][1].endswith("AS package"))
    copied = {rest.split()[-1].strip("./") for word, rest in package if word == "COPY"}
    assert needed
    assert needed - copied == set()


def test_image_copies_the_build_hook_of_the_package() -> None:
    hook = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["hooks"]
    package = next(stage for stage in stages() if stage[0][1].endswith("AS package"))
    copied = [name for word, rest in package if word == "COPY" for name in rest.split()[:-1]]
    assert hook["custom"]["path"] in copied


def test_base_images_are_arguments_that_can_be_made_of_debian_packages() -> None:
    names = [argument.partition("=")[0] for argument in arguments()]
    assert {rest.split()[0] for word, rest in steps() if word == "FROM"} == {f"${{{name}}}" for name in names}
    assert set(names) == set(image.PACKAGES)


def test_stages_are_named_exactly_as_copied_from() -> None:
    named = {rest.split()[-1] for word, rest in steps() if word == "FROM" and " AS " in rest}
    assert {re.match(r"--from=(\w+)", rest)[1] for word, rest in steps() if rest.startswith("--from")} == named


def test_image_is_slim_and_runs_as_an_unprivileged_user() -> None:
    last = stages()[-1]
    assert last[0] == ("FROM", "${PYTHON_IMAGE}")
    assert dict(argument.split("=") for argument in arguments())["PYTHON_IMAGE"].endswith("-slim")
    instructions = dict(last)
    assert int(instructions["USER"]) > 0
    assert f"--uid {instructions['USER']} " in instructions["RUN"]
    order = [word for word, _ in last]
    assert order.index("USER") < order.index("ENTRYPOINT")


def test_pinned_versions_of_the_image_are_those_of_the_lock() -> None:
    (pattern,) = re.findall(r"grep -oE '(.+?)'", read("Dockerfile"))
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pinned = [re.match(pattern, line)[0] for line in lock.splitlines() if re.match(pattern, line)]
    assert {"uvicorn", "asyncpg", "redis"} <= {line.partition("==")[0] for line in pinned}
    assert len(pinned) == len(re.findall(r"^\S+==", lock, re.MULTILINE))


def test_health_check_distinguishes_a_server_from_none(bellcast_server) -> None:
    (health_check,) = [rest for word, rest in steps() if word == "HEALTHCHECK"]
    _, *arguments = json.loads(health_check[health_check.index("[") :])
    alive = [sys.executable, *arguments]
    for port, status in ((bellcast_server.port, 0), (9, 1)):
        environ = {"BELLCAST_PORT": str(port), "http_proxy": "http://127.0.0.1:9"}  # is not there
        completed = subprocess.run(alive, env=environ, capture_output=True, timeout=100)
        assert completed.returncode == status


def commands() -> Iterator[list[str]]:
    """Yield the commands in the files that start Bellcast."""
    instructions = dict(stages()[-1])
    yield json.loads(instructions["ENTRYPOINT"]) + json.loads(instructions["CMD"])
    yield ["bellcast", *shlex.split(unit()["Service"]["ExecStart"])[1:]]


def test_started_commands_exist_with_their_options() -> None:
    root = typer.main.get_command(cli.app)
    for program, *words in commands():
        assert program == "bellcast"
        root.get_command(None, words[0]).make_context(words[0], words[1:])  # raises for an unknown option


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read_string(read("bellcast.service"))
    return parser


def test_unit_is_hardened_and_waits_for_a_graceful_exit() -> None:
    service = unit()["Service"]
    for name in ("NoNewPrivileges", "PrivateTmp", "ProtectHome", "MemoryDenyWriteExecute", "DynamicUser"):
        assert service[name] == "yes"
    assert service["ProtectSystem"] == "strict"
    assert service["CapabilityBoundingSet"] == ""
    assert (
        float(service["TimeoutStopSec"]) > load({}, {}).server.drain + 11
    )  # the last request may take the additional seconds
    # glibc reads limits with prlimit, which @resources would refuse.
    assert "@resources" not in read("bellcast.service")


@pytest.mark.parametrize("broken_line", [None, "Restart=always"])
def test_unit_is_valid_for_systemd(tmp_path, broken_line) -> None:
    program_path = str(Path(sys.executable).with_name("bellcast"))
    text = read("bellcast.service").replace("ExecStart=/opt/bellcast/current/bin/bellcast", f"ExecStart={program_path}")
    copy = tmp_path / "bellcast.service"
    copy.write_text(text.replace(broken_line, "Restart=perhaps") if broken_line else text)
    completed = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, timeout=100)
    # It exits with 0 even for an invalid value.
    assert (completed.returncode, "perhaps" in completed.stderr) == (0, broken_line is not None)
    assert bool(completed.stderr) == bool(broken_line)


def test_unit_has_the_documented_exposure_level() -> None:
    command = ["systemd-analyze", "security", "--offline=true", DEPLOY / "bellcast.service"]
    completed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    (level,) = re.findall(r"exposure level for bellcast.service: ([\d.]+) (\w+)", completed.stdout)
    assert f'rates it {level[0]}, "{level[1]}"' in (ROOT / "docs" / "howto" / "deploy.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def compose() -> dict:
    return yaml.safe_load(read("compose.yaml"))


def test_services_depend_on_healthy_services_with_health_checks(compose) -> None:
    services = compose["services"]
    assert set(services) == {"caddy", "bellcast", "postgres", "redis"}
    for service in services.values():
        for name, how in service.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}
            assert "healthcheck" in services[name] or name == "bellcast"  # the image of bellcast has one


def test_volumes_and_files_of_the_services_exist(compose) -> None:
    for service in compose["services"].values():
        for source, *_ in (volume.split(":") for volume in service.get("volumes", [])):
            assert (DEPLOY / source).exists() if source.startswith(".") else source in compose["volumes"]
    build = compose["services"]["bellcast"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).resolve() == DEPLOY / "Dockerfile"


def test_node_environment_starts_a_server(compose) -> None:
    example = dict(line.split("=", 1) for line in read("example.env").splitlines() if "=" in line and line[0] != "#")
    variables = set(re.findall(r"\$\{(\w+)", read("compose.yaml")))
    assert variables == set(example)
    node = compose["services"]["bellcast"]
    environ = {
        name: re.sub(r"\$\{(\w+)[^}]*\}", lambda m: example[m[1]], value) for name, value in node["environment"].items()
    }
    with pytest.raises(SettingsError, match="BELLCAST_PROJECT"):  # one in the file would be public
        load({}, environ)
    settings = load({}, environ | {"BELLCAST_PROJECT": f"{environ['BELLCAST_PROJECT']}{'s' * 64}"})
    assert settings.channels.public_url == f"https://{example['DOMAIN']}"
    hosts = {urlsplit(url).hostname for url in (settings.store.url, settings.store.broker)}
    assert hosts <= set(compose["services"])
    (subnet,) = compose["networks"]["default"]["ipam"]["config"]
    assert settings.server.trusted_proxies == (subnet["subnet"],)
    assert float(node["stop_grace_period"].rstrip("s")) >= settings.server.drain + 15


def test_proxies_close_idle_connections_before_bellcast() -> None:
    keep_alive = load({}, {}).server.keep_alive
    for name, option in (("nginx.conf", "keepalive_timeout"), ("Caddyfile", "keepalive")):
        (seconds,) = re.findall(rf"^\s*{option} (\d+)s\b", read(name), re.MULTILINE)
        assert float(seconds) < keep_alive


def test_caddy_connects_to_the_port_of_the_image(compose) -> None:
    instructions = " ".join(rest for word, rest in stages()[-1] if word in ("ENV", "EXPOSE"))
    assert "BELLCAST_PORT=8787" in instructions
    assert "dynamic a bellcast 8787" in read("Caddyfile")
    assert "{$DOMAIN}" in read("Caddyfile")
    assert "DOMAIN" in compose["services"]["caddy"]["environment"]
    assert read("Caddyfile").count("{") == read("Caddyfile").count("}")
