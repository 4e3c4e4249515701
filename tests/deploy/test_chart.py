"""The Helm chart: its values, their schema and its templates agree; what it makes of six files of values is valid for Kubernetes."""

import copy
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

import bellcast
from bellcast.settings import load, table

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "bellcast"
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
EXAMPLES = sorted((CHART / "ci").glob("*-values.yaml"))
TEMPLATES = {file.name: file.read_text() for file in sorted((CHART / "templates").iterdir())}
# The Go module with the OpenAPI document of Kubernetes: its schemas have the version that users of the chart have.
KUBERNETES = "k8s.io/kubernetes@v1.34.2"
# Seconds. The first test builds Helm and kubeconform, which takes more than four minutes on two busy processors.
BUILD_TIMEOUT = 1_200
HELM_TEMPLATE = ("helm", "template", "bellcast", str(CHART))
# Objects whose properties are not fixed, such as the labels of metadata, have this key or no properties.
OPEN = {"additionalProperties", "x-kubernetes-preserve-unknown-fields"}
# The Prometheus operator has no document of OpenAPI: what the chart uses of it.
SERVICE_MONITOR = {
    "type": "object",
    "additionalProperties": False,
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "apiVersion": {"const": "monitoring.coreos.com/v1"},
        "kind": {"const": "ServiceMonitor"},
        "metadata": {"type": "object"},
        "spec": {
            "type": "object",
            "additionalProperties": False,
            "required": ["selector", "endpoints"],
            "properties": {
                "jobLabel": {"type": "string"},
                "selector": {"type": "object", "required": ["matchLabels"]},
                "endpoints": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "additionalProperties": False,
                        "properties": {name: {"type": "string"} for name in ("port", "path", "interval")},
                    },
                },
            },
        },
    },
}


def merged(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return the values that Helm passes to the templates: the chart's, with the changes of a file."""
    result = copy.deepcopy(values)
    for name, value in changes.items():
        is_object = isinstance(value, dict) and isinstance(result.get(name), dict)
        result[name] = merged(result[name], value) if is_object else value
    return result


def is_valid(changes: dict[str, Any]) -> bool:
    return bool(jsonschema.Draft7Validator(SCHEMA).is_valid(merged(VALUES, changes)))


def test_six_files_of_values_are_valid_and_name_existing_settings() -> None:
    assert is_valid({})
    assert len(EXAMPLES) == 6
    known = {setting.variable for setting in table.TABLE}
    for file in EXAMPLES:
        values = yaml.safe_load(file.read_text())
        assert is_valid(values), file
        assert set(values.get("settings", ())) <= known


@pytest.mark.parametrize(
    "changes",
    [
        {"replica": 3},
        {"ingress": {"enable": True}},
        {"store": "postgres", "existingSecret": "bellcast"},
        {"settings": {"PUBLIC_URL": "https://bell.example.com"}},
        {"settings": {"BELLCAST_DRAIN": "60s"}},
        {"podDisruptionBudget": {"maxUnavailable": "half"}},
        {"drain": "10s"},
    ],
)
def test_wrong_value_is_refused(changes: dict[str, Any]) -> None:
    assert not is_valid(changes)


def test_schema_has_exactly_the_values_of_the_chart() -> None:
    def names(schema: dict[str, Any], prefix: str = "") -> Iterator[str]:
        for name, inner in schema.get("properties", {}).items():
            yield prefix + name
            yield from names(inner, f"{prefix}{name}.")

    def keys(values: dict[str, Any], schema: dict[str, Any], prefix: str = "") -> Iterator[str]:
        for name, value in values.items():
            yield prefix + name
            inner = schema.get("properties", {}).get(name, {})
            if isinstance(value, dict) and "properties" in inner:
                yield from keys(value, inner, f"{prefix}{name}.")

    assert set(names(SCHEMA)) - {"global"} == set(keys(VALUES, SCHEMA))


def test_templates_use_every_value_and_no_other() -> None:
    used = {name for text in TEMPLATES.values() for name in re.findall(r"\.Values\.([\w.]+)", text)}

    def leaves(schema: dict[str, Any], prefix: str = "") -> Iterator[str]:
        for name, inner in schema["properties"].items():
            yield from (
                leaves(inner, f"{prefix}{name}.") if "properties" in inner and name != "resources" else [prefix + name]
            )

    assert used == set(leaves(SCHEMA)) - {"global"}


def test_defaults_of_the_chart_are_those_of_the_server() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == bellcast.__version__
    assert VALUES["drain"] == load({}, {}).server.drain


def test_values_have_a_description_and_a_page() -> None:
    page = (ROOT / "docs" / "howto" / "deploy.md").read_text()
    assert [file.name for file in EXAMPLES if f"ci/{file.name}" not in page] == []


def run(*command: str, is_refused: bool = False) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode != 0) is is_refused, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def programs() -> None:
    """Helm and kubeconform, built from their Go modules if they are missing: minutes of processor time."""
    run(str(ROOT / "scripts" / "install_system.sh"), "chart")


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a strict schema per kind, made of the OpenAPI document of Kubernetes."""
    folder = tmp_path_factory.mktemp("schemas")
    downloaded = json.loads(run("go", "mod", "download", "-json", KUBERNETES))["Dir"]
    document = json.loads((Path(downloaded) / "api" / "openapi-spec" / "swagger.json").read_text())
    definitions = document["definitions"]
    for name, definition in definitions.items():
        if "properties" in definition and not OPEN & definition.keys():
            definition["additionalProperties"] = False
        if definition.get("format") == "int-or-string":
            definition["type"] = ["string", "integer"]
        if name.endswith("api.resource.Quantity"):
            definition["type"] = ["string", "number"]
    text = json.dumps({"definitions": definitions}).replace('"#/definitions/', '"_definitions.json#/definitions/')
    (folder / "_definitions.json").write_text(text)
    for name, definition in definitions.items():
        for kind in definition.get("x-kubernetes-group-version-kind", ()):
            group = f"{kind['group'].partition('.')[0]}-" if kind["group"] else ""
            file = folder / f"{kind['kind'].lower()}-{group}{kind['version']}.json"
            file.write_text(json.dumps({"$ref": f"_definitions.json#/definitions/{name}"}))
    (folder / "servicemonitor-monitoring-v1.json").write_text(json.dumps(SERVICE_MONITOR))
    return folder


@pytest.mark.thorough
@pytest.mark.parametrize("file", [CHART / "values.yaml", *EXAMPLES], ids=lambda file: file.name)
@pytest.mark.timeout(BUILD_TIMEOUT)
@pytest.mark.usefixtures("programs")
def test_objects_of_the_chart_are_valid_for_kubernetes(schemas: Path, tmp_path: Path, file: Path) -> None:
    run("helm", "lint", "--strict", str(CHART), "--values", str(file))
    rendered = tmp_path / "objects.yaml"
    rendered.write_text(run(*HELM_TEMPLATE, "--values", str(file)))
    location = f"{schemas}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json"
    summary = run("kubeconform", "-strict", "-summary", "-schema-location", location, str(rendered))
    objects = [one for one in yaml.safe_load_all(rendered.read_text()) if one]
    assert f"Valid: {len(objects)}, Invalid: 0, Errors: 0, Skipped: 0" in summary

    values = merged(VALUES, yaml.safe_load(file.read_text()))
    server = next(one for one in objects if one["kind"] in ("StatefulSet", "Deployment"))
    is_sqlite = values["store"] == "sqlite"
    assert (server["kind"], server["spec"].get("replicas")) == (
        ("StatefulSet", 1)
        if is_sqlite
        else ("Deployment", None if values["autoscaling"]["enabled"] else values["replicas"])
    )
    pod = server["spec"]["template"]["spec"]
    assert pod["enableServiceLinks"] is False
    assert pod["terminationGracePeriodSeconds"] == values["drain"] + 15
    assert pod["securityContext"]["runAsUser"] == 10001
    (container,) = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/data", "/tmp"}
    environ = {one["name"]: one["value"] for one in container["env"]}
    read = load({}, environ)
    assert read.server.drain == values["drain"]
    assert read == load(
        {},
        {name: str(value) for name, value in (values["settings"] | {"BELLCAST_DRAIN": f"{values['drain']}s"}).items()},
    )
    assert ("envFrom" in container) is not is_sqlite
    optional = {
        "Ingress": values["ingress"],
        "HorizontalPodAutoscaler": values["autoscaling"],
        "PodDisruptionBudget": values["podDisruptionBudget"],
        "NetworkPolicy": values["networkPolicy"],
        "ServiceMonitor": values["serviceMonitor"],
    }
    for monitor in [one for one in objects if one["kind"] == "ServiceMonitor"]:  # the alerts name the job
        (service,) = [one for one in objects if one["kind"] == "Service"]
        job = service["metadata"]["labels"][monitor["spec"]["jobLabel"]]
        assert f'up{{job="{job}"}}' in (ROOT / "deploy" / "alerts.yml").read_text()
    kinds = {kind for kind, value in optional.items() if value["enabled"]}
    assert sorted(one["kind"] for one in objects) == sorted({server["kind"], "Service", *kinds})


@pytest.mark.thorough
@pytest.mark.timeout(BUILD_TIMEOUT)
@pytest.mark.usefixtures("programs")
def test_typo_in_the_values_or_in_an_object_is_refused(schemas: Path, tmp_path: Path) -> None:
    reasons = {
        "replica=3": "'replica' not allowed",
        "store=postgresql": "existingSecret is empty: with store postgresql, set it to the name of a Secret",
        "autoscaling.enabled=true": "set store to postgresql, or disable autoscaling",
    }
    for value, reason in reasons.items():
        assert reason in run(*HELM_TEMPLATE, "--set", value, is_refused=True)
    broken = tmp_path / "objects.yaml"
    text = run(*HELM_TEMPLATE)
    broken.write_text(text.replace("enableServiceLinks:", "enableServiceLink:"))
    location = f"{schemas}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json"
    assert "enableServiceLink" in run(
        "kubeconform", "-strict", "-schema-location", location, str(broken), is_refused=True
    )
